package worker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"tallyman/fetch"
	"tallyman/verify/archive"
)

// A jobFetcher is a Fetcher of jobs that are running until they are said to be otherwise.
type jobFetcher struct {
	mu      sync.Mutex
	answers map[string]error // of Poll, by reference; jobRunning where there is none
	all     error            // instead of any, if it is not nil
	takes   time.Duration    // a Poll
	polls   map[string][]time.Time
}

func newJobFetcher() *jobFetcher {
	return &jobFetcher{answers: map[string]error{}, polls: map[string][]time.Time{}}
}

func (f *jobFetcher) say(ref fetch.Ref, answer error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[ref.String()] = answer
}

func (f *jobFetcher) sayOfAll(answer error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = answer
}

func (f *jobFetcher) polled(ref fetch.Ref) []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.polls[ref.String()]
}

// count counts the polls of all jobs.
func (f *jobFetcher) count() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, polls := range f.polls {
		n += len(polls)
	}
	return n
}

func (f *jobFetcher) Poll(ctx context.Context, ref fetch.Ref) error {
	_ = fetch.Sleep(ctx, f.takes)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.polls[ref.String()] = append(f.polls[ref.String()], time.Now())
	return f.answer(ref)
}

func (f *jobFetcher) answer(ref fetch.Ref) error {
	answer, said := f.answers[ref.String()]
	switch {
	case f.all != nil:
		return f.all
	case said:
		return answer
	}
	return jobRunning
}

func (f *jobFetcher) Fetch(_ context.Context, ref fetch.Ref) (*archive.Receipt, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.answer(ref); err != nil {
		return nil, err
	}
	return &archive.Receipt{}, nil
}

// ends collects how exports end, by reference.
type ends struct {
	mu sync.Mutex
	of map[string]error
	at map[string]time.Time
}

func (e *ends) end(ref fetch.Ref, _ *archive.Receipt, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.of == nil {
		e.of, e.at = map[string]error{}, map[string]time.Time{}
	}
	e.of[ref.String()], e.at[ref.String()] = err, time.Now()
}

func (e *ends) ended(ref fetch.Ref) (at time.Time, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.at[ref.String()], e.of[ref.String()]
}

// newWaitingWorker returns a worker of a queue in a fake Redis, and how its exports end.
func newWaitingWorker(t *testing.T, f Fetcher) (*Worker, *fakeRedis, *ends) {
	t.Helper()
	p, e := newFakeRedis(t), &ends{}
	w := newWorker(NewQueue(p.client), openArchive(t), f)
	w.PollInterval, w.TaskCheckInterval, w.OnEnd = 2*time.Second, 5*time.Second, e.end // each look of asynq costs the fake Redis a script
	return w, p, e
}

func newMember(w *Worker, ref fetch.Ref, asked time.Time, said string) member {
	return member{hash: ref.Hash(), asked: asked, group: w.groupOf(ref), payload: string(payloadOf(newTask(ref, Options{}))), said: said}
}

// tasks counts the tasks of asynq that exports have.
func tasks(t *testing.T, q *Queue) (n int) {
	t.Helper()
	for _, queue := range []string{pollQueue, fetchQueue} {
		if info, err := q.inspector.GetQueueInfo(queue); err == nil {
			n += info.Size
		}
	}
	return n
}

