package fetch_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
)

// waiting makes a fetcher of two zstd objects, whose windows fit into the memory
// one after the other. The first comes slowly, the second waits for it meanwhile.
// notes returns what Progress was told of the second.
func waiting(t *testing.T) (f *fetch.Fetcher, want map[string]string, notes func() []string) {
	t.Helper()
	rows := csv(3000)
	body := encode(t, "zstd", rows)
	first, second := fetchtest.NewFile("a.csv.zst", body), fetchtest.NewFile("b.csv.zst", body)
	first.Answer = slowReader(len(body)/200, time.Second)
	second.BeforeAnswer = func(context.Context, int64) error { time.Sleep(20 * time.Second); return nil }
	f = newMemoryFetcher(t, fetchtest.NewMemory(first, second))
	f.MaxMemory, f.MinRate, f.PartSize = 16<<20, 1, 1<<20
	var mu sync.Mutex
	var told []string
	f.Progress = func(p fetch.Progress) {
		mu.Lock()
		defer mu.Unlock()
		if p.Note != "" {
			told = append(told, p.Object+": "+p.Note)
		}
	}
	return f, map[string]string{"a.csv": string(rows), "b.csv": string(rows)}, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(told)
	}
}

const waitingNote = "b.csv.zst: waiting for memory, which other files hold"

func TestAnObjectWaitsForMemoryAndThenLands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, want, notes := waiting(t)
		began := time.Now()
		receipt := mustFetch(t, f)
		checkFiles(t, f, want)
		if took := time.Since(began); took < 3*time.Minute { // longer than a store may be idle
			t.Errorf("it took %v: it did not wait", took)
		}
		if got := notes(); !slices.Equal(got, []string{waitingNote}) || len(receipt.Doubts) > 0 {
			t.Errorf("notes %q, doubts %q", got, receipt.Doubts)
		}
	})
}

func TestCancellationEndsAWaitForMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, want, notes := waiting(t)
		s := f.Providers["oss"].(*fetchtest.Memory)
		s.Files[0].Answer = nil
		s.Files[0].BeforeAnswer = func(ctx context.Context, off int64) error {
			if off == 0 {
				return nil
			}
			return blockUntilDone(ctx, off)
		}
		f.PartSize, f.IdleTimeout, f.Parallel = 1000, time.Hour, 1000 // with slots for all requests, though they hang
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errStopped)
		defer cancel()
		began := time.Now()
		_, err := f.Fetch(ctx, parseRef(t, exportRef))
		if took := time.Since(began); !errors.Is(err, errStopped) || len(kindsOf(err)) > 0 || took != time.Minute {
			t.Errorf("%v after %v, want the cause", err, took)
		}
		if got := notes(); !slices.Contains(got, waitingNote) {
			t.Errorf("notes %q: it did not wait", got)
		}
		checkAbsent(t, f, exportKey)
		s.Files[0].BeforeAnswer = nil
		mustFetch(t, f)
		checkFiles(t, f, want)
	})
}

// However few of them fit, all decoders of an export get their turn.
func TestManyDecodersOfAnExportShareTheMemory(t *testing.T) {
	rows := csv(500)
	frames := slices.Concat(encode(t, "zstd", rows), []byte("\x50\x2a\x4d\x18\x01\x00\x00\x00x"), []byte("\x28\xb5\x2f\xfd\x00\x70\x01\x00\x00")) // and an empty one of 16 MiB
	var objects []*fetchtest.File
	for _, name := range strings.Fields("a b c d e f") {
		objects = append(objects, fetchtest.NewFile(name+".zst", frames), fetchtest.NewFile(name+".lz4", encode(t, "lz4", rows)))
	}
	var entries []file
	for _, name := range strings.Fields("1 2 3 4 5 6") {
		entries = append(entries, file{name, rows})
	}
	objects = append(objects, fetchtest.NewFile("g.zip", zipOf(t, 93, entries...)), fetchtest.NewFile("h.zip", zipOf(t, 93, file{"7", rows}, file{"8", rows})))
	f := newMemoryFetcher(t, fetchtest.NewMemory(objects...))
	f.MaxMemory, f.Parallel = 16<<20, 16
	mustFetch(t, f)
	if got := files(t, f); len(got) != 20 {
		t.Errorf("%d files", len(got))
	}
}

func TestAWindowOverAllMemoryIsRefusedWithTheLimit(t *testing.T) {
	large := "\x28\xb5\x2f\xfd\x00\x78\x01\x00\x00" // an empty frame with a window of 32 MiB
	for name, body := range map[string][]byte{"e.zst": []byte(large), "later.zst": append(encode(t, "zstd", rows), large...)} {
		f := newMemoryFetcher(t, fetchtest.NewMemory(fetchtest.NewFile(name, body)))
		f.MaxMemory = 31 << 20
		_, err := fetchOnce(t, f)
		if exceeded, ok := errors.AsType[*fetch.LimitError](err); !ok || exceeded.Limit != fetch.LimitMemory || !errors.Is(err, fetch.ErrBomb) {
			t.Errorf("%s: %v", name, err)
		}
		restarted := &fetch.Fetcher{Providers: f.Providers, Archive: f.Archive}
		mustFetch(t, restarted)
	}
}
