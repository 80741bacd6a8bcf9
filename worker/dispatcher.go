package worker

import (
	"container/heap"
	"context"
	"errors"
	"slices"
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
	waiting taskHeap              // those that do not run, by when they are due
	due     taskHeap              // of them, those that are due, by when their exports are gone
	ready   []*localRun           // those whose jobs are ready, and that wait for a slot of a fetch
	polling int                   // those that have a slot of PollConcurrency
	runs    sync.WaitGroup
}

// A localTask is what a task in Redis is, for a dispatcher: one export.
type localTask struct {
	ref     fetch.Ref // with the secret of a signed URL
	options Options
	due     time.Time
	asked   time.Time // when the archive was told of it, if it has not run since
	pending time.Time // when its job had not ended yet, if that is known
	ends    time.Time // until when the export is there at least, if that is known
	asker   *asker    // nil if it is for no caller
}

// An asker is for all the callers of Local.Fetch who wait for one export.
type asker struct {
	ended   chan struct{} // closed when receipt and err are set
	receipt *archive.Receipt
	err     error
}

func newDispatcher(w *Worker) *dispatcher {
	byDue := func(t, u *localTask) bool { return t.due.Before(u.due) }
	return &dispatcher{
		w: w, changed: make(chan struct{}, 1), tasks: map[string]*localTask{},
		waiting: taskHeap{less: byDue}, due: taskHeap{less: (*localTask).isSooner},
	}
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
	t.ends = t.ref.Ends()
	d.tasks[hash] = t
	return t, true
}

// schedule has a task that was added run when it is due.
func (d *dispatcher) schedule(t *localTask, due time.Time) {
	d.mu.Lock()
	t.due = due
	d.waiting.push(t)
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
		for d.waiting.Len() > 0 && !d.waiting.tasks[0].due.After(now) {
			d.due.push(d.waiting.pop())
		}
		for d.polling < slots && d.due.Len() > 0 {
			t := d.due.pop()
			d.polling++
			d.runs.Go(func() { d.run(t) })
		}
		timer.Stop()
		if d.polling < slots && d.waiting.Len() > 0 {
			timer.Reset(d.waiting.tasks[0].due.Sub(now))
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

// A localRun is one run of a task, with the slots that it has.
type localRun struct {
	*run
	d                     *dispatcher
	t                     *localTask
	leavePoll, leaveFetch func()
}

// begin gives a run the slot of a fetch, which was taken, for that of a poll.
func (l *localRun) begin(ctx context.Context) context.Context {
	ctx, l.leaveFetch = l.d.w.slots.hold(ctx)
	l.leavePoll()
	return ctx
}

// run runs a task once, and schedules it again if it is to run again. If all slots of
// fetches are taken when the job is ready, the attempt ends, and the next one begins
// with a slot: meanwhile the export may have been cancelled. Who gets a slot goes on with
// the run whose export is gone first, and leaves its own to the others that wait.
func (d *dispatcher) run(t *localTask) {
	ctx, l := d.w.hardCtx, &localRun{d: d, t: t, leavePoll: sync.OnceFunc(d.leavePoll), leaveFetch: func() {}}
	l.run = &run{w: d.w, ref: t.ref, options: t.options, forCaller: t.asker != nil, pending: t.pending, justAsked: time.Since(t.asked) < justNow}
	l.ready = func(ctx context.Context) (context.Context, error) {
		select {
		case d.w.slots.fetches <- struct{}{}:
			return l.begin(ctx), nil
		default:
			return ctx, errReady
		}
	}
	receipt, err := l.try(ctx, typePoll)
	t.pending = l.pending
	if !l.ends.IsZero() {
		t.ends = l.ends
	}
	if errors.Is(err, errReady) {
		d.mu.Lock()
		d.ready = append(d.ready, l)
		d.mu.Unlock()
		select {
		case d.w.slots.fetches <- struct{}{}:
			l = d.takeSoonest()
			l.justAsked = time.Since(l.t.asked) < justNow
			receipt, err = l.try(l.begin(ctx), typeFetch)
		case <-d.softCtx.Done():
			l, err = d.takeSoonest(), errCut
		}
	}
	l.end(receipt, err)
}

// takeSoonest takes the run out of those which wait for a slot whose export is gone first.
func (d *dispatcher) takeSoonest() *localRun {
	d.mu.Lock()
	defer d.mu.Unlock()
	soonest := 0
	for i, l := range d.ready {
		if l.t.isSooner(d.ready[soonest].t) {
			soonest = i
		}
	}
	l := d.ready[soonest]
	d.ready = slices.Delete(d.ready, soonest, soonest+1)
	return l
}

// end gives back the slots of a run, and schedules its task again if it is to run again.
func (l *localRun) end(receipt *archive.Receipt, err error) {
	l.t.asked = time.Time{}
	l.leaveFetch()
	l.leavePoll()
	switch again, snoozed := errors.AsType[*snoozeError](err); {
	case snoozed:
		l.d.schedule(l.t, time.Now().Add(again.delay))
	case errors.Is(err, errCut): // the process stops
		l.d.end(l.t, nil, fetch.ErrDrained)
	default:
		l.d.end(l.t, receipt, err)
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

// isSooner reports whether the export of a task is gone before that of another one, as far as
// that is known. Of two of which nobody knows, the one comes first that was due first.
func (t *localTask) isSooner(than *localTask) bool {
	switch {
	case t.ends.Equal(than.ends):
		return t.due.Before(than.due)
	case t.ends.IsZero() || than.ends.IsZero():
		return than.ends.IsZero()
	}
	return t.ends.Before(than.ends)
}

// A taskHeap has the task at its top that is less than all others.
type taskHeap struct {
	tasks []*localTask
	less  func(t, u *localTask) bool
}

func (h *taskHeap) push(t *localTask) { heap.Push(h, t) }
func (h *taskHeap) pop() *localTask   { return heap.Pop(h).(*localTask) }

// Len, Less, Swap, Push and Pop implement heap.Interface.
func (h *taskHeap) Len() int           { return len(h.tasks) }
func (h *taskHeap) Less(i, j int) bool { return h.less(h.tasks[i], h.tasks[j]) }
func (h *taskHeap) Swap(i, j int)      { h.tasks[i], h.tasks[j] = h.tasks[j], h.tasks[i] }
func (h *taskHeap) Push(x any)         { h.tasks = append(h.tasks, x.(*localTask)) }
func (h *taskHeap) Pop() any {
	last := len(h.tasks) - 1
	t := h.tasks[last]
	h.tasks[last] = nil
	h.tasks = h.tasks[:last]
	return t
}
