package worker

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tallyman/fetch"
	"tallyman/verify"
	"tallyman/verify/archive"
)

const jobRef = "sls://cn-hangzhou/project/job"

func parseRef(t testing.TB, s string) fetch.Ref {
	t.Helper()
	ref, err := fetch.ParseRef(s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// What an attempt may end with.
var (
	jobRunning    = &fetch.NotReadyError{State: fetch.Running, Status: "RUNNING"}
	unknownStatus = &fetch.NotReadyError{Status: "REHEATING"}
	mismatchErr   = &verify.Mismatch{Object: "a", Check: verify.CheckMD5, Got: "1", Want: "2"}
	networkErr    = &fetch.CallError{Call: "GET", Kind: fetch.ErrTemporary}
)

// A scriptedFetcher is a Fetcher whose attempts end with ends, one after the other,
// and then always with the last. nil means that the export lands, but not in the
// archive.
type scriptedFetcher struct {
	ends   []error
	polled bool // polls end with the errors, not fetches

	mu    sync.Mutex
	began time.Time
	times []time.Time // of the attempts
	notes []string
}

func (s *scriptedFetcher) Poll(context.Context, fetch.Ref) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	end := s.ends[min(len(s.times), len(s.ends)-1)]
	if _, waiting := end.(*fetch.NotReadyError); waiting || s.polled && end != nil {
		s.times = append(s.times, time.Now())
		return end
	}
	return nil
}

func (s *scriptedFetcher) Fetch(context.Context, fetch.Ref) (*archive.Receipt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	end := s.ends[min(len(s.times), len(s.ends)-1)]
	s.times = append(s.times, time.Now())
	if end == nil {
		return &archive.Receipt{}, nil
	}
	return nil, end
}

// pauses are the times between the attempts.
func (s *scriptedFetcher) pauses() []time.Duration {
	var pauses []time.Duration
	for i := 1; i < len(s.times); i++ {
		pauses = append(pauses, s.times[i].Sub(s.times[i-1]))
	}
	return pauses
}

func (s *scriptedFetcher) note(_ fetch.Ref, note string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notes = append(s.notes, note)
}

func repeat(err error, n int) []error { return slices.Repeat([]error{err}, n) }

// checkInterval is how soon a worker in the tests notices a task that is due.
// maxLateness is how much later than it is due a task may run: the queue counts
// whole seconds.
const (
	checkInterval = 500 * time.Millisecond
	maxLateness   = time.Second + 2*checkInterval
)

// setUp gives a worker a queue in a fake Redis, an archive, and s as its Fetcher.
func (s *scriptedFetcher) setUp(t testing.TB, w *Worker) *fakeRedis {
	t.Helper()
	p := newFakeRedis(t)
	s.began = time.Now()
	w.Queue, w.Archive, w.Fetcher, w.OnNote = NewQueue(p.client), openArchive(t), s, s.note
	if w.TaskCheckInterval == 0 {
		w.TaskCheckInterval = checkInterval
	}
	w.PollConcurrency, w.FetchConcurrency = 2, 2
	return p
}

// fetchLocal fetches an export by a Local.
func (s *scriptedFetcher) fetchLocal(t testing.TB, ctx context.Context, w *Worker) error { //nolint:revive // as all helpers of tests
	t.Helper()
	s.setUp(t, w)
	l := StartLocal(w)
	defer l.Close()
	_, err := l.Fetch(ctx, parseRef(t, jobRef))
	return err
}

// runLocal is fetchLocal in a synctest bubble.
func (s *scriptedFetcher) runLocal(t *testing.T, w *Worker) (err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { err = s.fetchLocal(t, t.Context(), w) })
	return err
}

// runWorker has a Worker fetch an export, in a synctest bubble, and returns how the
// export ended.
func (s *scriptedFetcher) runWorker(t *testing.T, w *Worker) (err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s.setUp(t, w)
		err = fetchByWorker(t, w, parseRef(t, jobRef))
	})
	return err
}

// fetchByWorker enqueues an export, runs the worker until the export has ended, and
// returns how.
func fetchByWorker(t testing.TB, w *Worker, ref fetch.Ref) error {
	t.Helper()
	ended := make(chan error, 1)
	w.OnEnd = func(_ fetch.Ref, _ *archive.Receipt, err error) { ended <- err }
	stop := startWorker(t, w)
	defer stop()
	if _, err := w.Queue.Enqueue(t.Context(), ref, Options{}); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(10 * time.Hour):
		t.Fatal("nothing was heard of the export")
		return nil
	}
}

// waitUntilIdle waits until the queue has no task of an export that will run.
func waitUntilIdle(t testing.TB, q *Queue, ref fetch.Ref) {
	t.Helper()
	for {
		queued, err := q.Queued(ref.Hash())
		if err != nil {
			t.Fatal(err)
		}
		if !queued {
			return
		}
		time.Sleep(fastCheck)
	}
}

// startWorker runs a worker until stop is called.
func startWorker(t testing.TB, w *Worker) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error, 1)
	go func() { over <- w.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-over; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop) // before its client is closed, which asynq would not survive
	return stop
}

func openArchive(t testing.TB) *archive.Archive {
	t.Helper()
	a, err := archive.Open(t.TempDir(), "", archive.SiteEmpty)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func parseTime(s string) time.Time {
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return at
}