// An export that waits for its job has no task, no file and no record, is asked for at
// the pauses that each poll has, and lands once its job is ready.
func TestAnExportThatWaitsIsOneMember(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, ref := newJobFetcher(), parseRef(t, jobRef)
		w, _, e := newWaitingWorker(t, f)
		mustEnqueue(t, w.Queue, ref)
		defer startWorker(t, w)()
		time.Sleep(30 * time.Minute)
		if n := tasks(t, w.Queue); n != 0 {
			t.Errorf("there are %d tasks", n)
		}
		if added := mustEnqueue(t, w.Queue, ref); added {
			t.Error("what waits is enqueued again")
		}
		if kept, _ := filepath.Glob(filepath.Join(w.Archive.Path("."), ".ingest", strings.Repeat("?", 32))); len(kept) > 0 {
			t.Errorf("it has %q", kept)
		}
		s, err := (&Client{Archive: w.Archive, Queue: w.Queue}).Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if status, err := s.Export(ref); err != nil || status.State != StateWaiting || status.Message != jobRunning.Error() || status.Next.Before(time.Now().Add(-3*w.TaskCheckInterval)) { // it may be due, and not seen yet
			t.Errorf("%+v, %v", status, err)
		}
		polled := f.polled(ref)
		for n := 1; n < len(polled); n++ {
			if pause := polled[n].Sub(polled[n-1]); pause < 1500*time.Millisecond || pause > maxPollInterval*11/10+2*w.TaskCheckInterval {
				t.Errorf("poll %d is %v after the one before", n+1, pause)
			}
		}
		if n := len(polled); n < 22 || n > 45 {
			t.Errorf("%d polls in half an hour", n)
		}
		f.say(ref, nil)
		ready := time.Now()
		time.Sleep(2 * time.Minute)
		if at, err := e.ended(ref); err != nil || at.IsZero() || at.Sub(ready) > maxPollInterval*11/10+4*w.TaskCheckInterval {
			t.Errorf("%v, %v after the job was ready", err, at.Sub(ready))
		}
		if waits, err := w.Queue.waits(t.Context(), ref.Hash()); waits || err != nil {
			t.Errorf("it still waits: %v", err)
		}
		if groups, err := w.Queue.redis.HLen(t.Context(), groupsKey).Result(); groups != 0 || err != nil {
			t.Errorf("%d groups are left, %v", groups, err)
		}
	})
}

// What ends a wait is decided by a task of the export, as ever.
func TestEachEndOfAWait(t *testing.T) {
	if testing.Short() {
		t.Skip("it spans hours")
	}
	t.Parallel()
	for name, test := range map[string]struct {
		answer error
		cause  Cause
		within time.Duration
	}{
		"failed":         {&fetch.JobError{State: fetch.Failed, Status: "FAILED"}, "job-failed", 2 * time.Minute},
		"expired":        {&fetch.JobError{State: fetch.Expired, Status: "EXPIRED"}, "job-expired", 2 * time.Minute},
		"refused":        {fetch.ErrRefused, "job-failed", 2 * time.Minute},
		"not found":      {fetch.ErrNotFound, "not-found", 2 * time.Minute},
		"unknown status": {unknownStatus, "unknown-status", 12 * time.Minute},
		"too long":       {nil, "not-ready", 50 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f, ref := newJobFetcher(), parseRef(t, jobRef)
				w, _, e := newWaitingWorker(t, f)
				w.Wait = time.Hour
				mustEnqueue(t, w.Queue, ref)
				defer startWorker(t, w)()
				time.Sleep(10*time.Minute + time.Second)
				if test.answer != nil {
					f.say(ref, test.answer)
				}
				began := time.Now()
				time.Sleep(test.within + 30*time.Second)
				at, err := e.ended(ref)
				if Classify(err).Cause != test.cause || at.IsZero() {
					t.Fatalf("it ended with %v", err)
				}
				if test.answer == nil && at.Sub(began) < 50*time.Minute-2*time.Second {
					t.Errorf("it ended %v early", 50*time.Minute-at.Sub(began))
				}
				if state, _ := stateOf(t, w.Archive, ref); state.Phase != archive.Failed {
					t.Errorf("%+v", state)
				}
			})
		})
	}
}

// What says nothing of the job ends no wait, even where it would end a first attempt: the
// job was there before.
func TestAnOutageEndsNoWait(t *testing.T) {
	if testing.Short() {
		t.Skip("it spans hours")
	}
	t.Parallel()
	for name, answer := range map[string]error{
		"wrong key": fetch.ErrAuth, "throttled": &fetch.CallError{Call: "List", Kind: fetch.ErrThrottled, RetryAfter: 90 * time.Second},
		"network": networkErr, "proxy": fetch.ErrProxy, "disk": &os.PathError{Op: "write", Path: "a", Err: syscall.ENOSPC},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newJobFetcher()
				w, _, e := newWaitingWorker(t, f)
				var refs []fetch.Ref
				for n := range 5 {
					refs = append(refs, parseRef(t, fmt.Sprint(jobRef, n)))
					mustEnqueue(t, w.Queue, refs[n])
				}
				var told []OutageEvent
				w.OnOutage = func(e OutageEvent) { f.mu.Lock(); defer f.mu.Unlock(); told = append(told, e) }
				defer startWorker(t, w)()
				time.Sleep(5 * time.Minute)
				f.sayOfAll(answer)
				time.Sleep(90 * time.Minute)
				before := len(f.polled(refs[0]))
				if before > 110 {
					t.Errorf("asked %d times", before)
				}
				f.sayOfAll(nil)
				for _, ref := range refs {
					f.say(ref, nil)
				}
				time.Sleep(4 * time.Minute)
				for _, ref := range refs {
					if at, err := e.ended(ref); err != nil || at.IsZero() {
						t.Errorf("%s ended with %v", ref, err)
					}
				}
				f.mu.Lock()
				defer f.mu.Unlock()
				if len(told) < 2 || len(told) > 5 || told[0].Err == nil || told[len(told)-1].Err != nil {
					t.Errorf("told %v", told)
				}
			})
		})
	}
}

