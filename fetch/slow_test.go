package fetch_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/verify"
)

// slowReader makes each answer yield so many bytes at a time, one time in every.
func slowReader(bytes int, every time.Duration) func(int64, io.ReadCloser) io.ReadCloser {
	return func(_ int64, answer io.ReadCloser) io.ReadCloser { return &pacedReader{answer, bytes, every} }
}

type pacedReader struct {
	io.ReadCloser
	bytes int
	every time.Duration
}

func (d *pacedReader) Read(p []byte) (int, error) {
	time.Sleep(d.every)
	return d.ReadCloser.Read(p[:min(len(p), d.bytes)])
}

// newSlowFetcher makes a fetcher of one object whose answers are changed by change. It
// makes one request at a time. The count is that of the notes to Progress.
func newSlowFetcher(t *testing.T, size int, change func(int64, io.ReadCloser) io.ReadCloser) (*fetch.Fetcher, *fetchtest.File, *atomic.Int64) {
	t.Helper()
	i := fetchtest.NewFile("a.csv", bytes.Repeat([]byte("a,b\n"), size/4))
	i.Answer = change
	f := newMemoryFetcher(t, fetchtest.NewMemory(i))
	f.Parallel, f.PartSize = 1, 64<<10
	notes := new(atomic.Int64)
	f.Progress = func(p fetch.Progress) {
		if p.Note != "" {
			notes.Add(1)
		}
	}
	return f, i, notes
}

func isSlow(err error) bool {
	slow, ok := errors.AsType[*fetch.SlowError](err)
	return ok && slow.Least == 1024 && slow.Rate < slow.Least
}

// A slow store never exceeds the idle timeout, and would hold a slot for years.
func TestASlowStoreFailsWithItsRate(t *testing.T) {
	for name, change := range map[string]func(int64, io.ReadCloser) io.ReadCloser{
		"a byte now and then":       slowReader(1, 29*time.Second),
		"a bit less than the least": slowReader(1000, time.Second),
	} {
		synctest.Test(t, func(t *testing.T) {
			f, i, _ := newSlowFetcher(t, 1<<20, change)
			f.PartSize = 1 << 20
			began := time.Now()
			_, err := fetchOnce(t, f)
			if !errors.Is(err, fetch.ErrTemporary) || !isSlow(err) {
				t.Errorf("%s: %v", name, err)
			}
			if took := time.Since(began); took > 10*time.Minute {
				t.Errorf("%s: it was left after %v", name, took)
			}
			_, before := i.Counts()
			i.Answer = nil
			mustFetch(t, f)
			if _, sent := i.Counts(); sent-before >= len(i.Body) {
				t.Errorf("%s: %d bytes of %d were asked for again", name, sent-before, len(i.Body))
			}
		})
	}
}

func TestASlowStoreFailsWithManyRequestsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _, _ := newSlowFetcher(t, 1<<20, slowReader(1, 29*time.Second))
		f.Parallel = 8
		began := time.Now()
		if _, err := fetchOnce(t, f); !errors.Is(err, fetch.ErrTemporary) {
			t.Errorf("%v", err)
		}
		if took := time.Since(began); took > 10*time.Minute {
			t.Errorf("it was left after %v", took)
		}
	})
}

// Each answer is complete, so that no request fails.
func TestAStoreThatAnswersByteByByteIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := fetchtest.NewFile("a.csv", bytes.Repeat([]byte("a,b\n"), 1000))
		i.BeforeAnswer = func(context.Context, int64) error { time.Sleep(29 * time.Second); return nil }
		f := newMemoryFetcher(t, fetchtest.NewMemory(i))
		f.Providers["box"] = oneByteProvider{f.Providers["box"]}
		began := time.Now()
		if _, err := fetchOnce(t, f); !errors.Is(err, fetch.ErrTemporary) || !isSlow(err) {
			t.Errorf("%v", err)
		}
		if took := time.Since(began); took > 15*time.Minute {
			t.Errorf("it was left after %v", took)
		}
	})
}

// A oneByteProvider has a store that answers each range with its first byte.
type oneByteProvider struct{ fetch.Provider }

