package fetch_test

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/verify"
)

// drainable gives f a soft context, which drain ends.
func drainable(f *fetch.Fetcher) (drain func()) {
	soft, drain := context.WithCancel(context.Background())
	f.Soft = soft
	return drain
}

// restart makes f as it would be in another process.
func restart(f *fetch.Fetcher) { f.Soft, f.Progress = nil, nil }

// An observedProvider calls onExport before each Export.
type observedProvider struct {
	fetch.Provider
	onExport func()
}

func (a observedProvider) Export(ctx context.Context, ref fetch.Ref) (*fetch.Export, error) {
	a.onExport()
	return a.Provider.Export(ctx, ref)
}

// delayUntilDrain delays all requests but the first of each object until f drains,
// and longer the higher their offset. It fails the test if one is cancelled.
func delayUntilDrain(t *testing.T, s *fetchtest.Memory, f *fetch.Fetcher) {
	for _, i := range s.Files {
		i.BeforeAnswer = func(ctx context.Context, off int64) error {
			if off == 0 {
				return nil
			}
			<-f.Soft.Done()
			err := fetch.Sleep(ctx, time.Duration(off)*time.Millisecond)
			if err != nil {
				t.Errorf("the request at %d was cut short: %v", off, err)
			}
			return err
		}
	}
}

func checkDrained(t *testing.T, f *fetch.Fetcher, err error) {
	t.Helper()
	if !errors.Is(err, fetch.ErrDrained) {
		t.Errorf("%v, want %v", err, fetch.ErrDrained)
	}
	checkAbsent(t, f, exportKey)
}

func totals(items []*fetchtest.File) (requests, sent, size int) {
	for _, i := range items {
		n, bytes := i.Counts()
		requests += n
		sent += bytes
		size += len(i.Body)
	}
	return requests, sent, size
}

func TestDrainLetsThePartsInFlightEnd(t *testing.T) {
	for name, items := range map[string][]*fetchtest.File{
		"an object":       {fetchtest.NewFile("a.csv", csv(500))},
		"several objects": fiveObjects(),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := fetchtest.NewMemory(items...)
				f := newMemoryFetcher(t, s)
				f.IdleTimeout = time.Hour
				time.AfterFunc(time.Minute, drainable(f))
				delayUntilDrain(t, s, f)
				_, err := fetchOnce(t, f)
				checkDrained(t, f, err)
				if requests, _, _ := totals(s.Files); requests < 5 || requests > 8 {
					t.Errorf("%d requests were answered, want 4 and the first of each object", requests)
				}
				for _, i := range s.Files {
					i.BeforeAnswer = nil
				}
				restart(f)
				mustFetch(t, f)
				if _, sent, size := totals(s.Files); sent != size {
					t.Errorf("%d bytes were sent of %d", sent, size)
				}
			})
		})
	}
}

func TestDrainWithinAnObjectSendsNoByteTwice(t *testing.T) {
	for _, parallel := range []int{1, 4} {
		s := fetchtest.NewMemory(fetchtest.NewFile("a.csv", csv(500)))
		f := newMemoryFetcher(t, s)
		f.Parallel = parallel
		drain := drainable(f)
		s.Files[0].BeforeAnswer = func(_ context.Context, off int64) error {
			if off == 7000 {
				drain()
			}
			if off > 7000 {
				<-f.Soft.Done()
			}
			return nil
		}
		_, err := fetchOnce(t, f)
		checkDrained(t, f, err)
		if requests, _, _ := totals(s.Files); requests > 7+parallel {
			t.Errorf("%d at once: %d requests were made", parallel, requests)
		}
		s.Files[0].BeforeAnswer = nil
		restart(f)
		mustFetch(t, f)
		if _, sent, size := totals(s.Files); sent != size {
			t.Errorf("%d at once: %d bytes were sent of %d", parallel, sent, size)
		}
	}
}