// Who asks for something of an export that waits need not wait for its turn.
func TestCancelAndRetryOfWhatWaitsActAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newJobFetcher()
		w, _, e := newWaitingWorker(t, f)
		c := &Client{Archive: w.Archive, Queue: w.Queue}
		cancelled, retried := parseRef(t, jobRef+"cancelled"), parseRef(t, jobRef+"retried")
		mustEnqueue(t, w.Queue, cancelled)
		mustEnqueue(t, w.Queue, retried)
		defer startWorker(t, w)()
		time.Sleep(10*time.Minute + 10*time.Second)
		began := time.Now()
		if err := c.Cancel(t.Context(), cancelled); err != nil || time.Since(began) > time.Second {
			t.Errorf("cancelled after %v: %v", time.Since(began), err)
		}
		f.say(retried, nil)
		if s, err := c.Retry(t.Context(), retried); err != nil || s.State != StateQueued {
			t.Errorf("%+v, %v", s, err)
		}
		time.Sleep(3 * w.TaskCheckInterval)
		if at, err := e.ended(retried); err != nil || at.IsZero() {
			t.Errorf("it was not tried again: %v", err)
		}
		polled := len(f.polled(cancelled))
		time.Sleep(10 * time.Minute)
		if len(f.polled(cancelled)) != polled {
			t.Error("what was cancelled is asked for")
		}
	})
}

// An export that waits again is not removed by who has read that it waited before: its job
// was ready then, and was not when it was fetched.
func TestALaterWaitIsNotEndedByAnEarlierLook(t *testing.T) {
	onEachRedis(t, func(t *testing.T, s redisServer) {
		w, ref, ctx := newWorker(NewQueue(s.client), nil, nil), parseRef(t, jobRef), t.Context()
		m := newMember(w, ref, time.Unix(1, 2), "running")
		if err := w.Queue.wait(ctx, m, time.Now().Add(-time.Second)); err != nil {
			t.Fatal(err)
		}
		read, err := w.Queue.dueMembers(ctx, m.group, time.Now(), 10)
		if err != nil || len(read) != 1 || read[0].hash != ref.Hash() || !read[0].asked.Equal(m.asked) || read[0].said != m.said {
			t.Fatalf("read %+v, %v", read, err)
		}
		if err := w.Queue.wait(ctx, m, time.Now().Add(-time.Second)); err != nil {
			t.Fatal(err)
		}
		for value, removes := range map[string]bool{read[0].value: false} {
			if removed, err := w.Queue.endWait(ctx, ref.Hash(), value); removed != removes || err != nil {
				t.Errorf("removed %v, %v", removed, err)
			}
		}
		if read, err = w.Queue.dueMembers(ctx, m.group, time.Now(), 10); err != nil || len(read) != 1 {
			t.Fatalf("read %+v, %v", read, err)
		}
		if removed, err := w.Queue.endWait(ctx, ref.Hash(), read[0].value); !removed || err != nil {
			t.Errorf("removed %v, %v", removed, err)
		}
		if read, err := w.Queue.dueMembers(ctx, m.group, time.Now(), 10); err != nil || len(read) != 0 {
			t.Errorf("read %+v, %v", read, err)
		}
	})
}

