package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tallyman/fetch"
	"tallyman/verify/archive"
)

// No more exports are polled at once, or fetched at once, than there are slots; the
// jobs that are found ready while all fetches are taken keep at most the slots of polls.
func TestADispatcherKeepsToItsSlots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const exports, polls, fetches = 40, 3, 2
		var polling, fetching, ahead, most [2]atomic.Int64
		enter := func(of *atomic.Int64, peak *atomic.Int64) (leave func()) {
			peak.Store(max(peak.Load(), of.Add(1)))
			time.Sleep(time.Second)
			return func() { of.Add(-1) }
		}
		w := &Worker{Archive: openArchive(t), PollConcurrency: polls, FetchConcurrency: fetches, Wait: time.Hour, PollInterval: time.Second}
		w.Fetcher = &fakeFetcher{
			poll: func(context.Context, fetch.Ref) error {
				enter(&polling[0], &most[0])()
				ahead[0].Add(1)
				ahead[1].Store(max(ahead[1].Load(), ahead[0].Load()))
				return nil
			},
			fetch: func(context.Context, fetch.Ref) (*archive.Receipt, error) {
				ahead[0].Add(-1)
				enter(&fetching[0], &most[1])()
				return &archive.Receipt{}, nil
			},
		}
		l := StartLocal(w)
		defer l.Close()
		var all sync.WaitGroup
		for n := range exports {
			all.Go(func() {
				if _, err := l.Fetch(t.Context(), parseRef(t, fmt.Sprint(jobRef, n))); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if most[0].Load() != polls || most[1].Load() != fetches || ahead[1].Load() > polls {
			t.Errorf("%d were polled at once, %d fetched, and %d were ready and waited", most[0].Load(), most[1].Load(), ahead[1].Load())
		}
	})
}

// What only waits for its commit takes no slot, up to maxCommits: those that are fetched
// go on, and many commit together.
func TestWhatCommitsTakesNoSlot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const exports, fetches = maxCommits + 10, 2
		var mu sync.Mutex
		var now, most struct{ receiving, committing int }
		change := func(receiving, committing int) {
			mu.Lock()
			defer mu.Unlock()
			now.receiving, now.committing = now.receiving+receiving, now.committing+committing
			most.receiving, most.committing = max(most.receiving, now.receiving), max(most.committing, now.committing)
		}
		w := &Worker{Archive: openArchive(t), PollConcurrency: 4, FetchConcurrency: fetches, Wait: time.Hour, PollInterval: time.Second}
		w.Fetcher = &fakeFetcher{fetch: func(ctx context.Context, _ fetch.Ref) (*archive.Receipt, error) {
			change(1, 0)
			time.Sleep(time.Second)
			change(-1, 1)
			fetch.Received(ctx)
			fetch.Received(ctx) // which takes no second slot
			time.Sleep(time.Hour)
			change(0, -1)
			return &archive.Receipt{}, nil
		}}
		fetchMany(t, w, exports, 0)
		if most.receiving != fetches || most.committing != maxCommits+fetches {
			t.Errorf("%d were received at once, and %d waited for their commits", most.receiving, most.committing)
		}
		if free := len(w.slots.fetches) + len(w.slots.commits); free != 0 || w.dispatcher.polling != 0 {
			t.Errorf("%d slots of fetches and %d of polls are taken in the end", free, w.dispatcher.polling)
		}
	})
}

