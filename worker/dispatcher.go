package worker

import (
	"container/heap"
	"context"
	"errors"
	"sync"
	"time"

	"tallyman/fetch"
	"tallyman/verify/archive"
)

// A dispatcher runs the tasks of a Worker that has no queue in Redis: each when it is
// due and one of PollConcurrency slots is free, those that have been due longest first.
// A task whose job is ready keeps its slot until one of FetchConcurrency is free, so
// that no more jobs are asked ahead than can be fetched soon. An export that was
// received and only waits for its commit takes neither, since many that commit together
// share the work of the disk. Its methods may be called by many goroutines at once.
type dispatcher struct {
	w       *Worker
	softCtx context.Context // of dispatch
	changed chan struct{}   // a task was added, or a slot is free

	mu      sync.Mutex
	tasks   map[string]*localTask // by the hash of the export
	waiting taskHeap              // those that do not run
	polling int                   // those that have a slot of PollConcurrency
	runs    sync.WaitGroup
}

// A localTask is what a task in Redis is, for a dispatcher: one export.
type localTask struct {
	ref     fetch.Ref // with the secret of a signed URL
	options Options
	due     time.Time
	asked   time.Time // when the archive was told of it, if it has not run since
	asker   *asker    // nil if it is for no caller
}

// An asker is for all the callers of Local.Fetch who wait for one export.
type asker struct {
	ended   chan struct{} // closed when receipt and err are set
	receipt *archive.Receipt
	err     error
}

func newDispatcher(w *Worker) *dispatcher {
	return &dispatcher{w: w, changed: make(chan struct{}, 1), tasks: map[string]*localTask{}}
}

// add has an export polled and fetched, unless it is under way: then it returns the
// task that it has.
func (d *dispatcher) add(t *localTask) (task *localTask, added bool) {
	hash := t.ref.Hash()
	d.mu.Lock()
	defer d.mu.Unlock()
	if has := d.tasks[hash]; has != nil {
		return has, false
	}
	d.tasks[hash] = t
	return t, true
}

// schedule has a task that was added run when it is due.
func (d *dispatcher) schedule(t *localTask, due time.Time) {
	d.mu.Lock()
	t.due = due
	heap.Push(&d.waiting, t)
	d.mu.Unlock()
	d.change()
}

// enqueue has an export polled and fetched for nobody who waits, unless it is under way.
func (d *dispatcher) enqueue(ref fetch.Ref, o Options) (added bool) {
	t, added := d.add(&localTask{ref: ref, options: o})
	if added {
		d.schedule(t, time.Now())
	}
	return added
}

// end forgets a task, and tells those who wait for its export how it fared.
func (d *dispatcher) end(t *localTask, receipt *archive.Receipt, err error) {
	d.mu.Lock()
	delete(d.tasks, t.ref.Hash())
	d.mu.Unlock()
	if t.asker != nil {
		t.asker.receipt, t.asker.err = receipt, err
		close(t.asker.ended)
	}
}

func (d *dispatcher) change() {
	select {
	case d.changed <- struct{}{}:
	default: // it is to be noticed already
	}
}

// dispatch runs tasks until ctx ends. Those that run then go on: see wait.
func (d *dispatcher) dispatch(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	slots := max(d.w.PollConcurrency, 1)
	for ctx.Err() == nil {
		d.mu.Lock()
		now := time.Now()
		for d.polling < slots && len(d.waiting) > 0 && !d.waiting[0].due.After(now) {
			t := heap.Pop(&d.waiting).(*localTask)
			d.polling++
			d.runs.Go(func() { d.run(t) })
		}
		timer.Stop()
		if d.polling < slots && len(d.waiting) > 0 {
			timer.Reset(d.waiting[0].due.Sub(now))
		}
		d.mu.Unlock()
		select {
		case <-d.changed:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
}

// justNow is how long after it was asked for an export need not be looked up again.
const justNow = time.Second

// run runs a task once, and schedules it again if it is to run again. If all slots of
// fetches are taken when the job is ready, the attempt ends, and the next one begins
// with a slot: meanwhile the export may have been cancelled.
func (d *dispatcher) run(t *localTask) {
	leavePoll, leaveFetch := sync.OnceFunc(d.leavePoll), func() {}
	ctx, r := d.w.hardCtx, &run{w: d.w, ref: t.ref, options: t.options, forCaller: t.asker != nil}
	begin := func(ctx context.Context) context.Context { // with a slot of a fetch
		ctx, leaveFetch = d.w.slots.hold(ctx)
		leavePoll()
		return ctx
	}
	r.ready = func(ctx context.Context) (context.Context, error) {
		select {
		case d.w.slots.fetches <- struct{}{}:
			return begin(ctx), nil
		default:
			return ctx, errReady
		}
	}
	r.justAsked = time.Since(t.asked) < justNow
	receipt, err := r.try(ctx, typePoll)
	if errors.Is(err, errReady) {
		select {
		case d.w.slots.fetches <- struct{}{}:
			r.justAsked = time.Since(t.asked) < justNow
			receipt, err = r.try(begin(ctx), typeFetch)
		case <-d.softCtx.Done():
			err = errCut
		}
	}
	t.asked = time.Time{}
	leaveFetch()
	leavePoll()
	switch again, snoozed := errors.AsType[*snoozeError](err); {
	case snoozed:
		d.schedule(t, time.Now().Add(again.delay))
	case errors.Is(err, errCut): // the process stops
		d.end(t, nil, fetch.ErrDrained)
	default:
		d.end(t, receipt, err)
	}
}

func (d *dispatcher) leavePoll() {
	d.mu.Lock()
	d.polling--
	d.mu.Unlock()
	d.change()
}

// wait returns once no task runs and the worker's other goroutines have ended, or after
// a time.
func (d *dispatcher) wait(atMost time.Duration) {
	ended := make(chan struct{})
	go func() {
		d.runs.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(atMost):
	}
}

// A taskHeap has the task that is due first at its top.
type taskHeap []*localTask

func (h taskHeap) Len() int           { return len(h) }
func (h taskHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h taskHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *taskHeap) Push(x any)        { *h = append(*h, x.(*localTask)) }
func (h *taskHeap) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return t
}
