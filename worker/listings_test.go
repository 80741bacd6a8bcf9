package worker

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"tallyman/fetch"
)

// A placeLister lists jobs of the jobFetcher.
type placeLister struct {
	*jobFetcher
	refs   []fetch.Ref
	lags   map[string]bool // by reference: jobs that are said to be running, whatever they are
	lists  int
	failed error

	takes     time.Duration // a listing
	now, most int           // listings that run, and ran, at once
}

func (l *placeLister) List(ctx context.Context, place fetch.Ref, _ time.Time) iter.Seq2[fetch.Listed, error] {
	l.mu.Lock()
	l.lists++
	refs, failed := l.refs, l.failed
	l.mu.Unlock()
	return func(yield func(fetch.Listed, error) bool) {
		if failed != nil {
			yield(fetch.Listed{}, failed)
			return
		}
		l.running(1)
		defer l.running(-1)
		_ = fetch.Sleep(ctx, l.takes)
		for _, ref := range refs {
			if in, ok := ref.Place(); !ok || in.String() != place.String() {
				continue
			}
			l.mu.Lock()
			job := fetch.Listed{Ref: ref, State: fetch.Running, Status: "RUNNING"}
			if err := l.answer(ref); err == nil && !l.lags[ref.String()] {
				job.State = fetch.Ready
			}
			l.mu.Unlock()
			if !yield(job, nil) {
				return
			}
		}
	}
}

// running counts a listing that begins, or ends.
func (l *placeLister) running(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now += n
	l.most = max(l.most, l.now)
}

// listings counts the listings.
func (l *placeLister) listings() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lists
}

// Jobs of one place that are many are shown by its listings: few of them are asked for.
func TestManyThatWaitAreListed(t *testing.T) {
	t.Parallel()
	const many, ended = 150, 50
	for name, test := range map[string]struct {
		change func(l *placeLister)
		lists  [2]int // at least and at most, in five minutes
		polls  [2]int // of all jobs in that time, after the first asks
	}{
		"all are listed":         {nil, [2]int{4, 7}, [2]int{0, 30}},
		"the listing lacks some": {func(l *placeLister) { l.refs = l.refs[25:] }, [2]int{4, 10}, [2]int{100, 300}},
		"others are in the place": {func(l *placeLister) {
			for n := range 500 {
				l.refs = append(l.refs, parseRef(t, fmt.Sprint(jobRef, "other", n)))
			}
		}, [2]int{4, 7}, [2]int{0, 30}},
		"it can not be listed": {func(l *placeLister) { l.failed = fetch.ErrAuth }, [2]int{0, 4}, [2]int{500, 1150}},
		"it is throttled":      {func(l *placeLister) { l.failed = &fetch.CallError{Call: "List", Kind: fetch.ErrThrottled} }, [2]int{0, 4}, [2]int{500, 1150}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if testing.Short() && name != "all are listed" {
				t.Skip("the others differ in what the place answers")
			}
			synctest.Test(t, func(t *testing.T) {
				l := &placeLister{jobFetcher: newJobFetcher(), lags: map[string]bool{}}
				w, _, e := newWaitingWorker(t, l)
				w.Listers = map[string]fetch.Lister{"sls": l}
				for n := range many {
					l.refs = append(l.refs, parseRef(t, fmt.Sprint(jobRef, n)))
					mustEnqueue(t, w.Queue, l.refs[n])
				}
				asked := slices.Clone(l.refs)
				if test.change != nil {
					test.change(l)
				}
				defer startWorker(t, w)()
				time.Sleep(5 * time.Minute)
				polls, lists := l.count(), l.listings()
				if lists == 0 {
					t.Error("the place was not listed")
				}
				time.Sleep(5 * time.Minute)
				if n := l.count() - polls; n < test.polls[0] || n > test.polls[1] {
					t.Errorf("%d polls in five minutes, want %v", n, test.polls)
				}
				if n := l.listings() - lists; n < test.lists[0] || n > test.lists[1] {
					t.Errorf("%d listings in five minutes, want %v", n, test.lists)
				}
				s, err := (&Client{Archive: w.Archive, Queue: w.Queue}).Status(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				place, _ := asked[0].Place()
				if every := s.Intervals[place.String()]; l.failed == nil && (every < 30*time.Second || every > 90*time.Second) {
					t.Errorf("status says that the place is listed every %v", every)
				}
				for _, ref := range asked[:ended] {
					l.say(ref, nil)
				}
				ready := time.Now()
				time.Sleep(2 * time.Minute)
				for n, ref := range asked {
					at, err := e.ended(ref)
					if n < ended && (err != nil || at.IsZero() || at.Sub(ready) > 90*time.Second) || n >= ended && !at.IsZero() {
						t.Fatalf("%s ended after %v: %v", ref, at.Sub(ready), err)
					}
				}
			})
		})
	}
}