// fetchMany fetches exports by a Local, all at once, and fails the test unless each ends
// with an exit code.
func fetchMany(t *testing.T, w *Worker, exports, exit int) {
	t.Helper()
	l := StartLocal(w)
	defer l.Close()
	var all sync.WaitGroup
	for n := range exports {
		all.Go(func() {
			if _, err := l.Fetch(t.Context(), parseRef(t, fmt.Sprint(jobRef, n))); Classify(err).Exit != exit {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// A job that is not ready takes no slot until it is due, and those that have been due
// longest are polled first, so that none is left behind.
func TestADispatcherPollsWhatIsDueInItsOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const exports = 10 // each poll takes a second, so that all of them take ten
		var mu sync.Mutex
		polled := map[string][]time.Time{}
		w := &Worker{Archive: openArchive(t), PollConcurrency: 1, FetchConcurrency: 1, Wait: 20 * time.Minute, PollInterval: 2 * time.Second}
		w.Fetcher = &fakeFetcher{poll: func(_ context.Context, ref fetch.Ref) error {
			mu.Lock()
			polled[ref.String()] = append(polled[ref.String()], time.Now())
			mu.Unlock()
			time.Sleep(time.Second)
			return jobRunning
		}}
		began := time.Now()
		fetchMany(t, w, exports, ExitNotReady)
		if lasted := time.Since(began); lasted < 20*time.Minute || lasted > 21*time.Minute {
			t.Errorf("the last wait ended after %v", lasted)
		}
		for ref, times := range polled {
			for n := 1; n < len(times); n++ {
				if pause := times[n].Sub(times[n-1]); pause > maxPollInterval*11/10+(exports+1)*time.Second {
					t.Errorf("%s was not polled for %v", ref, pause)
				}
			}
		}
	})
}

// What is cancelled while it waits for a slot, before its job was asked or after, is not
// fetched.
func TestWhatIsCancelledWhileItWaitsForASlotIsNotFetched(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &Worker{Archive: openArchive(t), PollConcurrency: 1, FetchConcurrency: 1, Wait: time.Hour, PollInterval: time.Second}
		var mu sync.Mutex
		fetched := 0
		w.Fetcher = &fakeFetcher{fetch: func(context.Context, fetch.Ref) (*archive.Receipt, error) {
			mu.Lock()
			fetched++
			mu.Unlock()
			time.Sleep(time.Hour)
			return &archive.Receipt{}, nil
		}}
		l := StartLocal(w)
		defer l.Close()
		var all sync.WaitGroup
		ends := make([]error, 3)
		for n := range ends {
			all.Go(func() { _, ends[n] = l.Fetch(t.Context(), parseRef(t, fmt.Sprint(jobRef, n))) })
			time.Sleep(time.Minute) // the first is fetched, the second is ready, the third not asked for
		}
		for n := 1; n < len(ends); n++ {
			if err := (&Client{Archive: w.Archive}).Cancel(t.Context(), parseRef(t, fmt.Sprint(jobRef, n))); err != nil {
				t.Error(err)
			}
		}
		all.Wait()
		if fetched != 1 || ends[0] != nil || Classify(ends[1]).Cause != "cancelled" || Classify(ends[2]).Cause != "cancelled" {
			t.Errorf("%d were fetched, and they ended with %v", fetched, ends)
		}
	})
}

// What a worker without a Queue has discovered is known to the archive, before its turn
// comes.
func TestWhatIsDiscoveredWithoutAQueueIsInTheArchive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newFakeLister(t, "one", "two", "three", "four", "five")
		w := r.worker(nil, everyEntry(t, time.Hour))
		w.PollConcurrency, w.FetchConcurrency = 1, 1
		w.Fetcher = &fakeFetcher{fetch: func(ctx context.Context, _ fetch.Ref) (*archive.Receipt, error) {
			return nil, fetch.Sleep(ctx, time.Hour)
		}}
		stop := startWorker(t, w)
		time.Sleep(time.Minute)
		known := 0
		for state, err := range r.a.States() {
			if err != nil || state.Phase != archive.Waiting {
				t.Errorf("%+v, %v", state, err)
			}
			known++
		}
		stop()
		if known != 5 {
			t.Errorf("%d are known", known)
		}
	})
}

