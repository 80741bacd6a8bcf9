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

// soon is how soon the workers of these tests notice a task.
const soon = 20 * time.Millisecond

// eager is a worker that notices tasks soon, and tells how exports fare.
func eager(s store, a *archive.Archive, f Fetcher) (*Worker, chan error) {
	w, ended := newWorker(NewQueue(s.client), a, f), make(chan error, 1000)
	w.TaskCheckInterval, w.PollInterval = soon, soon
	w.OnEnd = func(_ fetch.Ref, _ *archive.Receipt, err error) { ended <- err }
	return w, ended
}

func mustEnqueue(t testing.TB, q *Queue, ref fetch.Ref) bool {
	t.Helper()
	news, err := q.Enqueue(t.Context(), ref, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return news
}

func TestTwiceIsHarmless(t *testing.T) {
	inEach(t, func(t *testing.T, s store) {
		shelf, a, ref := &shelf{}, open(t), parseRef(t, jobRef)
		w, ended := eager(s, a, shelf.on(a))
		for n := range 3 {
			if news := mustEnqueue(t, w.Queue, ref); news != (n == 0) {
				t.Errorf("the %dth time is news: %v", n+1, news)
			}
		}
		defer serve(t, w)()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		idle(t, w.Queue, ref)
		mustEnqueue(t, w.Queue, ref)
		idle(t, w.Queue, ref)
		if shelf.answers(ref) != 1 {
			t.Errorf("it was fetched %d times", shelf.answers(ref))
		}
		mustLand(t, a, ref)
	})
}

func TestWhatFailedStaysFailedUntilSomeoneAsks(t *testing.T) {
	inEach(t, func(t *testing.T, s store) {
		for _, asked := range []bool{false, true} {
			script, a, ref := &script{ends: []error{fetch.ErrAuth}, asked: asked}, open(t), parseRef(t, fmt.Sprint(jobRef, asked))
			w, ended := eager(s, a, script)
			w.Queue.redis.Del(t.Context(), archiveKey)
			stop := serve(t, w)
			mustEnqueue(t, w.Queue, ref)
			if err := <-ended; !errors.Is(err, fetch.ErrAuth) {
				t.Fatal(err)
			}
			idle(t, w.Queue, ref)
			if mustEnqueue(t, w.Queue, ref) {
				t.Error("what has failed is news")
			}
			idle(t, w.Queue, ref)
			if state, _ := stateOf(t, a, ref); len(script.times) != 1 || state.Phase != archive.Failed || state.Cause != "auth-denied" {
				t.Errorf("%d attempts, %+v", len(script.times), state)
			}
			_, err := w.Queue.Remove(ref.Hash())
			if err := errors.Join(err, ResetBudget(a, ref, Options{})); err != nil {
				t.Fatal(err)
			}
			mustEnqueue(t, w.Queue, ref)
			idle(t, w.Queue, ref)
			if len(script.times) != 2 {
				t.Errorf("%d attempts", len(script.times))
			}
			stop()
		}
	})
}

func TestManyWhoEnqueueTheSameLandItOnce(t *testing.T) {
	inEach(t, func(t *testing.T, s store) {
		const many = 200
		shelf, a := &shelf{}, open(t)
		w, ended := eager(s, a, shelf.on(a))
		w.PollConcurrency, w.FetchConcurrency = 4, 4
		defer serve(t, w)()
		refs, news := make([]fetch.Ref, many), atomic.Int64{}
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
						news.Add(1)
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
			idle(t, w.Queue, ref)
			if shelf.answers(ref) != 1 {
				t.Errorf("%s was fetched %d times", ref, shelf.answers(ref))
			}
		}
		mustLand(t, a, refs...)
		if n := news.Load(); n < many {
			t.Errorf("%d were news", n)
		}
	})
}

