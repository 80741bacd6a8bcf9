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

// poll asks an export's job once. A job that is ready gets a task to fetch it;
// one that is not is asked again later, and takes up no slot until then.
func (w *Worker) poll(ctx context.Context, t *asynq.Task) error {
	return w.visit(ctx, t, typePoll, func(ctx context.Context, v *visit) (*archive.Receipt, error) {
		if err := w.Fetcher.Poll(ctx, v.ref); err != nil {
			return nil, err
		}
		v.note(func(d *archive.Record) { // before the fetch wants the docket
			d.Counters.Ready, d.Counters.Status = true, ""
			d.Counters.Starts = max(d.Counters.Starts-1, 0) // its own: that the job answers says nothing of those that died fetching
		})
		return nil, w.Queue.enqueueFetch(ctx, v.ref, v.task.Options)
	})
}

// fetch makes one attempt at an export.
func (w *Worker) fetch(ctx context.Context, t *asynq.Task) error {
	return w.visit(ctx, t, typeFetch, func(ctx context.Context, v *visit) (*archive.Receipt, error) {
		return w.Fetcher.Fetch(ctx, v.ref)
	})
}

// A visit is one run of a task.
type visit struct {
	w    *Worker
	task Task
	ref  fetch.Ref
}

// A step is what is done with an export. It has neither a receipt nor an error
// if another is to follow.
type step func(context.Context, *visit) (*archive.Receipt, error)

// visit takes one step on an export and writes down what came of it. What it
// returns tells the queue when to run the task again.
func (w *Worker) visit(ctx context.Context, t *asynq.Task, kind string, step step) error {
	task, ref, err := readTask(t, kind)
	if err != nil {
		return w.quarantine(err)
	}
	v := &visit{w, task, w.local.whole(ref)}
	receipt, err := w.Archive.Landed(ref.Key())
	if err == nil {
		w.local.end(ref.Hash(), receipt, nil)
		return nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		receipt, err = v.attempt(ctx, step)
	}
	return v.after(ctx, receipt, err)
}

func (v *visit) attempt(ctx context.Context, step step) (receipt *archive.Receipt, err error) {
	if err := v.begin(); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	defer context.AfterFunc(v.w.hard, func() { stop(context.Cause(v.w.hard)) })()
	defer func() { v.tellDefect(err) }()
	defer fetch.Recover(&err)
	return step(ctx, v)
}

// guarded is a handler that does not panic. A panic outside an attempt is a
// mistake of ours, and none of the export's: its task comes back.
func (w *Worker) guarded(handle asynq.HandlerFunc) asynq.HandlerFunc {
	return func(ctx context.Context, t *asynq.Task) (err error) {
		defer func() {
			if x := recover(); x != nil {
				text := shown(fmt.Errorf("%w: %v", errPanicked, x))
				w.log("a task panicked", "panic", text, "stack", string(debug.Stack()))
				err = snooze(longestPoll, errors.New(text))
			}
		}()
		return handle(ctx, t)
	}
}

// tellDefect logs where an attempt panicked, if it did.
func (v *visit) tellDefect(err error) {
	if defect, ok := errors.AsType[*fetch.PanicError](err); ok {
		v.w.log("an attempt panicked", "ref", v.ref.String(), "panic", defect.Error(), "stack", defect.Stack)
	}
}

// after writes down what came of an attempt, and tells the queue what is to
// follow. One that was cut short, as the worker stops or has lost its lease,
// says nothing of the export.
func (v *visit) after(ctx context.Context, receipt *archive.Receipt, err error) error {
	switch {
	case err == nil && receipt == nil: // its job is ready, and a fetch is in the queue
		return nil
	case err == nil:
		v.ended(receipt, nil)
		return nil
	case errors.Is(err, errSettled):
		return v.drop()
	case ctx.Err() != nil || v.w.hard.Err() != nil || errors.Is(err, fetch.ErrDrained):
		v.note(func(d *archive.Record) { d.Counters.Starts = 0 })
		return snooze(0, err)
	}
	return v.missed(err)
}

// quarantine puts a task that can't be read where no worker takes it from.
func (w *Worker) quarantine(err error) error {
	w.log("a task can't be read and is set aside", "cause", "bad-task", "error", shown(err))
	return fmt.Errorf("bad-task: %s: %w", shown(err), asynq.SkipRetry)
}

// drop takes a task out of the queue that there is nothing to do for.
func (v *visit) drop() error {
	v.w.local.end(v.ref.Hash(), nil, errSettled)
	return nil
}

// ended tells who waits for it how an export fared.
func (v *visit) ended(receipt *archive.Receipt, err error) {
	hash := v.ref.Hash()
	v.w.noted.Delete(hash)
	v.w.local.end(hash, receipt, err)
	if v.w.OnEnd != nil {
		v.w.OnEnd(v.ref, receipt, err)
	}
}

// tell notes what a person should know, if it was not the last that was noted.
func (v *visit) tell(text string) {
	if v.w.OnNote == nil {
		return
	}
	text = redact.Text(text)
	if last, _ := v.w.noted.Swap(v.ref.Hash(), text); last != text {
		v.w.OnNote(v.ref, text)
	}
}
