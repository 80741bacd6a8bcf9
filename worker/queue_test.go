package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"tallyman/fetch"
	"tallyman/verify/archive"
)

// fastCheck is how soon the workers of these tests notice a task.
const fastCheck = 20 * time.Millisecond

// newFastWorker returns a worker that notices tasks soon, and a channel of how
// exports end.
func newFastWorker(s redisServer, a *archive.Archive, f Fetcher) (*Worker, chan error) {
	w, ended := newWorker(NewQueue(s.client), a, f), make(chan error, 1000)
	w.TaskCheckInterval, w.PollInterval = fastCheck, fastCheck
	w.OnEnd = func(_ fetch.Ref, _ *archive.Receipt, err error) { ended <- err }
	return w, ended
}

func mustEnqueue(t testing.TB, q *Queue, ref fetch.Ref) bool {
	t.Helper()
	added, err := q.Enqueue(t.Context(), ref, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return added
}

func TestAnExportEnqueuedTwiceIsFetchedOnce(t *testing.T) {
	onEachRedis(t, func(t *testing.T, s redisServer) {
		shelf, a, ref := newProvider(0), openArchive(t), parseRef(t, jobRef)
		w, ended := newFastWorker(s, a, newFetcher(shelf, a))
		for n := range 3 {
			if added := mustEnqueue(t, w.Queue, ref); added != (n == 0) {
				t.Errorf("the %dth time is added: %v", n+1, added)
			}
		}
		defer startWorker(t, w)()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		waitUntilIdle(t, w.Queue, ref)
		mustEnqueue(t, w.Queue, ref)
		waitUntilIdle(t, w.Queue, ref)
		if shelf.Answered(ref) != 1 {
			t.Errorf("it was fetched %d times", shelf.Answered(ref))
		}
		mustLand(t, a, ref)
	})
}

func TestAFailedExportStaysSoUntilItsBudgetIsReset(t *testing.T) {
	onEachRedis(t, func(t *testing.T, s redisServer) {
		for _, asked := range []bool{false, true} {
			script, a, ref := &scriptedFetcher{ends: []error{fetch.ErrAuth}, polled: asked}, openArchive(t), parseRef(t, fmt.Sprint(jobRef, asked))
			w, ended := newFastWorker(s, a, script)
			w.Queue.redis.Del(t.Context(), archiveKey)
			stop := startWorker(t, w)
			mustEnqueue(t, w.Queue, ref)
			if err := <-ended; !errors.Is(err, fetch.ErrAuth) {
				t.Fatal(err)
			}
			waitUntilIdle(t, w.Queue, ref)
			if mustEnqueue(t, w.Queue, ref) {
				t.Error("what has failed is added")
			}
			waitUntilIdle(t, w.Queue, ref)
			if state, _ := stateOf(t, a, ref); len(script.times) != 1 || state.Phase != archive.Failed || state.Cause != "auth-denied" {
				t.Errorf("%d attempts, %+v", len(script.times), state)
			}
			stop() // or it may bring back what is asked for before this does
			_, err := w.Queue.Remove(ref.Hash())
			if err := errors.Join(err, ResetBudget(a, ref, Options{})); err != nil {
				t.Fatal(err)
			}
			mustEnqueue(t, w.Queue, ref)
			w, _ = newFastWorker(s, a, script)
			stop = startWorker(t, w)
			waitUntilIdle(t, w.Queue, ref)
			if len(script.times) != 2 {
				t.Errorf("%d attempts", len(script.times))
			}
			stop()
		}
	})
}

func TestExportsThatManyEnqueueAreFetchedOnce(t *testing.T) {
	onEachRedis(t, func(t *testing.T, s redisServer) {
		const many = 60
		shelf, a := newProvider(0), openArchive(t)
		w, ended := newFastWorker(s, a, newFetcher(shelf, a))
		w.PollConcurrency, w.FetchConcurrency = 4, 4
		defer startWorker(t, w)()
		refs, total := make([]fetch.Ref, many), atomic.Int64{}
		for n := range refs {
			refs[n] = parseRef(t, fmt.Sprint(jobRef, n))
		}
		var all sync.WaitGroup
		for range 4 {
			q := NewQueue(s.dial())
			all.Go(func() {
				for _, ref := range refs {
					added, err := q.Enqueue(context.Background(), ref, Options{})
					if err != nil {
						t.Error(err)
					}
					if added {
						total.Add(1)
					}
				}
			})
		}
		all.Wait()
		for range many {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		for _, ref := range refs {
			waitUntilIdle(t, w.Queue, ref)
			if shelf.Answered(ref) != 1 {
				t.Errorf("%s was fetched %d times", ref, shelf.Answered(ref))
			}
		}
		mustLand(t, a, refs...)
		if n := total.Load(); n < many {
			t.Errorf("%d tasks were added", n)
		}
	})
}

func TestRemove(t *testing.T) {
	onEachRedis(t, func(t *testing.T, s redisServer) {
		ref, a := parseRef(t, jobRef), openArchive(t)
		hash, q := ref.Hash(), NewQueue(s.client)
		gone := func(when string) {
			t.Helper()
			running, err := q.Remove(hash)
			queued, lookErr := q.Queued(hash)
			if running || queued || err != nil || lookErr != nil {
				t.Errorf("%s: running %v, queued %v, %v, %v", when, running, queued, err, lookErr)
			}
			for _, at := range taskLocations(hash) {
				if task, err := q.inspector.GetTaskInfo(at.queue, at.id); !isNotFound(err) {
					t.Errorf("%s: %+v, %v", when, task, err)
				}
			}
		}
		gone("no queue")
		mustEnqueue(t, q, ref)
		if queued, err := q.Queued(hash); !queued || err != nil {
			t.Errorf("pending: queued %v, %v", queued, err)
		}
		gone("pending")

		w, _ := newFastWorker(s, a, &scriptedFetcher{ends: []error{&fetch.CallError{Kind: fetch.ErrThrottled, RetryAfter: time.Hour}}})
		stop := startWorker(t, w)
		mustEnqueue(t, q, ref)
		waitForState(t, q, hash, asynq.TaskStateRetry)
		if queued, err := q.Queued(hash); !queued || err != nil {
			t.Errorf("waiting: queued %v, %v", queued, err)
		}
		stop()
		gone("waiting")

		w, ended := newFastWorker(s, a, &scriptedFetcher{ends: []error{fetch.ErrAuth}})
		stop = startWorker(t, w)
		mustEnqueue(t, q, ref)
		<-ended
		waitForState(t, q, hash, asynq.TaskStateArchived)
		waitUntilIdle(t, q, ref) // its poll has to end, too
		stop()
		gone("given up")
	})
}

// waitForState waits until the task of an export is in a state.
func waitForState(t testing.TB, q *Queue, hash string, state asynq.TaskState) {
	t.Helper()
	for {
		for _, at := range taskLocations(hash) {
			task, err := q.inspector.GetTaskInfo(at.queue, at.id)
			if err == nil && task.State == state {
				return
			}
			if err != nil && !isNotFound(err) {
				t.Fatal(err)
			}
		}
		time.Sleep(fastCheck / 4)
	}
}

func TestRemoveEndsATaskThatRuns(t *testing.T) {
	onEachRedis(t, func(t *testing.T, s redisServer) {
		ref, a, begun := parseRef(t, jobRef), openArchive(t), make(chan bool, 10)
		w, _ := newFastWorker(s, a, &fakeFetcher{fetch: func(ctx context.Context, _ fetch.Ref) (*archive.Receipt, error) {
			begun <- true
			<-ctx.Done()
			return nil, ctx.Err()
		}})
		defer startWorker(t, w)()
		mustEnqueue(t, w.Queue, ref)
		<-begun
		if mustEnqueue(t, w.Queue, ref) {
			t.Error("what is being fetched is added")
		}
		if running, err := w.Queue.Remove(ref.Hash()); !running || err != nil {
			t.Fatalf("running %v, %v", running, err)
		}
		setPhaseWhenFree(t, a, ref, archive.Cancelled)
		for running, err := true, error(nil); running; running, err = w.Queue.Remove(ref.Hash()) {
			if err != nil {
				t.Fatal(err)
			}
		}
		waitUntilIdle(t, w.Queue, ref)
		if state, _ := stateOf(t, a, ref); state.Phase != archive.Cancelled || state.Attempts != 0 {
			t.Errorf("%+v", state)
		}
	})
}

func setPhaseWhenFree(t testing.TB, a *archive.Archive, ref fetch.Ref, phase archive.Phase) {
	t.Helper()
	for {
		d, err := a.Record(ref.String(), ref.Key())
		if err == nil {
			d.State.Phase = phase
			if err := errors.Join(d.Save(), d.Close()); err != nil {
				t.Fatal(err)
			}
			return
		}
		if !errors.Is(err, archive.ErrBusy) {
			t.Fatal(err)
		}
	}
}

// fillArchive gives an archive exports in each phase. It returns those that are
// pending, which a queue should have, and the others.
func fillArchive(t testing.TB, a *archive.Archive) (unfinished, others []fetch.Ref) {
	t.Helper()
	at := func(n string) fetch.Ref { return parseRef(t, jobRef+n) }
	again := at("landed").WithRevision(parseTime("2026-03-04T05:06:07Z"))
	unfinished = []fetch.Ref{at("waiting"), at("seen"), again, parseRef(t, "https://h.example/a.csv#size=19")}
	others = []fetch.Ref{at("landed"), at("failed"), at("cancelled"), parseRef(t, "https://h.example/a.csv?Expires=1&Signature=x")}
	if _, err := newFetcher(newProvider(0), a).Fetch(t.Context(), others[0]); err != nil {
		t.Fatal(err)
	}
	for _, ref := range slices.Concat(unfinished[2:], others[3:], unfinished[:1]) {
		if ref.Signed() {
			ref = parseRef(t, "https://h.example/b.csv?Expires=1&Signature=x")
		}
		if err := ResetBudget(a, ref, Options{Wait: Duration(time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	setPhase(t, a, unfinished[1], "")
	setPhase(t, a, others[1], archive.Failed)
	setPhase(t, a, others[2], archive.Cancelled)
	return unfinished, others
}

func TestRequeueBringsBackPendingExports(t *testing.T) {
	onEachRedis(t, func(t *testing.T, s redisServer) {
		a, q := openArchive(t), NewQueue(s.client)
		unfinished, _ := fillArchive(t, a)
		for _, want := range []int{len(unfinished), 0} {
			if n, err := q.Requeue(t.Context(), a); n != want || err != nil {
				t.Errorf("%d exports, %v; want %d", n, err, want)
			}
		}
		s.flush()
		if n, err := NewQueue(s.dial()).Requeue(t.Context(), a); n != len(unfinished) || err != nil {
			t.Errorf("after a loss: %d exports, %v", n, err)
		}
		for _, ref := range unfinished {
			task, err := q.inspector.GetTaskInfo(pollQueue, taskID(typePoll, ref.Hash()))
			if err != nil {
				t.Errorf("%s: %v", ref, err)
				continue
			}
			read, got, err := parseTask(task.Payload)
			if err != nil || got.Key() != ref.Key() || read.Wait != Duration(time.Hour) && !strings.HasSuffix(ref.String(), "seen") {
				t.Errorf("%s: %s, %v", ref, task.Payload, err)
			}
		}
	})
}

func TestRequeueReplacesATaskThatWasGivenUp(t *testing.T) {
	onEachRedis(t, func(t *testing.T, s redisServer) {
		a, ref := openArchive(t), parseRef(t, jobRef)
		w, ended := newFastWorker(s, a, &scriptedFetcher{ends: []error{fetch.ErrAuth}})
		stop := startWorker(t, w)
		mustEnqueue(t, w.Queue, ref)
		<-ended
		waitUntilIdle(t, w.Queue, ref)
		stop() // or its own Requeue might come first
		if err := ResetBudget(a, ref, Options{}); err != nil {
			t.Fatal(err)
		}
		if n, err := w.Queue.Requeue(t.Context(), a); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		w, ended = newFastWorker(s, a, &scriptedFetcher{ends: []error{nil}})
		defer startWorker(t, w)()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestAWorkerBringsBackWhatRedisLost(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for a look at Redis")
	}
	losses := map[string]func(*testing.T, *realRedis){
		"flushed":   func(t *testing.T, r *realRedis) { r.client.FlushAll(t.Context()) },
		"restarted": func(t *testing.T, r *realRedis) { r.restart(t) },
	}
	for name, lose := range losses {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, a := startRedis(t), openArchive(t)
			ready := atomic.Bool{}
			f := newFetcher(newProvider(0), a)
			w, ended := newFastWorker(redisServer{client: r.client}, a, &fakeFetcher{fetch: f.Fetch, poll: func(context.Context, fetch.Ref) error {
				if ready.Load() {
					return nil
				}
				return jobRunning
			}})
			w.PollInterval = time.Hour // so that no poll finds what is lost
			defer startWorker(t, w)()
			refs := []fetch.Ref{parseRef(t, jobRef+"1"), parseRef(t, jobRef+"2")}
			for _, ref := range refs {
				mustEnqueue(t, w.Queue, ref)
				for waits := false; !waits; time.Sleep(fastCheck / 4) {
					var err error
					if waits, err = w.Queue.waits(t.Context(), ref.Hash()); err != nil {
						t.Fatal(err)
					}
				}
			}
			ready.Store(true)
			lose(t, r)
			for range refs {
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}
			mustLand(t, a, refs...)
			if err := w.Queue.CheckArchive(t.Context(), "another"); !errors.Is(err, ErrOtherArchive) {
				t.Errorf("it is not registered: %v", err)
			}
		})
	}
}

func TestARedisServesOneArchive(t *testing.T) {
	onEachRedis(t, func(t *testing.T, s redisServer) {
		ctx, q := t.Context(), NewQueue(s.client)
		if err := q.CheckArchive(ctx, "one"); err != nil {
			t.Errorf("none yet: %v", err)
		}
		for range 2 {
			if err := q.Register(ctx, "one"); err != nil {
				t.Errorf("the first: %v", err)
			}
		}
		if err := q.Register(ctx, "two"); !errors.Is(err, ErrOtherArchive) || !strings.Contains(err.Error(), "one") {
			t.Errorf("another: %v", err)
		}
		if err := errors.Join(q.CheckArchive(ctx, "one")); err != nil {
			t.Error(err)
		}
		w, _ := newFastWorker(s, openArchive(t), &scriptedFetcher{})
		if err := w.Run(ctx); !errors.Is(err, ErrOtherArchive) {
			t.Errorf("a worker of another archive runs: %v", err)
		}
	})
}

func TestAWorkerStopsIfRedisServesAnotherArchive(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for a look at Redis")
	}
	t.Parallel()
	p := newFakeRedis(t)
	w, ended := newFastWorker(redisServer{client: p.client}, openArchive(t), &scriptedFetcher{ends: []error{nil}})
	over := make(chan error, 1)
	go func() { over <- w.Run(t.Context()) }()
	mustEnqueue(t, w.Queue, parseRef(t, jobRef))
	<-ended // the worker runs
	p.FlushAll()
	if err := NewQueue(p.client).Register(t.Context(), "another"); err != nil {
		t.Fatal(err)
	}
	p.setInfo("run_id", "2")
	if err := <-over; !errors.Is(err, ErrOtherArchive) {
		t.Errorf("it ended with %v", err)
	}
}