func TestDrainBeforeTheFirstRequestMakesNone(t *testing.T) {
	s := fetchtest.NewMemory(fiveObjects()...)
	f := newMemoryFetcher(t, s)
	asks := 0
	f.Providers["box"] = observedProvider{s, func() { asks++ }}
	drainable(f)()
	_, err := fetchOnce(t, f)
	checkDrained(t, f, err)
	if err := f.Poll(t.Context(), parseRef(t, exportRef)); !errors.Is(err, fetch.ErrDrained) {
		t.Errorf("%v, want %v", err, fetch.ErrDrained)
	}
	drain := drainable(f)
	f.Providers["box"] = observedProvider{s, drain}
	_, err = fetchOnce(t, f)
	checkDrained(t, f, err)
	if requests, _, _ := totals(s.Files); requests > 0 || asks > 0 {
		t.Errorf("%d requests were made, and the job was asked %d times", requests, asks)
	}
	restart(f)
	mustFetch(t, f)
	drainable(f)()
	mustFetch(t, f) // it has landed
}

func TestDrainAfterTheLastByteStillLands(t *testing.T) {
	for name, items := range map[string][]*fetchtest.File{
		"an object":   {fetchtest.NewFile("a.csv", csv(500))},
		"a container": {fetchtest.NewFile("a.zip", zipOf(t, 8, file{"x.csv", csv(300)}, file{"y.csv", csv(200)}))},
		"several":     fiveObjects(),
	} {
		s := fetchtest.NewMemory(items...)
		f := newMemoryFetcher(t, s)
		drain, sum := drainable(f), watchProgress(f)
		_, _, size := totals(items)
		told := f.Progress
		f.Progress = func(p fetch.Progress) {
			told(p)
			if bytes, _ := sum(); bytes == int64(size) {
				drain()
			}
		}
		if mustFetch(t, f); f.Soft == nil {
			t.Error(name)
		}
		select {
		case <-f.Soft.Done():
		default:
			t.Errorf("%s: it did not drain", name)
		}
	}
}

func TestDrainBetweenObjectsKeepsFinishedOnes(t *testing.T) {
	for _, snapshot := range []bool{true, false} {
		s := fetchtest.NewMemory(fiveObjects()...)
		s.Snapshot = snapshot
		f := newMemoryFetcher(t, s)
		f.Parallel = 1
		drain := drainable(f)
		left := len(s.Files[2].Body)
		f.Progress = func(p fetch.Progress) {
			if p.Object != "2.csv" {
				return
			}
			if left -= int(p.Bytes); left == 0 {
				drain()
			}
		}
		_, err := fetchOnce(t, f)
		checkDrained(t, f, err)
		done, _, _ := totals(s.Files[:3])
		if _, sent, size := totals(s.Files[:3]); sent != size {
			t.Errorf("%d bytes were sent of %d", sent, size)
		}
		if requests, _, _ := totals(s.Files[3:]); requests > 0 {
			t.Errorf("%d requests for what was not begun", requests)
		}
		restart(f)
		mustFetch(t, f)
		if requests, _, _ := totals(s.Files[:3]); requests != done {
			t.Errorf("%d requests for what was done", requests-done)
		}
		checkFiles(t, f, contents(s.Files))
	}
}

func TestDrainEndsTheListing(t *testing.T) {
	for _, snapshot := range []bool{true, false} {
		s := fetchtest.NewMemory(fiveObjects()...)
		s.Snapshot, s.Err = snapshot, errors.New("listed to its end")
		f := newMemoryFetcher(t, s)
		f.Parallel = 1
		drain := drainable(f)
		s.Files[2].Promise = func(w verify.Want) verify.Want { drain(); return w }
		_, err := fetchOnce(t, f)
		checkDrained(t, f, err)
		if errors.Is(err, s.Err) {
			t.Error(err)
		}
		s.Err, s.Files[2].Promise = nil, nil
		restart(f)
		mustFetch(t, f)
		checkFiles(t, f, contents(s.Files))
	}
}

// A drain waits for requests in flight without a bound; the caller's context ends
// them.
func TestCancelAfterADrainEndsAtOnceAndKeepsTheParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := fetchtest.NewMemory(fiveObjects()...)
		s.Files[1].BeforeAnswer = func(ctx context.Context, off int64) error {
			if off == 0 {
				return nil
			}
			return blockUntilDone(ctx, off)
		}
		f := newMemoryFetcher(t, s)
		f.IdleTimeout = time.Hour
		drain := drainable(f)
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error)
		go func() {
			_, err := f.Fetch(ctx, parseRef(t, exportRef))
			ended <- err
		}()
		synctest.Wait()
		drain()
		synctest.Wait()
		select {
		case err := <-ended:
			t.Fatalf("it did not wait for what was in flight: %v", err)
		default:
		}
		began := time.Now()
		cancel(errStopped)
		if err := <-ended; !errors.Is(err, errStopped) || time.Since(began) > 0 {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		s.Files[1].BeforeAnswer = nil
		restart(f)
		mustFetch(t, f)
		if _, sent, size := totals(s.Files); sent != size {
			t.Errorf("%d bytes were sent of %d", sent, size)
		}
	})
}