func TestForget(t *testing.T) {
	inEach(t, func(t *testing.T, s store) {
		ref, a := parseRef(t, jobRef), open(t)
		hash, q := ref.Hash(), NewQueue(s.client)
		gone := func(when string) {
			t.Helper()
			running, err := q.Remove(hash)
			queued, lookErr := q.Queued(hash)
			if running || queued || err != nil || lookErr != nil {
				t.Errorf("%s: running %v, queued %v, %v, %v", when, running, queued, err, lookErr)
			}
			for _, at := range tasksOf(hash) {
				if task, err := q.inspector.GetTaskInfo(at.queue, at.id); !absent(err) {
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

		w, _ := eager(s, a, &script{ends: []error{&fetch.CallError{Kind: fetch.ErrThrottled, RetryAfter: time.Hour}}})
		stop := serve(t, w)
		mustEnqueue(t, q, ref)
		inState(t, q, fetchQueue, fetchID(hash), asynq.TaskStateRetry)
		if queued, err := q.Queued(hash); !queued || err != nil {
			t.Errorf("waiting: queued %v, %v", queued, err)
		}
		stop()
		gone("waiting")

		w, ended := eager(s, a, &script{ends: []error{fetch.ErrAuth}})
		stop = serve(t, w)
		mustEnqueue(t, q, ref)
		<-ended
		inState(t, q, fetchQueue, fetchID(hash), asynq.TaskStateArchived)
		idle(t, q, ref) // once its poll is over too
		stop()
		gone("given up")
	})
}

// inState waits until a task is in a state.
func inState(t testing.TB, q *Queue, queue, id string, state asynq.TaskState) {
	t.Helper()
	for {
		task, err := q.inspector.GetTaskInfo(queue, id)
		if err == nil && task.State == state {
			return
		}
		if err != nil && !absent(err) {
			t.Fatal(err)
		}
		time.Sleep(soon / 4)
	}
}

func TestForgetEndsWhatRuns(t *testing.T) {
	inEach(t, func(t *testing.T, s store) {
		ref, a, begun := parseRef(t, jobRef), open(t), make(chan bool, 10)
		w, _ := eager(s, a, &steps{fetch: func(ctx context.Context, _ fetch.Ref) (*archive.Receipt, error) {
			begun <- true
			<-ctx.Done()
			return nil, ctx.Err()
		}})
		defer serve(t, w)()
		mustEnqueue(t, w.Queue, ref)
		<-begun
		if mustEnqueue(t, w.Queue, ref) {
			t.Error("what is being fetched is news")
		}
		if running, err := w.Queue.Remove(ref.Hash()); !running || err != nil {
			t.Fatalf("running %v, %v", running, err)
		}
		settleWhenFree(t, a, ref, archive.Cancelled)
		for running, err := true, error(nil); running; running, err = w.Queue.Remove(ref.Hash()) {
			if err != nil {
				t.Fatal(err)
			}
		}
		idle(t, w.Queue, ref)
		if state, _ := stateOf(t, a, ref); state.Phase != archive.Cancelled || state.Attempts != 0 {
			t.Errorf("%+v", state)
		}
	})
}

func settleWhenFree(t testing.TB, a *archive.Archive, ref fetch.Ref, phase archive.Phase) {
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

// known gives an archive exports in each phase, and returns those that a queue
// should have.
func known(t testing.TB, a *archive.Archive) (unfinished, others []fetch.Ref) {
	t.Helper()
	at := func(n string) fetch.Ref { return parseRef(t, jobRef+n) }
	again := at("landed").WithRevision(parseTime("2026-03-04T05:06:07Z"))
	unfinished = []fetch.Ref{at("waiting"), at("seen"), again, parseRef(t, "https://h.example/a.csv#size=19")}
	others = []fetch.Ref{at("landed"), at("failed"), at("cancelled"), parseRef(t, "https://h.example/a.csv?Expires=1&Signature=x")}
	if _, err := (&shelf{}).on(a).Fetch(t.Context(), others[0]); err != nil {
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
	settle(t, a, unfinished[1], "")
	settle(t, a, others[1], archive.Failed)
	settle(t, a, others[2], archive.Cancelled)
	return unfinished, others
}

func TestTopUpBringsBackWhatIsUnfinished(t *testing.T) {
	inEach(t, func(t *testing.T, s store) {
		a, q := open(t), NewQueue(s.client)
		unfinished, _ := known(t, a)
		for _, want := range []int{len(unfinished), 0} {
			if n, err := q.Requeue(t.Context(), a); n != want || err != nil {
				t.Errorf("%d exports, %v; want %d", n, err, want)
			}
		}
		s.lose()
		if n, err := NewQueue(s.dial()).Requeue(t.Context(), a); n != len(unfinished) || err != nil {
			t.Errorf("after a loss: %d exports, %v", n, err)
		}
		for _, ref := range unfinished {
			task, err := q.inspector.GetTaskInfo(pollQueue, pollID(ref.Hash()))
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

func TestTopUpBringsBackWhatWasRenewedButGivenUp(t *testing.T) {
	inEach(t, func(t *testing.T, s store) {
		a, ref := open(t), parseRef(t, jobRef)
		w, ended := eager(s, a, &script{ends: []error{fetch.ErrAuth, nil}})
		defer serve(t, w)()
		mustEnqueue(t, w.Queue, ref)
		<-ended
		idle(t, w.Queue, ref)
		if err := ResetBudget(a, ref, Options{}); err != nil {
			t.Fatal(err)
		}
		if n, err := w.Queue.Requeue(t.Context(), a); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
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
			r, a := startRedis(t), open(t)
			ready := atomic.Bool{}
			f := (&shelf{}).on(a)
			w, ended := eager(store{client: r.client}, a, &steps{fetch: f.Fetch, ask: func(context.Context, fetch.Ref) error {
				if ready.Load() {
					return nil
				}
				return running
			}})
			w.PollInterval = time.Hour // what is lost is not found again by waiting
			defer serve(t, w)()
			refs := []fetch.Ref{parseRef(t, jobRef+"1"), parseRef(t, jobRef+"2")}
			for _, ref := range refs {
				mustEnqueue(t, w.Queue, ref)
				inState(t, w.Queue, pollQueue, pollID(ref.Hash()), asynq.TaskStateRetry)
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
	inEach(t, func(t *testing.T, s store) {
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
		w, _ := eager(s, open(t), &script{})
		if err := w.Run(ctx); !errors.Is(err, ErrOtherArchive) {
			t.Errorf("a worker of another archive runs: %v", err)
		}
	})
}

func TestAWorkerStopsWhereRedisHasBecomeAnothers(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for a look at Redis")
	}
	t.Parallel()
	p := pretend(t)
	w, ended := eager(store{client: p.client}, open(t), &script{ends: []error{nil}})
	over := make(chan error, 1)
	go func() { over <- w.Run(t.Context()) }()
	mustEnqueue(t, w.Queue, parseRef(t, jobRef))
	<-ended // it is up
	p.FlushAll()
	if err := NewQueue(p.client).Register(t.Context(), "another"); err != nil {
		t.Fatal(err)
	}
	p.tell("run_id", "2")
	if err := <-over; !errors.Is(err, ErrOtherArchive) {
		t.Errorf("it ended with %v", err)
	}
}
