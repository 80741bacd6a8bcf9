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
type roll struct {
	shelf
	a      *archive.Archive
	f      *fetch.Fetcher                         // of all workers
	hinder func(ctx context.Context, n int) error // of the nth listing, from 1 on

	mu     sync.Mutex
	jobs   []fetch.Listed // the oldest first
	lists  []time.Time
	atOnce int
	most   int            // lists at once
	ended  map[string]int // by reference
	log    bytes.Buffer
}

func newRoll(t testing.TB, jobs ...string) *roll {
	t.Helper()
	r := &roll{a: open(t), ended: map[string]int{}}
	r.f = r.on(r.a)
	r.add(t, jobs...)
	return r
}

// add has new jobs, made now.
func (r *roll) add(t testing.TB, names ...string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range names {
		r.jobs = append(r.jobs, fetch.Listed{Ref: parseRef(t, jobPlace+name), State: fetch.Ready, Status: "there", Created: time.Now()})
	}
}

// List implements fetch.Lister.
func (r *roll) List(ctx context.Context, place fetch.Ref, _ time.Time) iter.Seq2[fetch.Listed, error] {
	return func(yield func(fetch.Listed, error) bool) {
		n, jobs := r.begin()
		defer r.end()
		if r.hinder != nil {
			if err := r.hinder(ctx, n); err != nil {
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

func (r *roll) begin() (int, []fetch.Listed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lists = append(r.lists, time.Now())
	r.atOnce++
	r.most = max(r.most, r.atOnce)
	return len(r.lists), slices.Clone(r.jobs)
}

func (r *roll) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.atOnce--
}

// worker is one of a queue that others may serve too, with that schedule.
func (r *roll) worker(q *Queue, entries ...ScheduleEntry) *Worker {
	w := newWorker(q, r.a, r.f)
	w.TaskCheckInterval, w.DrainTimeout = 2*time.Second, drain
	w.Schedule, w.Listers, w.ParseSince = entries, map[string]fetch.Lister{"sls": r}, ago
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
func (r *roll) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.Write(line)
}

// said is how many lines of the log hold a text.
func (r *roll) said(text string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for line := range strings.Lines(r.log.String()) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// landed holds the jobs to having landed, each by one task and one request, and
// none beside them.
func (r *roll) landed(t testing.TB, names ...string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range names {
		ref := parseRef(t, jobPlace+name)
		mustLand(t, r.a, ref)
		if r.ended[ref.String()] != 1 || r.answers(ref) != 1 {
			t.Errorf("%s ended %d times and was asked for %d times", name, r.ended[ref.String()], r.answers(ref))
		}
	}
	if len(r.ended) != len(names) {
		t.Errorf("it is more than %v that ended: %v", names, r.ended)
	}
}

// listed holds the lists to their number, and to be so far apart.
func (r *roll) listed(t testing.TB, least, most int, apart time.Duration) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.lists); n < least || n > most {
		t.Errorf("it was listed %d times, want %d to %d: %v", n, least, most, r.lists)
	}
	for i := 1; i < len(r.lists); i++ {
		if pause := r.lists[i].Sub(r.lists[i-1]); pause < apart {
			t.Errorf("list %d is %v after the one before", i+1, pause)
		}
	}
	if r.most > 1 {
		t.Errorf("%d lists at once", r.most)
	}
}
