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

// handlePoll asks an export's job once. A job that is ready gets a task to fetch it;
// one that is not is asked again later, and takes up no slot until then.
func (w *Worker) handlePoll(ctx context.Context, t *asynq.Task) error {
	return w.run(ctx, t, typePoll, func(ctx context.Context, v *run) (*archive.Receipt, error) {
		if err := w.Fetcher.Poll(ctx, v.ref); err != nil {
			return nil, err
		}
		v.updateRecord(func(d *archive.Record) { // before the fetch wants the docket
			d.Counters.Ready, d.Counters.Status = true, ""
			d.Counters.Starts = max(d.Counters.Starts-1, 0) // its own: that the job answers says nothing of those that died fetching
		})
		return nil, w.Queue.enqueueFetch(ctx, v.ref, v.task.Options)
	})
}

// handleFetch makes one attempt at an export.
func (w *Worker) handleFetch(ctx context.Context, t *asynq.Task) error {
	return w.run(ctx, t, typeFetch, func(ctx context.Context, v *run) (*archive.Receipt, error) {
		return w.Fetcher.Fetch(ctx, v.ref)
	})
}

// A visit is one run of a task.
type run struct {
	w    *Worker
	task Task
	ref  fetch.Ref
}

// A step is what is done with an export. It has neither a receipt nor an error
// if another is to follow.
type action func(context.Context, *run) (*archive.Receipt, error)

// run takes one step on an export and writes down what came of it. What it
// returns tells the queue when to run the task again.
func (w *Worker) run(ctx context.Context, t *asynq.Task, kind string, step action) error {
	task, ref, err := readTask(t, kind)
	if err != nil {
		return w.quarantine(err)
	}
	v := &run{w, task, w.local.withSecret(ref)}
	receipt, err := w.Archive.Landed(ref.Key())
	if err == nil {
		w.local.finish(ref.Hash(), receipt, nil)
		return nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		receipt, err = v.attempt(ctx, step)
	}
	return v.finish(ctx, receipt, err)
}

func (v *run) attempt(ctx context.Context, step action) (receipt *archive.Receipt, err error) {
	if err := v.begin(); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	defer context.AfterFunc(v.w.hardCtx, func() { stop(context.Cause(v.w.hardCtx)) })()
	defer func() { v.logPanic(err) }()
	defer fetch.Recover(&err)
	return step(ctx, v)
}

// recovering is a handler that does not panic. A panic outside an attempt is a
// mistake of ours, and none of the export's: its task comes back.
func (w *Worker) recovering(handle asynq.HandlerFunc) asynq.HandlerFunc {
	return func(ctx context.Context, t *asynq.Task) (err error) {
		defer func() {
			if x := recover(); x != nil {
				text := safeText(fmt.Errorf("%w: %v", errPanicked, x))
				w.warn("a task panicked", "panic", text, "stack", string(debug.Stack()))
				err = snooze(maxPollInterval, errors.New(text))
			}
		}()
		return handle(ctx, t)
	}
}

// logPanic logs where an attempt panicked, if it did.
func (v *run) logPanic(err error) {
	if defect, ok := errors.AsType[*fetch.PanicError](err); ok {
		v.w.warn("an attempt panicked", "ref", v.ref.String(), "panic", defect.Error(), "stack", defect.Stack)
	}
}

// finish writes down what came of an attempt, and tells the queue what is to
// follow. One that was cut short, as the worker stops or has lost its lease,
// says nothing of the export.
func (v *run) finish(ctx context.Context, receipt *archive.Receipt, err error) error {
	switch {
	case err == nil && receipt == nil: // its job is ready, and a fetch is in the queue
		return nil
	case err == nil:
		v.notifyEnd(receipt, nil)
		return nil
	case errors.Is(err, errSettled):
		return v.discard()
	case ctx.Err() != nil || v.w.hardCtx.Err() != nil || errors.Is(err, fetch.ErrDrained):
		v.updateRecord(func(d *archive.Record) { d.Counters.Starts = 0 })
		return snooze(0, err)
	}
	return v.recordFailure(err)
}

// quarantine puts a task that can't be read where no worker takes it from.
func (w *Worker) quarantine(err error) error {
	w.warn("a task can't be read and is set aside", "cause", "bad-task", "error", safeText(err))
	return fmt.Errorf("bad-task: %s: %w", safeText(err), asynq.SkipRetry)
}

// discard takes a task out of the queue that there is nothing to do for.
func (v *run) discard() error {
	v.w.local.finish(v.ref.Hash(), nil, errSettled)
	return nil
}

// notifyEnd tells who waits for it how an export fared.
func (v *run) notifyEnd(receipt *archive.Receipt, err error) {
	hash := v.ref.Hash()
	v.w.lastNotes.Delete(hash)
	v.w.local.finish(hash, receipt, err)
	if v.w.OnEnd != nil {
		v.w.OnEnd(v.ref, receipt, err)
	}
}

// notify notes what a person should know, if it was not the last that was noted.
func (v *run) notify(text string) {
	if v.w.OnNote == nil {
		return
	}
	text = redact.Text(text)
	if last, _ := v.w.lastNotes.Swap(v.ref.Hash(), text); last != text {
		v.w.OnNote(v.ref, text)
	}
}
