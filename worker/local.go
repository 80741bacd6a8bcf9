package worker

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"tallyman/fetch"
	"tallyman/verify/archive"
)

// Local fetches exports in this process, for callers that wait for them. It is
// a Worker with a queue that no other worker serves, in which a poll that finds a job
// ready fetches the export, too: FetchConcurrency is not used. It may be used by many
// goroutines at once.
type Local struct {
	worker *Worker
	stop   context.CancelFunc
	done   chan struct{} // closed when the worker has stopped
	err    error         // of the worker, once done is closed

	mu      sync.Mutex
	waiters map[string]*waiter // by the hash of the export
}

// A waiter is for one export, and all who wait for it.
type waiter struct {
	ref     fetch.Ref     // with the secret of a signed URL, which its task lacks
	ended   chan struct{} // closed when receipt and err are set
	receipt *archive.Receipt
	err     error
}

// StartLocal has a worker serve a queue until Close is called. If w.Queue is
// nil, it makes one in this process, which ends with Close; a queue that is given
// must have no other worker. w must not be used otherwise.
func StartLocal(w *Worker) *Local {
	ctx, stop := context.WithCancel(context.Background())
	l := &Local{worker: w, stop: stop, done: make(chan struct{}), waiters: map[string]*waiter{}}
	closeQueue := func() {}
	if w.Queue == nil {
		w.Queue, closeQueue = NewEmbeddedQueue()
	}
	w.local, w.Queue.pollTimeout = l, fetchTimeout
	go func() {
		defer close(l.done)
		defer closeQueue()
		l.err = w.Run(ctx)
	}()
	return l
}

// Close stops the worker, which gives what runs DrainTimeout to end, and returns
// when all has ended. Calls of Fetch that still wait fail with fetch.ErrDrained.
func (l *Local) Close() error {
	l.stop()
	<-l.done
	return l.err
}

// Fetch gives the export a new budget, waits for its job, and makes as many
// attempts as it takes. It returns the receipt once the export has landed, or has
// landed before, and the last error once no attempt is left. A job that is not
// ready when Worker.Wait is over is a *fetch.NotReadyError. If ctx ends first,
// Fetch returns its cause, and the attempts go on until Close.
func (l *Local) Fetch(ctx context.Context, ref fetch.Ref) (*archive.Receipt, error) {
	hash := ref.Hash()
	l.mu.Lock()
	w, asked := l.waiters[hash]
	if !asked {
		w = &waiter{ref: ref, ended: make(chan struct{})}
		l.waiters[hash] = w
	}
	l.mu.Unlock()
	if !asked {
		err := l.begin(ctx, ref)
		// The task of the last request may be in the queue for a moment longer than
		// the export took.
		for added := false; err == nil && !added; {
			if added, err = l.worker.Queue.enqueueTask(ctx, typePoll, ref, Options{}); err == nil && !added {
				err = fetch.Sleep(ctx, l.worker.TaskCheckInterval)
			}
		}
		var receipt *archive.Receipt
		if errors.Is(err, archive.ErrLanded) {
			receipt, err = l.worker.Fetcher.Fetch(ctx, ref) // which compares it
		}
		if receipt != nil || err != nil {
			l.finish(hash, receipt, err)
		}
	}
	select {
	case <-w.ended:
		if w.ref.URL() != ref.URL() { // that was for another query, and may be another file
			return l.Fetch(ctx, ref)
		}
		return w.receipt, w.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-l.done:
		return nil, cmp.Or(l.err, fetch.ErrDrained)
	}
}

// begin gives an export a new budget. A patient caller waits for what keeps that from
// being written down as for what keeps an attempt from landing, and no longer in all.
func (l *Local) begin(ctx context.Context, ref fetch.Ref) error {
	asked, r := time.Now(), &run{w: l.worker, ref: ref}
	for {
		err := r.ask(asked)
		outcome := Classify(err)
		if err == nil || r.budget(outcome, false) != endless {
			return err
		}
		again, waits := errors.AsType[*snoozeError](r.waitOut(nil, err, outcome))
		if !waits {
			return err
		}
		if err := fetch.Sleep(ctx, again.delay); err != nil {
			return err
		}
	}
}

// finish tells those who wait for an export how it fared. l may be nil.
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