func TestDrainEndsWaitsAndRetriesNothing(t *testing.T) {
	for name, tt := range map[string]struct {
		hinder func(ctx context.Context, off int64) error
		took   time.Duration
	}{
		"throttled": {func(context.Context, int64) error {
			return &fetch.CallError{Kind: fetch.ErrThrottled, RetryAfter: 9 * time.Second}
		}, 0},
		"failing":     {func(context.Context, int64) error { return fetch.ErrTemporary }, 0},
		"stalled":     {blockUntilDone, 59 * time.Minute}, // IdleTimeout after the request began
		"expired URL": {func(context.Context, int64) error { time.Sleep(2 * time.Minute); return fetch.ErrExpired }, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := fetchtest.NewMemory(fetchtest.NewFile("a.csv", csv(500)))
				f := newMemoryFetcher(t, s)
				f.IdleTimeout = time.Hour
				fetch.SetFirstWait(f, time.Hour)
				asks, tries := 0, 0
				f.Providers["box"] = observedProvider{s, func() { asks++ }}
				s.Files[0].BeforeAnswer = func(ctx context.Context, off int64) error {
					if off != 3000 {
						return nil
					}
					tries++
					return tt.hinder(ctx, off)
				}
				drain := drainable(f)
				f.Progress = func(p fetch.Progress) {
					select {
					case <-f.Soft.Done():
						t.Errorf("when it drains: %d bytes, %s", p.Bytes, p.Note)
					default:
					}
				}
				var drained time.Time
				time.AfterFunc(time.Minute, func() { drained = time.Now(); drain() })
				f.Parallel = 1 // the other slots would fetch the rest
				_, err := fetchOnce(t, f)
				checkDrained(t, f, err)
				if took := time.Since(drained); took != tt.took || tries != 1 || asks != 1 {
					t.Errorf("%v after the drain, in %d tries, and the job was asked %d times", took, tries, asks)
				}
				s.Files[0].BeforeAnswer = nil
				restart(f)
				mustFetch(t, f)
				if _, sent, size := totals(s.Files); sent != size {
					t.Errorf("%d bytes were sent of %d", sent, size)
				}
			})
		})
	}
}

func TestDrainDoesNotUseAURLThatAnotherRequestRefreshed(t *testing.T) {
	s := fetchtest.NewMemory(fetchtest.NewFile("a.csv", csv(500)))
	f := newMemoryFetcher(t, s)
	f.Parallel = 2
	drain := drainable(f)
	asks, renewed := 0, make(chan struct{})
	f.Providers["box"] = observedProvider{s, func() {
		if asks++; asks == 2 {
			close(renewed)
		}
	}}
	var mu sync.Mutex
	tries := map[int64]int{}
	s.Files[0].BeforeAnswer = func(_ context.Context, off int64) error {
		mu.Lock()
		tries[off]++
		n := tries[off]
		mu.Unlock()
		if n > 1 || off != 1000 && off != 2000 {
			return nil
		}
		if off == 2000 {
			<-renewed
			drain()
		}
		return fetch.ErrExpired
	}
	_, err := fetchOnce(t, f)
	checkDrained(t, f, err)
	if tries[2000] != 1 || asks != 2 {
		t.Errorf("%d tries, and the job was asked %d times", tries[2000], asks)
	}
}

func TestAFailureOfAPartInFlightIsReturnedDuringADrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := fetchtest.NewMemory(fiveObjects()...)
		f := newMemoryFetcher(t, s)
		f.IdleTimeout = time.Hour
		drain := drainable(f)
		s.Files[1].BeforeAnswer = func(context.Context, int64) error {
			<-f.Soft.Done()
			time.Sleep(time.Second)
			return fetch.ErrAuth
		}
		time.AfterFunc(time.Minute, drain)
		if _, err := fetchOnce(t, f); !errors.Is(err, fetch.ErrAuth) {
			t.Errorf("%v, want %v", err, fetch.ErrAuth)
		}
	})
}

