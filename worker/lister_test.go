package worker

import (
	"bytes"
	"context"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tallyman/fetch"
	"tallyman/verify/archive"
)

const jobPlace = "sls://cn-hangzhou/project/"

// A roll is a Lister of jobs that are all ready, and of which new ones come.
type fakeLister struct {
	memoryProvider
	a          *archive.Archive
	f          *fetch.Fetcher                         // of all workers
	beforeList func(ctx context.Context, n int) error // of the nth listing, from 1 on

	mu         sync.Mutex
	jobs       []fetch.Listed // the oldest first
	listedAt   []time.Time
	running    int
	maxRunning int            // lists at once
	ended      map[string]int // by reference
	log        bytes.Buffer
}

func newFakeLister(t testing.TB, jobs ...string) *fakeLister {
	t.Helper()
	r := &fakeLister{a: openArchive(t), ended: map[string]int{}}
	r.f = r.fetcher(r.a)
	r.add(t, jobs...)
	return r
}

// add has new jobs, made now.
func (r *fakeLister) add(t testing.TB, names ...string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range names {
		r.jobs = append(r.jobs, fetch.Listed{Ref: parseRef(t, jobPlace+name), State: fetch.Ready, Status: "there", Created: time.Now()})
	}
}

// List implements fetch.Lister.
func (r *fakeLister) List(ctx context.Context, place fetch.Ref, _ time.Time) iter.Seq2[fetch.Listed, error] {
	return func(yield func(fetch.Listed, error) bool) {
		n, jobs := r.begin()
		defer r.end()
		if r.beforeList != nil {
			if err := r.beforeList(ctx, n); err != nil {
				yield(fetch.Listed{}, err)
				return
			}
		}
		for _, job := range slices.Backward(jobs) {
			if !strings.HasPrefix(job.Ref.String(), place.String()) || !yield(job, nil) {
				return
			}
		}
	}
}

func (r *fakeLister) begin() (int, []fetch.Listed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.listedAt = append(r.listedAt, time.Now())
	r.running++
	r.maxRunning = max(r.maxRunning, r.running)
	return len(r.listedAt), slices.Clone(r.jobs)
}

func (r *fakeLister) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running--
}

// worker is one of a queue that others may serve too, with that schedule.
func (r *fakeLister) worker(q *Queue, entries ...ScheduleEntry) *Worker {
	w := newWorker(q, r.a, r.f)
	w.TaskCheckInterval, w.DrainTimeout = 2*time.Second, drain
	w.Schedule, w.Listers, w.ParseSince = entries, map[string]fetch.Lister{"sls": r}, parseAgo
	w.Log = slog.New(slog.NewTextHandler(r, nil))
	w.OnEnd = func(ref fetch.Ref, _ *archive.Receipt, err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.ended[ref.String()]++
		if err != nil {
			r.ended[err.Error()]++
		}
	}
	return w
}

// Write takes in the log.
func (r *fakeLister) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.Write(line)
}

// countLog is how many lines of the log hold a text.
func (r *fakeLister) countLog(text string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for line := range strings.Lines(r.log.String()) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// checkLanded holds the jobs to having landed, each by one task and one request, and
// none beside them.
func (r *fakeLister) checkLanded(t testing.TB, names ...string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range names {
		ref := parseRef(t, jobPlace+name)
		mustLand(t, r.a, ref)
		if r.ended[ref.String()] != 1 || r.rangesRead(ref) != 1 {
			t.Errorf("%s ended %d times and was asked for %d times", name, r.ended[ref.String()], r.rangesRead(ref))
		}
	}
	if len(r.ended) != len(names) {
		t.Errorf("it is more than %v that ended: %v", names, r.ended)
	}
}

// checkListings holds the lists to their number, and to be so far apart.
func (r *fakeLister) checkListings(t testing.TB, least, most int, apart time.Duration) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.listedAt); n < least || n > most {
		t.Errorf("it was listed %d times, want %d to %d: %v", n, least, most, r.listedAt)
	}
	for i := 1; i < len(r.listedAt); i++ {
		if pause := r.listedAt[i].Sub(r.listedAt[i-1]); pause < apart {
			t.Errorf("list %d is %v after the one before", i+1, pause)
		}
	}
	if r.maxRunning > 1 {
		t.Errorf("%d lists at once", r.maxRunning)
	}
}