// A job that another process has just begun with keeps none behind it from being listed.
func TestABusyExportEndsNoListing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newFakeLister(t, "one", "busy", "three")
		busy := parseRef(t, jobPlace+"busy")
		in, err := r.a.Begin(t.Context(), busy.String(), busy.Key()) // without a record, in this process or another
		if err != nil {
			t.Fatal(err)
		}
		defer startWorker(t, r.worker(nil, everyEntry(t, time.Hour)))()
		time.Sleep(time.Minute)
		if r.countLog("msg=listed") != 1 || len(r.listedAt()) != 1 {
			t.Errorf("it said %s", &r.log)
		}
		if err := in.Close(); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * time.Minute)
		r.checkLanded(t, "one", "busy", "three")
	})
}

// A worker without a Queue goes on with what the archive says is still to be fetched.
func TestAWorkerWithoutAQueueGoesOnWithWhatTheArchiveKnows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := openArchive(t)
		w := newWorker(nil, a, newFetcher(newProvider(0), a))
		asked, cancelled := parseRef(t, jobRef+"asked"), parseRef(t, jobRef+"cancelled")
		for _, ref := range []fetch.Ref{asked, cancelled} {
			if err := ResetBudget(a, ref, Options{}); err != nil {
				t.Fatal(err)
			}
		}
		if err := cancelRecord(a, cancelled, ""); err != nil {
			t.Fatal(err)
		}
		ended := make(chan fetch.Ref, 10)
		w.OnEnd = func(ref fetch.Ref, _ *archive.Receipt, _ error) { ended <- ref }
		stop := startWorker(t, w)
		time.Sleep(time.Minute)
		stop()
		mustLand(t, a, asked)
		if len(ended) != 1 || (<-ended).String() != asked.String() {
			t.Error("more than what was asked for was fetched")
		}
	})
}

// When its context ends, a worker without a Queue gives what runs DrainTimeout, and what
// does not end then goes on after the next start.
func TestAWorkerWithoutAQueueDrains(t *testing.T) {
	t.Parallel()
	for takes, lands := range map[time.Duration]bool{5 * time.Second: true, time.Hour: false} {
		synctest.Test(t, func(t *testing.T) {
			a, ref := openArchive(t), parseRef(t, jobRef)
			if err := ResetBudget(a, ref, Options{}); err != nil {
				t.Fatal(err)
			}
			real := newFetcher(newProvider(0), a)
			w := newWorker(nil, a, &fakeFetcher{fetch: func(ctx context.Context, ref fetch.Ref) (*archive.Receipt, error) {
				if err := fetch.Sleep(ctx, takes); err != nil {
					return nil, err
				}
				return real.Fetch(context.WithoutCancel(ctx), ref)
			}})
			w.DrainTimeout = 20 * time.Second
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			if err := w.Run(ctx); err != nil {
				t.Error(err)
			}
			if _, err := a.Landed(ref.Key()); (err == nil) != lands {
				t.Errorf("of one that takes %v: %v", takes, err)
			}
			if !lands {
				w = newWorker(nil, a, real)
				stop := startWorker(t, w)
				time.Sleep(time.Minute)
				stop()
			}
			mustLand(t, a, ref)
		})
	}
}

// Of an export that another process landed while this one asked its job, that one has told.
func TestWhoLandsAnExportTells(t *testing.T) {
	for name, want := range map[string]int{"this one": 1, "another": 0} {
		synctest.Test(t, func(t *testing.T) {
			a, ref, told := openArchive(t), parseRef(t, jobRef), 0
			landing := newFetcher(newProvider(10), a)
			w := newWorker(nil, a, &fakeFetcher{fetch: landing.Fetch, poll: func(ctx context.Context, ref fetch.Ref) (err error) {
				if want == 0 {
					_, err = landing.Fetch(ctx, ref)
				}
				return err
			}})
			w.OnEnd = func(fetch.Ref, *archive.Receipt, error) { told++ }
			local := StartLocal(w)
			receipt, err := local.Fetch(t.Context(), ref)
			if err := errors.Join(err, local.Close()); err != nil || receipt == nil {
				t.Errorf("%s: %v, %v", name, receipt, err)
			}
			if told != want {
				t.Errorf("%s: told %d times, want %d", name, told, want)
			}
		})
	}
}