// A worker that dies in its turn delays the members by its lease and no more, and one
// that wakes up later finds that its turn is over.
func TestATurnEndsWithItsLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, ref := newJobFetcher(), parseRef(t, jobRef)
		w, p, e := newWaitingWorker(t, f)
		m := newMember(w, ref, time.Now(), "")
		if err := errors.Join(ResetBudget(w.Archive, ref, Options{}), w.Queue.Register(t.Context(), w.Archive.ID()), w.Queue.wait(t.Context(), m, time.Now())); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		dead := NewQueue(p.dial())
		if err := dead.claimGroups(t.Context()); err != nil { // its worker dies with the task
			t.Fatal(err)
		}
		turn, _, _ := strings.Cut(w.Queue.redis.HGet(t.Context(), groupsKey, m.group).Val(), " ")
		if err := dead.inspector.DeleteTask(placeQueue, placeTaskID(m.group, turn)); err != nil {
			t.Fatal(err)
		}
		f.say(ref, nil)
		defer startWorker(t, w)()
		began := time.Now()
		time.Sleep(groupLease + 4*w.TaskCheckInterval)
		if at, err := e.ended(ref); err != nil || at.IsZero() || at.Sub(began) < groupLease-2*time.Second {
			t.Errorf("it ended %v after the worker had died: %v", at.Sub(began), err)
		}
		if mine, err := dead.renew(t.Context(), m.group, turn, time.Now().Add(time.Hour)); mine || err != nil {
			t.Errorf("a turn that is over goes on: %v", err)
		}
	})
}

// What waits and Redis loses is brought back.
func TestWhatWaitsIsBroughtBackWhenRedisIsEmptied(t *testing.T) {
	if testing.Short() {
		t.Skip("it spans hours")
	}
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newJobFetcher()
		w, p, e := newWaitingWorker(t, f)
		var refs []fetch.Ref
		for n := range 50 {
			refs = append(refs, parseRef(t, fmt.Sprint(jobRef, n)))
			mustEnqueue(t, w.Queue, refs[n])
		}
		defer startWorker(t, w)()
		time.Sleep(3 * time.Minute)
		p.FlushAll()
		time.Sleep(30 * time.Second)
		for _, ref := range refs {
			if queued, err := w.Queue.Queued(ref.Hash()); !queued || err != nil {
				t.Errorf("%s is lost: %v", ref, err)
			}
			f.say(ref, nil)
		}
		time.Sleep(3 * time.Minute)
		for _, ref := range refs {
			if at, err := e.ended(ref); err != nil || at.IsZero() {
				t.Errorf("%s ended with %v", ref, err)
			}
		}
	})
}

// Members that no version of this package has written keep none from being asked for.
func TestMembersThatCanNotBeReadAreDropped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, ref := newJobFetcher(), parseRef(t, jobRef)
		w, p, e := newWaitingWorker(t, f)
		group := w.groupOf(ref)
		for n, value := range []string{"", "1", "x\n" + group + "\n{}\n", "1\n" + group + "\n" + string(payloadOf(newTask(ref, Options{}))) + "\n"} {
			p.HSet(membersKey, fmt.Sprint("bad", n), value)
			if _, err := p.ZAdd(dueKey+group, 1, fmt.Sprint("bad", n)); err != nil {
				t.Fatal(err)
			}
		}
		p.HSet(groupsKey, group, "what")
		mustEnqueue(t, w.Queue, ref)
		defer startWorker(t, w)()
		time.Sleep(time.Minute)
		f.say(ref, nil)
		time.Sleep(2 * time.Minute)
		if at, err := e.ended(ref); err != nil || at.IsZero() {
			t.Errorf("it ended with %v", err)
		}
	})
}

// Two workers ask for what waits no more often than one.
func TestOneWorkerLooksAfterAGroup(t *testing.T) {
	onEachRedis(t, func(t *testing.T, s redisServer) {
		f, a := newJobFetcher(), openArchive(t)
		const many = 40
		for range 2 {
			w := newWorker(NewQueue(s.dial()), a, f)
			w.PollInterval, w.TaskCheckInterval = 300*time.Millisecond, fastCheck
			defer startWorker(t, w)()
		}
		q := NewQueue(s.client)
		var refs []fetch.Ref
		for n := range many {
			refs = append(refs, parseRef(t, fmt.Sprint(jobRef, n)))
			mustEnqueue(t, q, refs[n])
		}
		time.Sleep(3 * time.Second)
		for _, ref := range refs {
			polled := f.polled(ref)
			if len(polled) < 3 {
				t.Errorf("%s was asked for %d times", ref, len(polled))
			}
			for n := 1; n < len(polled); n++ {
				if pause := polled[n].Sub(polled[n-1]); pause < 200*time.Millisecond {
					t.Errorf("%s was asked for after %v", ref, pause)
				}
			}
		}
	})
}