func (c oneByteProvider) Export(ctx context.Context, ref fetch.Ref) (*fetch.Export, error) {
	export, err := c.Provider.Export(ctx, ref)
	all := export.Objects
	export.Objects = func(yield func(fetch.Object, error) bool) {
		for o, err := range all {
			o.Source = oneByteSource{o.Source}
			if !yield(o, err) {
				return
			}
		}
	}
	return export, err
}

type oneByteSource struct{ fetch.Source }

func (c oneByteSource) ReadRange(ctx context.Context, off, n int64, etag string) (*fetch.Range, error) {
	return c.Source.ReadRange(ctx, off, min(n, 1), etag)
}

func TestASmallObjectLandsOverASlowLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, i, notes := newSlowFetcher(t, 100<<10, slowReader(500, time.Second))
		mustFetch(t, f)
		if requests, _ := i.Counts(); requests < 3 || notes.Load() == 0 {
			t.Errorf("%d requests and %d notes: it was not slow", requests, notes.Load())
		}
	})
}

func TestTheRateIsThatOfAllRequestsOfAnObject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _, notes := newSlowFetcher(t, 1<<20, slowReader(300, time.Second))
		f.Parallel = 8
		mustFetch(t, f)
		if notes.Load() > 1 { // the last part is received alone
			t.Errorf("%d notes, though all requests together are fast enough", notes.Load())
		}
	})
}

func TestPausesDoNotMakeAStoreSlow(t *testing.T) {
	pausing := func(off int64, answer io.ReadCloser) io.ReadCloser {
		return &pacedReader{answer, 64 << 10, 25 * time.Second} // 2,600 bytes a second
	}
	synctest.Test(t, func(t *testing.T) {
		f, _, notes := newSlowFetcher(t, 1<<20, pausing)
		mustFetch(t, f)
		if notes.Load() > 0 {
			t.Errorf("%d notes, though it is fast enough", notes.Load())
		}
	})
}

func TestOurOwnDelaysDoNotMakeAStoreSlow(t *testing.T) {
	for name, slow := range map[string]func(*fetch.Fetcher, func(fetch.Progress)){
		"the limit": func(f *fetch.Fetcher, _ func(fetch.Progress)) { f.Limit = rate.NewLimiter(100, 100) },
		"the limit of many": func(f *fetch.Fetcher, _ func(fetch.Progress)) {
			f.Limit, f.Parallel, f.PartSize = rate.NewLimiter(100, 10), 8, 2000
		},
		"what is done with a block": func(f *fetch.Fetcher, note func(fetch.Progress)) {
			f.Progress = func(p fetch.Progress) { note(p); time.Sleep(time.Hour) }
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			f, _, notes := newSlowFetcher(t, 40_000, nil)
			slow(f, f.Progress)
			mustFetch(t, f)
			if notes.Load() > 0 {
				t.Errorf("%s: %d notes", name, notes.Load())
			}
		})
	}
}

func TestMinRateSetsTheLeastRate(t *testing.T) {
	for _, tt := range []struct {
		least int64
		lands bool
	}{{-1, true}, {900, true}, {1000, true}, {1100, false}} {
		synctest.Test(t, func(t *testing.T) {
			f, _, _ := newSlowFetcher(t, 1<<20, slowReader(1000, time.Second))
			f.MinRate, f.PartSize = tt.least, 1<<20
			_, err := fetchOnce(t, f)
			if _, slow := errors.AsType[*fetch.SlowError](err); slow == tt.lands || tt.lands && err != nil {
				t.Errorf("least %d: %v, want it to land: %t, or a SlowError", tt.least, err, tt.lands)
			}
		})
	}
}

func TestASlowObjectOfUnknownLengthFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, i, _ := newSlowFetcher(t, 1<<20, slowReader(1, 29*time.Second))
		i.Promise = func(verify.Want) verify.Want { return verify.NoPromise() }
		if _, err := fetchOnce(t, f); !errors.Is(err, fetch.ErrTemporary) || !isSlow(err) {
			t.Errorf("%v", err)
		}
	})
}

// Some requests wait for the limit while others wait for the store.
func TestWaitingForTheLimitDoesNotMakeAStoreSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _, notes := newSlowFetcher(t, 80_000, slowReader(4096, 10*time.Second))
		f.Limit, f.Parallel, f.PartSize = rate.NewLimiter(100, 4096), 8, 16_000
		mustFetch(t, f)
		if notes.Load() > 0 {
			t.Errorf("%d notes", notes.Load())
		}
	})
}
