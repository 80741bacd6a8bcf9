package archive

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"tallyman/verify"
	"tallyman/verify/archive/internal/durable"
)

const gib = 1 << 30

// sized is a promise of that many bytes.
func sized(n int64) verify.Want { return verify.Want{Size: n, ETag: `"v1"`} }

func never() { panic("Reserve waits") }

func TestAnObjectIsReceivedOnlyIfTheDiskHasSpace(t *testing.T) {
	for name, tt := range map[string]struct {
		total, free, files, size, content int64
		fits                              bool
	}{
		"enough":                     {100 * gib, 20 * gib, 1000, 5 * gib, 5 * gib, true},
		"enough for the bytes alone": {100 * gib, 8 * gib, 1000, 5 * gib, 5 * gib, false},
		"enough for the bytes, which are the content": {100 * gib, 8 * gib, 1000, 5 * gib, 0, true},
		"all but what is kept free":                   {100 * gib, 10*gib + keptFree, 1000, 5 * gib, 5 * gib, true},
		"a byte of what is kept free":                 {100 * gib, 10*gib + keptFree - 1, 1000, 5 * gib, 5 * gib, false},
		"less is kept free of a small disk":           {1 << 20, 100 << 10, 1000, 40 << 10, 40 << 10, true},
		"nothing at all":                              {100 * gib, 0, 1000, 0, 0, false},
		"no files":                                    {100 * gib, 20 * gib, keptFiles - 1, 1, 1, false},
		"no limit of files":                           {100 * gib, 20 * gib, verify.Unknown, 1, 1, true},
		"size unknown":                                {100 * gib, gib, 1000, verify.Unknown, 0, true},
		"size unknown, and the disk full":             {100 * gib, keptFree - 1, 1000, verify.Unknown, 0, false},
	} {
		a := mustOpen(t, t.TempDir())
		a.SetSpace(tt.total, tt.free, tt.files, 255)
		in := mustBegin(t, a)
		p := mustPartial(t, in, "a.csv", sized(tt.size))
		err := p.Reserve(t.Context(), tt.content, never)
		if noSpace, refused := errors.AsType[*NoSpaceError](err); refused == tt.fits || err != nil && !refused {
			t.Errorf("%s: %v", name, err)
		} else if refused && (!errors.Is(err, syscall.ENOSPC) || noSpace.Dir != a.dir || !strings.Contains(err.Error(), a.dir)) {
			t.Errorf("%s: %v, want ENOSPC, and where", name, err)
		}
		p.Close()
		in.Close()
	}
}

func TestANoSpaceErrorHasFigures(t *testing.T) {
	for _, tt := range []struct {
		err  NoSpaceError
		want string
	}{
		{NoSpaceError{"a.csv", "/a", 20 * gib, 5000, 64 << 20, 100}, "no room for a.csv: it needs 20 GiB, and /a has 5000 bytes free, of which 64 MiB are kept free"},
		{NoSpaceError{"a.csv", "/a", 10, 20 << 40, 0, verify.Unknown}, "no room for a.csv: it needs 10 bytes, and /a has 20 TiB free, of which 0 bytes are kept free"},
		{NoSpaceError{"a.csv", "/a", 10, 20 << 40, 0, 3}, "no room for a.csv: the file system of /a can hold 3 files more"},
	} {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("%s\nwant %s", got, tt.want)
		}
	}
}

// Received bytes are not reserved again, and written ones are no longer reserved.
func TestOnlyMissingBytesAreReserved(t *testing.T) {
	a := mustOpen(t, t.TempDir())
	body := rows(1000)
	in := mustBegin(t, a)
	defer in.Close()
	p := mustPartial(t, in, "a.csv", promise(body))
	if err := errors.Join(p.Reserve(t.Context(), 1000, never), p.AddPromise(promise(body))); err != nil {
		t.Fatal(err)
	}
	parts := 0
	for part := range p.Missing(1000, 100) {
		if parts++; parts > 6 {
			break
		}
		if err := fill(part, body); err != nil {
			t.Fatal(err)
		}
	}
	if got := a.reserved.unspent.Load(); got != 2000-600 {
		t.Errorf("%d bytes are reserved when 600 of 2000 were written", got)
	}
	p.Close()
	a.SetSpace(0, 1400, verify.Unknown, 255)
	p = mustPartial(t, in, "a.csv", promise(body))
	defer p.Close()
	if err := p.Reserve(t.Context(), 1000, never); err != nil {
		t.Error(err)
	}
}

// Ten objects need 10 GiB each and keep 5 GiB, and 25 GiB are free. Two are received
// at a time, and in the end as many have landed as fit.
func TestTwoObjectsNeverReserveTheSameSpace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := mustOpen(t, t.TempDir())
		var mu sync.Mutex
		var waited atomic.Int64
		free, receiving, most, landed := int64(25*gib), 0, 0, 0
		a.measure = func(string) (durable.Space, bool) {
			mu.Lock()
			defer mu.Unlock()
			return durable.Space{Free: free, Files: verify.Unknown, MaxElement: 255}, true
		}
		var all sync.WaitGroup
		for i := range 10 {
			all.Go(func() {
				p := &Partial{in: &Ingest{exportLock: exportLock{archive: a}}, name: fmt.Sprint(i), want: sized(5 * gib)}
				p.reserved.all = &a.reserved
				defer p.reserved.release()
				if err := p.Reserve(context.Background(), 5*gib, func() { waited.Add(1) }); err != nil {
					if !errors.Is(err, syscall.ENOSPC) {
						t.Error(err)
					}
					return
				}
				mu.Lock()
				receiving++
				most = max(most, receiving)
				mu.Unlock()
				time.Sleep(time.Second) // of the bubble
				mu.Lock()
				defer mu.Unlock()
				receiving--
				landed++
				free -= 5 * gib
			})
		}
		all.Wait()
		if most != 2 || landed != 4 || waited.Load() == 0 || a.reserved.unspent.Load() != 0 || a.reserved.total != 0 {
			t.Errorf("%d at once, %d landed, %d waited, %d and %d bytes are still reserved", most, landed, waited.Load(), a.reserved.unspent.Load(), a.reserved.total)
		}
	})
}

func TestReserveEndsWithItsContext(t *testing.T) {
	a := mustOpen(t, t.TempDir())
	a.SetSpace(0, 100, verify.Unknown, 255)
	in := mustBegin(t, a)
	defer in.Close()
	first := mustPartial(t, in, "a.csv", sized(60))
	defer first.Close()
	if err := first.Reserve(t.Context(), 0, never); err != nil {
		t.Fatal(err)
	}
	second := mustPartial(t, in, "b.csv", sized(60))
	defer second.Close()
	ctx, end := context.WithCancelCause(t.Context())
	if err := second.Reserve(ctx, 0, func() { end(errCrash) }); !errors.Is(err, errCrash) {
		t.Errorf("%v, want what ended it", err)
	}
}

// An export of many small objects calls Reserve for each.
func BenchmarkReserve(b *testing.B) {
	a := mustOpen(b, b.TempDir())
	p := &Partial{in: &Ingest{exportLock: exportLock{archive: a}}, name: "a.csv", want: sized(100)}
	p.reserved.all = &a.reserved
	for b.Loop() {
		if err := p.Reserve(context.Background(), 100, never); err != nil {
			b.Fatal(err)
		}
		p.reserved.release()
	}
}