// Each of these answers would take an hour.
func TestDrainCutsAnEndlessAnswer(t *testing.T) {
	for name, tt := range map[string]struct {
		respond responder
		from    int // the next attempt asks
	}{
		"a store without ranges, at a part's end":    {inTurn(ignoreRange, stall(2700)), 1000},
		"what a store without ranges sends in vain":  {after(1, inTurn(ignoreRange, stall(300))), 1000},
		"an object of unknown size, as it is":        {stallWithoutLength(700), 0},
		"an object of unknown size, and no byte yet": {stallWithoutLength(0), 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, rows)
			f, _ := newFetcher(t, t.TempDir())
			f.PartSize, f.Parallel, f.IdleTimeout = 1000, 1, time.Hour
			drain := drainable(f)
			requests := 0
			s.respond = func(s *store, w http.ResponseWriter, r *http.Request, n int) bool {
				if requests++; requests == 2 || name == "an object of unknown size, and no byte yet" {
					drain()
				}
				return tt.respond(s, w, r, n)
			}
			f.Progress = func(p fetch.Progress) {
				if p.Bytes > 0 && name != "what a store without ranges sends in vain" {
					drain()
				}
			}
			ref := s.ref(t, "export.csv", "")
			if _, err := f.Fetch(context.Background(), ref); !errors.Is(err, fetch.ErrDrained) {
				t.Errorf("%v, want %v", err, fetch.ErrDrained)
			}
			s.restore()
			restart(f)
			before := len(s.requests())
			if _, err := f.Fetch(context.Background(), ref); err != nil {
				t.Fatal(err)
			}
			if first, _ := span(t, s.requests()[before]); first != tt.from {
				t.Errorf("the next attempt goes on at %d, want %d", first, tt.from)
			}
			checkLanded(t, f, ref.Key(), rows)
		})
	}
}

// stallWithoutLength sends so many bytes without a Content-Length, and then nothing
// until the client leaves.
func stallWithoutLength(bytes int) responder {
	return func(s *store, w http.ResponseWriter, r *http.Request, _ int) bool {
		w.Write(s.body[:bytes])
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}
}

func TestPollReturnsTheErrorThatFetchWould(t *testing.T) {
	ref := parseRef(t, exportRef)
	refused := &fetch.CallError{Call: "GetJob", Kind: fetch.ErrAuth}
	for name, tt := range map[string]struct {
		export *fetch.Export
		err    error
	}{
		"pending":      {export: &fetch.Export{State: fetch.Pending, Status: "WAITING", Percent: -1}},
		"running":      {export: &fetch.Export{State: fetch.Running, Status: "RUNNING", Percent: 40}},
		"unknown word": {export: &fetch.Export{Status: "NEW_WORD"}},
		"failed":       {export: &fetch.Export{State: fetch.Failed, Status: "ERROR", Message: "quota"}},
		"expired":      {export: &fetch.Export{State: fetch.Expired, Status: "GONE"}},
		"refused":      {err: refused},
	} {
		f := newMemoryFetcher(t, fetchtest.NewMemory())
		f.Providers["box"] = fetchtest.ProviderFunc(func(context.Context, fetch.Ref) (*fetch.Export, error) { return tt.export, tt.err })
		err := f.Poll(t.Context(), ref)
		if _, fetched := f.Fetch(t.Context(), ref); err == nil || err.Error() != fetched.Error() {
			t.Errorf("%s: %v, but Fetch says %v", name, err, fetched)
		}
	}
	f := newMemoryFetcher(t, fetchtest.NewMemory())
	clear(f.Providers)
	if err := f.Poll(t.Context(), ref); !errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v, want %v", err, errors.ErrUnsupported)
	}
}

func TestPollFetchesNothing(t *testing.T) {
	s := fetchtest.NewMemory(fiveObjects()...)
	f := newMemoryFetcher(t, s)
	asks := 0
	f.Providers["box"] = observedProvider{s, func() { asks++ }}
	ref := parseRef(t, exportRef)
	if err := f.Poll(t.Context(), ref); err != nil || asks != 1 {
		t.Errorf("%v, in %d calls", err, asks)
	}
	if requests, _, _ := totals(s.Files); requests > 0 {
		t.Errorf("%d requests", requests)
	}
	mustFetch(t, f)
	before := asks
	if err := f.Poll(t.Context(), ref); err != nil || asks != before {
		t.Errorf("%v, and what has landed was asked for", err)
	}
}
