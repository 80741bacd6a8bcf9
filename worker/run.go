package worker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"

	"github.com/hibiken/asynq"

	"tallyman/fetch"
	"tallyman/fetch/redact"
	"tallyman/verify/archive"
)

// A run is one run of a task of an export.
type run struct {
	w    *Worker
	task Task
	ref  fetch.Ref
}

// run makes an attempt at an export by a task that must be of a type, and writes
// down what came of it. Its error tells the queue when to run the task again. A
// panic outside the attempt is a mistake in this package, not a failure of the
// export: its task comes back.
func (w *Worker) run(ctx context.Context, t *asynq.Task, wantType string) (again error) {
	defer func() {
		if x := recover(); x != nil {
			text := safeText(fmt.Errorf("%w: %v", ErrPanicked, x))
			w.Log.Warn("a task panicked", "panic", text, "stack", string(debug.Stack()))
			again = snooze(maxPollInterval, errors.New(text))
		}
	}()
	task, ref, err := checkTask(wantType, t.Type(), t.ResultWriter().TaskID(), t.Payload())
	if err != nil {
		return w.quarantineTask(err)
	}
	r := &run{w, task, ref}
	if l := w.local; l != nil {
		l.mu.Lock()
		if waiter := l.waiters[ref.Hash()]; waiter != nil {
			r.ref = waiter.ref // as it was given to Fetch: the task's lacks the secret of a signed URL
		}
		l.mu.Unlock()
	}
	receipt, err := w.Archive.Landed(ref.Key())
	if err == nil && r.ref.Signed() {
		receipt, err = w.Fetcher.Fetch(ctx, r.ref) // it may have landed for another query
	}
	if receipt != nil || errors.Is(err, fetch.ErrReceiptMismatch) {
		w.local.finish(ref.Hash(), receipt, err)
		return nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		receipt, err = r.attempt(ctx, wantType)
	}
	cut := err != nil && (ctx.Err() != nil || w.hardCtx.Err() != nil || errors.Is(err, fetch.ErrDrained))
	cause := Classify(err).Cause
	w.outages.Range(func(of, outage any) bool {
		if !cut && of != cause {
			outage.(*Outage).Passed(ref.Hash())
		}
		return true
	})
	switch {
	case err == nil && receipt == nil:
		return nil
	case err == nil:
		r.notifyEnd(receipt, nil)
		return nil
	case errors.Is(err, errSettled):
		w.local.finish(ref.Hash(), nil, errSettled)
		return nil
	case cut:
		// It was cut short since the worker stops or has lost its lease. That
		// says nothing of the export.
		r.updateCounters(func(c *archive.Counters) { c.Starts = 0 })
		return snooze(0, err)
	}
	return r.recordFailure(err)
}

// attempt fetches the export, or asks its job once and, if the job is ready,
// enqueues a fetch: then it returns neither a receipt nor an error; for a Local it
// fetches the export then. A panic is the error of the attempt. It ends when the
// worker is to stop at once.
func (r *run) attempt(ctx context.Context, taskType string) (receipt *archive.Receipt, err error) {
	end, err := r.begin()
	if err != nil {
		return nil, err
	}
	defer end()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	defer context.AfterFunc(r.w.hardCtx, func() { stop(context.Cause(r.w.hardCtx)) })()
	defer func() {
		if p, ok := errors.AsType[*fetch.PanicError](err); ok {
			r.w.Log.Warn("an attempt panicked", "ref", r.ref.String(), "panic", p.Error(), "stack", p.Stack)
		}
	}()
	defer fetch.Recover(&err)
	if taskType == typeFetch {
		return r.w.Fetcher.Fetch(ctx, r.ref)
	}
	if err := r.w.Fetcher.Poll(ctx, r.ref); err != nil {
		return nil, err // of a job that is not ready: the task is snoozed, and takes up no slot until it comes back
	}
	r.updateCounters(func(c *archive.Counters) { c.Ready, c.Status = true, "" }) // before the fetch wants the record
	if r.w.local != nil {
		return r.w.Fetcher.Fetch(ctx, r.ref)
	}
	_, err = r.w.Queue.enqueueTask(ctx, typeFetch, r.ref, r.task.Options)
	return nil, err
}

// quarantineTask has asynq archive a task that can't be read, so that no worker
// takes it again.
func (w *Worker) quarantineTask(err error) error {
	w.Log.Warn("a task can't be read and is quarantined", "cause", "bad-task", "error", safeText(err))
	return fmt.Errorf("bad-task: %s: %w", safeText(err), asynq.SkipRetry)
}

// notifyEnd tells those who wait for the export, and OnEnd, how it fared.
func (r *run) notifyEnd(receipt *archive.Receipt, err error) {
	hash := r.ref.Hash()
	r.w.lastNotes.Delete(hash)
	r.w.local.finish(hash, receipt, err)
	if r.w.OnEnd != nil {
		r.w.OnEnd(r.ref, receipt, err)
	}
}

// note passes a text to OnNote, unless it is the same as the last one of the
// export.
func (r *run) note(text string) {
	if r.w.OnNote == nil {
		return
	}
	text = redact.Text(text)
	if last, _ := r.w.lastNotes.Swap(r.ref.Hash(), text); last != text {
		r.w.OnNote(r.ref, text)
	}
}