// Few places of one account, whose rate they share, are listed at once, so that each
// listing ends soon. All have their turn.
func TestFewPlacesOfAnAccountAreListedAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &placeLister{jobFetcher: newJobFetcher(), lags: map[string]bool{}}
		l.takes = 5 * time.Second
		w, _, e := newWaitingWorker(t, l)
		w.Listers = map[string]fetch.Lister{"sls": l}
		var ready []fetch.Ref
		for place := range 12 {
			for n := range 50 {
				l.refs = append(l.refs, parseRef(t, fmt.Sprintf("sls://cn-hangzhou/project-%d/job-%d", place, n)))
				mustEnqueue(t, w.Queue, l.refs[len(l.refs)-1])
			}
			ready = append(ready, l.refs[len(l.refs)-1])
		}
		defer startWorker(t, w)()
		time.Sleep(10 * time.Minute)
		for _, ref := range ready {
			l.say(ref, nil)
		}
		time.Sleep(3 * time.Minute)
		for _, ref := range ready {
			if at, err := e.ended(ref); err != nil || at.IsZero() {
				t.Errorf("%s ended at %v: %v", ref, at, err)
			}
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.most != listingsAtOnce {
			t.Errorf("%d listings ran at once, want %d", l.most, listingsAtOnce)
		}
	})
}

// While those that a listing lacks are asked for one by one, the place is listed again
// for others.
func TestAsksOneByOneDelayNoListing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &placeLister{jobFetcher: newJobFetcher(), lags: map[string]bool{}}
		w, _, e := newWaitingWorker(t, l)
		w.Listers, l.jobFetcher.takes = map[string]fetch.Lister{"sls": l}, 2*time.Second
		for n := range 200 {
			mustEnqueue(t, w.Queue, parseRef(t, fmt.Sprint(jobRef, "hidden", n)))
		}
		defer startWorker(t, w)()
		time.Sleep(30 * time.Second)
		l.mu.Lock()
		for n := range 100 {
			l.refs = append(l.refs, parseRef(t, fmt.Sprint(jobRef, n)))
		}
		l.mu.Unlock()
		for _, ref := range l.refs {
			mustEnqueue(t, w.Queue, ref)
		}
		ready := l.refs[len(l.refs)-1]
		l.say(ready, nil)
		time.Sleep(90 * time.Second)
		if at, err := e.ended(ready); err != nil || at.IsZero() {
			t.Errorf("what was ready after half a minute ended at %v: %v", at, err)
		}
	})
}

// Listings that lag behind are found out: soon their jobs are asked for.
func TestAListingThatLagsIsNotBelieved(t *testing.T) {
	if testing.Short() {
		t.Skip("it spans half an hour")
	}
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := &placeLister{jobFetcher: newJobFetcher(), lags: map[string]bool{}}
		w, _, e := newWaitingWorker(t, l)
		w.Listers = map[string]fetch.Lister{"sls": l}
		for n := range 200 {
			ref := parseRef(t, fmt.Sprint(jobRef, n))
			l.refs = append(l.refs, ref)
			l.lags[ref.String()] = true
			mustEnqueue(t, w.Queue, ref)
		}
		defer startWorker(t, w)()
		time.Sleep(5 * time.Minute)
		for _, ref := range l.refs {
			l.say(ref, nil)
		}
		time.Sleep(20 * time.Minute)
		for _, ref := range l.refs {
			if at, err := e.ended(ref); err != nil || at.IsZero() {
				t.Errorf("%s has not ended, or with %v", ref, err)
			}
		}
	})
}
