package worker

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hibiken/asynq"

	"tallyman/fetch"
	"tallyman/verify/archive"
)

const drain = 10 * time.Second

// A drainTest is a worker that is stopped while it runs a task.
type drainTest struct {
	*Worker
	ref    fetch.Ref
	begun  chan struct{} // once for each attempt
	cancel context.CancelFunc
	over   chan error
}

// startDrainTest enqueues an export and waits until its task does do: the poll if
// asked is true, else the fetch.
func startDrainTest(t *testing.T, asked bool, do func(context.Context) error) *drainTest {
	t.Helper()
	d := &drainTest{&Worker{DrainTimeout: drain}, parseRef(t, jobRef), make(chan struct{}, 10), nil, make(chan error, 1)}
	(&scriptedFetcher{}).setUp(t, d.Worker)
	step := func(ctx context.Context) error {
		d.begun <- struct{}{}
		return do(ctx)
	}
	d.Fetcher = &fakeFetcher{fetch: func(ctx context.Context, _ fetch.Ref) (*archive.Receipt, error) { return nil, step(ctx) }}
	if asked {
		d.Fetcher = &fakeFetcher{poll: func(ctx context.Context, _ fetch.Ref) error { return step(ctx) }}
	}
	d.OnEnd = func(_ fetch.Ref, _ *archive.Receipt, err error) { t.Errorf("it ended with %v", err) }
	if _, err := d.Queue.Enqueue(t.Context(), d.ref, Options{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	d.cancel = cancel
	go func() { d.over <- d.Run(ctx) }()
	<-d.begun
	return d
}

// stop stops the worker and returns how long that took.
func (d *drainTest) stop(t *testing.T) time.Duration {
	t.Helper()
	began := time.Now()
	d.cancel()
	if err := <-d.over; err != nil {
		t.Error(err)
	}
	return time.Since(began)
}

// checkResumable fails the test unless nothing is lost: the export has used no
// attempt, and another worker lands it.
func (d *drainTest) checkResumable(t *testing.T) {
	t.Helper()
	if state, counters := stateOf(t, d.Archive, d.ref); state.Attempts != 0 || state.Phase != archive.Waiting || counters.Starts != 0 {
		t.Errorf("%+v, %+v", state, counters)
	}
	if queued, err := d.Queue.Queued(d.ref.Hash()); !queued || err != nil {
		t.Errorf("queued %v, %v", queued, err)
	}
	other := &Worker{Queue: d.Queue, Archive: d.Archive, Fetcher: newFetcher(newProvider(0), d.Archive), PollConcurrency: 1, FetchConcurrency: 1, Wait: Forever, TaskCheckInterval: checkInterval}
	if err := fetchByWorker(t, other, d.ref); err != nil {
		t.Error(err)
	}
	mustLand(t, d.Archive, d.ref)
}

// forPollAndFetch runs a test with a task that polls, and with one that fetches.
func forPollAndFetch(t *testing.T, do func(t *testing.T, asked bool)) {
	for name, asked := range map[string]bool{"asking": true, "fetching": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { do(t, asked) })
		})
	}
}

func TestAWorkerEndsWhenItsTasksHaveDrained(t *testing.T) {
	t.Parallel()
	forPollAndFetch(t, func(t *testing.T, asked bool) {
		told := make(chan struct{})
		d := startDrainTest(t, asked, func(context.Context) error { <-told; return fetch.ErrDrained })
		time.AfterFunc(time.Second, func() { close(told) })
		if took := d.stop(t); took > 3*time.Second {
			t.Errorf("it took %v", took)
		}
		d.checkResumable(t)
	})
}

func TestTasksThatDoNotDrainAreCancelled(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(context.Context) error{"with the cause": context.Cause, "without": context.Context.Err} {
		t.Run(name, func(t *testing.T) {
			forPollAndFetch(t, func(t *testing.T, asked bool) {
				d := startDrainTest(t, asked, func(ctx context.Context) error { <-ctx.Done(); return end(ctx) })
				if took := d.stop(t); took > drain+time.Second {
					t.Errorf("it took %v", took)
				}
				d.checkResumable(t)
			})
		})
	}
}

func TestHardStopDoesNotWaitForTheDrain(t *testing.T) {
	t.Parallel()
	forPollAndFetch(t, func(t *testing.T, asked bool) {
		d := startDrainTest(t, asked, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		hurry, hasten := context.WithCancel(t.Context())
		hasten()
		d.HardStop = hurry
		if took := d.stop(t); took > time.Second {
			t.Errorf("it took %v", took)
		}
		d.checkResumable(t)
	})
}

func TestAWorkerEndsEvenIfATaskIgnoresItsContext(t *testing.T) {
	t.Parallel()
	forPollAndFetch(t, func(t *testing.T, asked bool) {
		wakeUp, returned := make(chan struct{}), make(chan struct{})
		d := startDrainTest(t, asked, func(context.Context) error { <-wakeUp; defer close(returned); return errors.New("too late") })
		if took := d.stop(t); took > drain+2*time.Second {
			t.Errorf("it took %v", took)
		}
		task, err := d.Queue.inspector.GetTaskInfo(pollQueue, taskID(typePoll, d.ref.Hash())) // which goes on to fetch
		if err != nil || task.State != asynq.TaskStatePending || task.Retried != 0 {
			t.Errorf("%+v, %v", task, err)
		}
		close(wakeUp)
		<-returned
		synctest.Wait()
		d.checkResumable(t)
	})
}
