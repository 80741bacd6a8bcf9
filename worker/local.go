package worker

import (
	"cmp"
	"context"
	"errors"
	"sync"

	"tallyman/fetch"
	"tallyman/verify/archive"
)

// Local is a queue in this process alone, whose exports have someone who waits
// for them. It may be used by many goroutines at once.
type Local struct {
	worker *Worker
	cancel context.CancelFunc
	done   chan struct{}
	err    error

	mu      sync.Mutex
	waiters map[string]*waiter // by the hash of the export
}

// A wait is for one export.
type waiter struct {
	ref     fetch.Ref // whole: with the secret of a signed URL
	ended   chan struct{}
	receipt *archive.Receipt
	err     error
}

// StartLocal has a worker serve a queue that no other worker serves, until Close.
// The worker is Local's from then on.
func StartLocal(w *Worker) *Local {
	ctx, stop := context.WithCancel(context.Background())
	l := &Local{worker: w, cancel: stop, done: make(chan struct{}), waiters: map[string]*waiter{}}
	w.local = l
	go func() {
		defer close(l.done)
		l.err = w.Run(ctx)
	}()
	return l
}

// Close ends what still runs, once Drain is over, and returns when all has
// ended.
func (l *Local) Close() error {
	l.cancel()
	<-l.done
	return l.err
}

// Fetch waits for the export's job and makes as many attempts as it takes,
// within a new budget. It returns the receipt once the export has landed, and
// the last error once no attempt is left. A job that is not ready when the wait
// ends is a *fetch.NotReadyError. If ctx ends first, attempts go on until
// Close, which ends all waits with fetch.ErrDrained.
func (l *Local) Fetch(ctx context.Context, ref fetch.Ref) (*archive.Receipt, error) {
	w, first := l.waiterFor(ref)
	if first {
		l.resetAndEnqueue(ctx, ref)
	}
	select {
	case <-w.ended:
		return w.receipt, w.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-l.done:
		return nil, cmp.Or(l.err, fetch.ErrDrained)
	}
}

// waiterFor is the wait for an export, and whether it is the first.
func (l *Local) waiterFor(ref fetch.Ref) (w *waiter, first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w := l.waiters[ref.Hash()]; w != nil {
		return w, false
	}
	w = &waiter{ref: ref, ended: make(chan struct{})}
	l.waiters[ref.Hash()] = w
	return w, true
}

func (l *Local) resetAndEnqueue(ctx context.Context, ref fetch.Ref) {
	a := l.worker.Archive
	err := ResetBudget(a, ref, Options{})
	if errors.Is(err, archive.ErrLanded) {
		receipt, err := a.Landed(ref.Key())
		l.finish(ref.Hash(), receipt, err)
		return
	}
	if err == nil {
		err = l.enqueueWhenFree(ctx, ref)
	}
	if err != nil {
		l.finish(ref.Hash(), nil, err)
	}
}

// enqueueWhenFree enqueues an export. The task that brought the last wait for it to an
// end may be in the queue for a moment yet.
func (l *Local) enqueueWhenFree(ctx context.Context, ref fetch.Ref) error {
	for {
		queued, err := l.worker.Queue.Queued(ref.Hash())
		if err == nil && !queued {
			_, err = l.worker.Queue.Enqueue(ctx, ref, Options{})
			return err
		}
		if err := cmp.Or(err, fetch.Sleep(ctx, l.worker.TaskCheckInterval)); err != nil {
			return err
		}
	}
}

// withSecret is the reference with the secret that its task lacks.
func (l *Local) withSecret(ref fetch.Ref) fetch.Ref {
	if l == nil {
		return ref
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if w := l.waiters[ref.Hash()]; w != nil {
		return w.ref
	}
	return ref
}

// finish tells the one who waits for it how an export fared.
func (l *Local) finish(hash string, receipt *archive.Receipt, err error) {
	if l == nil {
		return
	}
	l.mu.Lock()
	w := l.waiters[hash]
	delete(l.waiters, hash)
	l.mu.Unlock()
	if w != nil {
		w.receipt, w.err = receipt, err
		close(w.ended)
	}
}
