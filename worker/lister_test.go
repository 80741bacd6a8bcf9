package worker

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/verify/archive"
)

const jobPlace = "sls://cn-hangzhou/project/"

// A fakeLister is a provider whose jobs are all ready, with an archive that
// they land in, and notes of what workers do with them.
type fakeLister struct {
	*fetchtest.Memory
	a *archive.Archive
	f *fetch.Fetcher // of all workers

	mu    sync.Mutex
	ended map[string]int // by reference, and by error
	log   bytes.Buffer
}

func newFakeLister(t testing.TB, jobs ...string) *fakeLister {
	t.Helper()
	r := &fakeLister{Memory: newProvider(0), a: openArchive(t), ended: map[string]int{}}
	r.f = newFetcher(r.Memory, r.a)
	r.add(t, jobs...)
	return r
}

// add adds jobs, made now.
func (r *fakeLister) add(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		r.Add(parseRef(t, jobPlace+name))
	}
}

// listedAt returns when each listing began.
func (r *fakeLister) listedAt() []time.Time {
	began, _ := r.Lists()
	return began
}

// worker returns a worker of a queue, with a schedule.
func (r *fakeLister) worker(q *Queue, entries ...ScheduleEntry) *Worker {
	w := newWorker(q, r.a, r.f)
	w.TaskCheckInterval, w.DrainTimeout = 5*time.Second, drain
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

// Write keeps the log. It implements io.Writer.
func (r *fakeLister) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.Write(line)
}

// countLog returns how many lines of the log hold a text.
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

// checkLanded fails the test unless the jobs have landed, each by one task and one
// request, and no others.
func (r *fakeLister) checkLanded(t testing.TB, names ...string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range names {
		ref := parseRef(t, jobPlace+name)
		mustLand(t, r.a, ref)
		if r.ended[ref.String()] != 1 || r.Answered(ref) != 1 {
			t.Errorf("%s ended %d times and was asked for %d times", name, r.ended[ref.String()], r.Answered(ref))
		}
	}
	if len(r.ended) != len(names) {
		t.Errorf("more than %v ended: %v", names, r.ended)
	}
}

// checkListings fails the test unless so many listings began, so far apart, and no
// two ran at once.
func (r *fakeLister) checkListings(t testing.TB, least, most int, apart time.Duration) {
	t.Helper()
	listed, atOnce := r.Lists()
	if n := len(listed); n < least || n > most {
		t.Errorf("it was listed %d times, want %d to %d: %v", n, least, most, listed)
	}
	for i := 1; i < len(listed); i++ {
		if pause := listed[i].Sub(listed[i-1]); pause < apart {
			t.Errorf("list %d is %v after the one before", i+1, pause)
		}
	}
	if atOnce > 1 {
		t.Errorf("%d lists at once", atOnce)
	}
}
