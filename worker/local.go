package worker

import (
	"cmp"
	"context"
	"errors"
	"time"

	"tallyman/fetch"
	"tallyman/verify/archive"
)

// Local fetches exports in this process, for callers that wait for them: a Worker
// without a queue in Redis, whose tasks are for those callers. It may be used by many
// goroutines at once.
type Local struct {
	worker *Worker
	stop   context.CancelFunc
	done   chan struct{} // closed when the worker has stopped
	err    error         // of the worker, once done is closed
}

// StartLocal has a worker run until Close is called. w.Queue is not used, and w must
// not be used otherwise.
func StartLocal(w *Worker) *Local {
	ctx, stop := context.WithCancel(context.Background())
	l := &Local{worker: w, stop: stop, done: make(chan struct{})}
	w.Queue, w.local, w.dispatcher = nil, true, newDispatcher(w)
	go func() {
		defer close(l.done)
		l.err = w.Run(ctx)
	}()
	return l
}

// Close stops the worker, which gives what runs DrainTimeout to end, and returns when
// that has ended or the time is over. Calls of Fetch that still wait fail with
// fetch.ErrDrained.
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
	return l.fetch(ctx, ref, nil)
}

// FetchUnlessDead is Fetch of a job that is not asked again if it was given up for good
// before, by this process or by another one: then the error is that one's.
func (l *Local) FetchUnlessDead(ctx context.Context, ref fetch.Ref) (*archive.Receipt, error) {
	return l.fetch(ctx, ref, deadBefore)
}

// fetch is Fetch unless refuse, which may be nil, returns an error of what is known of the
// export.
func (l *Local) fetch(ctx context.Context, ref fetch.Ref, refuse func(archive.State) error) (*archive.Receipt, error) {
	d := l.worker.dispatcher
	t, added := d.add(&localTask{ref: ref, asker: &asker{ended: make(chan struct{})}})
	if added {
		receipt, err := l.ask(ctx, ref, refuse)
		if receipt != nil || err != nil {
			d.end(t, receipt, err)
		} else {
			t.asked = time.Now()
			d.schedule(t, t.asked)
		}
	}
	select {
	case <-t.asker.ended:
		if t.ref.URL() != ref.URL() { // that was for another query, and may be another file
			return l.fetch(ctx, ref, refuse)
		}
		return t.asker.receipt, t.asker.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-l.done:
		select {
		case <-t.asker.ended: // at the same time
			return t.asker.receipt, t.asker.err
		default:
			return nil, cmp.Or(l.err, fetch.ErrDrained)
		}
	}
}

// ask gives an export a new budget, and returns its receipt if it has landed. A patient
// caller waits for what keeps the budget from being written down as for what keeps an
// attempt from landing, and no longer in all.
func (l *Local) ask(ctx context.Context, ref fetch.Ref, refuse func(archive.State) error) (receipt *archive.Receipt, err error) {
	defer fetch.Recover(&err)
	asked, r := time.Now(), &run{w: l.worker, ref: ref, forCaller: true, refuse: refuse}
	for {
		err := r.ask(asked)
		if errors.Is(err, archive.ErrLanded) {
			return l.worker.Fetcher.Fetch(ctx, ref) // which compares it
		}
		outcome := Classify(err)
		if err == nil || r.budget(outcome, false) != endless {
			return nil, err
		}
		again, waits := errors.AsType[*snoozeError](r.waitOut(nil, err, outcome))
		if !waits {
			return nil, err
		}
		if err := fetch.Sleep(ctx, again.delay); err != nil {
			return nil, err
		}
	}
}
