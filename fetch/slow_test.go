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

// drip sends so many bytes at a time, and that often.
func drip(bytes int, every time.Duration) func(int64, io.ReadCloser) io.ReadCloser {
	return func(_ int64, answer io.ReadCloser) io.ReadCloser { return &dripping{answer, bytes, every} }
}

type dripping struct {
	io.ReadCloser
	bytes int
	every time.Duration
}

func (d *dripping) Read(p []byte) (int, error) {
	time.Sleep(d.every)
	return d.ReadCloser.Read(p[:min(len(p), d.bytes)])
}

// slowly makes a fetcher of one object that comes so, in one request at a time,
// and counts the notes to people.
func slowly(t *testing.T, size int, bend func(int64, io.ReadCloser) io.ReadCloser) (*fetch.Fetcher, *fetchtest.File, *atomic.Int64) {
	t.Helper()
	i := fetchtest.NewFile("a.csv", bytes.Repeat([]byte("a,b\n"), size/4))
	i.Answer = bend
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

// Such a store never stalls, and would hold a slot for years.
func TestAStoreThatDripsIsLeftAndSaysHowSlowItWas(t *testing.T) {
	for name, bend := range map[string]func(int64, io.ReadCloser) io.ReadCloser{
		"a byte now and then":       drip(1, 29*time.Second),
		"a bit less than the least": drip(1000, time.Second),
	} {
		synctest.Test(t, func(t *testing.T) {
			f, i, _ := slowly(t, 1<<20, bend)
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

func TestEveryRequestOfASlowObjectIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _, _ := slowly(t, 1<<20, drip(1, 29*time.Second))
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

// Each answer ends as it was announced, so that none is a failure.
func TestAStoreThatAnswersWithAByteAtATimeIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := fetchtest.NewFile("a.csv", bytes.Repeat([]byte("a,b\n"), 1000))
		i.BeforeAnswer = func(context.Context, int64) error { time.Sleep(29 * time.Second); return nil }
		f := newMemoryFetcher(t, fetchtest.NewMemory(i))
		f.Providers["oss"] = crumbs{f.Providers["oss"]}
		began := time.Now()
		if _, err := fetchOnce(t, f); !errors.Is(err, fetch.ErrTemporary) || !isSlow(err) {
			t.Errorf("%v", err)
		}
		if took := time.Since(began); took > 15*time.Minute {
			t.Errorf("it was left after %v", took)
		}
	})
}

// crumbs is a provider whose stores answer each range with its first byte.
type crumbs struct{ fetch.Provider }

func (c crumbs) Export(ctx context.Context, ref fetch.Ref) (*fetch.Export, error) {
	export, err := c.Provider.Export(ctx, ref)
	all := export.Objects
	export.Objects = func(yield func(fetch.Object, error) bool) {
		for o, err := range all {
			o.Source = crumb{o.Source}
			if !yield(o, err) {
				return
			}
		}
	}
	return export, err
}

type crumb struct{ fetch.Source }

func (c crumb) ReadRange(ctx context.Context, off, n int64, etag string) (*fetch.Range, error) {
	return c.Source.ReadRange(ctx, off, min(n, 1), etag)
}

func TestWhatIsSmallLandsOverASlowLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, i, notes := slowly(t, 100<<10, drip(500, time.Second))
		mustFetch(t, f)
		if requests, _ := i.Counts(); requests < 3 || notes.Load() == 0 {
			t.Errorf("%d requests and %d notes: it was not held to be slow", requests, notes.Load())
		}
	})
}

func TestRequestsOfAnObjectShareTheLeastRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _, notes := slowly(t, 1<<20, drip(300, time.Second))
		f.Parallel = 8
		mustFetch(t, f)
		if notes.Load() > 1 { // the last part comes alone
			t.Errorf("%d notes of what is fast enough together", notes.Load())
		}
	})
}

func TestAPauseBeforeAndBetweenIsNoSlowness(t *testing.T) {
	pausing := func(off int64, answer io.ReadCloser) io.ReadCloser {
		return &dripping{answer, 64 << 10, 25 * time.Second} // 2,600 bytes a second
	}
	synctest.Test(t, func(t *testing.T) {
		f, _, notes := slowly(t, 1<<20, pausing)
		mustFetch(t, f)
		if notes.Load() > 0 {
			t.Errorf("%d notes of what is fast enough", notes.Load())
		}
	})
}

func TestWhatTakesUsLongIsNoSlownessOfTheStore(t *testing.T) {
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
			f, _, notes := slowly(t, 40_000, nil)
			slow(f, f.Progress)
			mustFetch(t, f)
			if notes.Load() > 0 {
				t.Errorf("%s: %d notes", name, notes.Load())
			}
		})
	}
}

func TestTheLeastRateCanBeChosen(t *testing.T) {
	for _, tt := range []struct {
		least int64
		lands bool
	}{{-1, true}, {900, true}, {1000, true}, {1100, false}} {
		synctest.Test(t, func(t *testing.T) {
			f, _, _ := slowly(t, 1<<20, drip(1000, time.Second))
			f.MinRate, f.PartSize = tt.least, 1<<20
			if _, err := fetchOnce(t, f); (err == nil) != tt.lands {
				t.Errorf("least %d: %v", tt.least, err)
			}
		})
	}
}

func TestADripOfUnknownLengthIsLeftToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, i, _ := slowly(t, 1<<20, drip(1, 29*time.Second))
		i.Promise = func(verify.Want) verify.Want { return verify.NoPromise() }
		if _, err := fetchOnce(t, f); !errors.Is(err, fetch.ErrTemporary) || !isSlow(err) {
			t.Errorf("%v", err)
		}
	})
}

// While some wait for the limit, others wait for the store, which has more to send
// than they may take.
func TestNoStoreIsToBlameWhileTheLimitHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _, notes := slowly(t, 80_000, drip(4096, 10*time.Second))
		f.Limit, f.Parallel, f.PartSize = rate.NewLimiter(100, 4096), 8, 16_000
		mustFetch(t, f)
		if notes.Load() > 0 {
			t.Errorf("%d notes", notes.Load())
		}
	})
}
