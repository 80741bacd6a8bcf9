package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"
	"time"

	"github.com/hibiken/asynq"

	"tallyman/fetch"
	"tallyman/fetch/redact"
	"tallyman/verify/archive"
)

// A run is one run of a task of an export.
type run struct {
	w         *Worker
	ref       fetch.Ref // with the secret of a signed URL
	options   Options
	forCaller bool                            // a caller of Local.Fetch waits for the export
	refuse    func(known archive.State) error // why it is not asked for, unless nil: see archive.AskUnless
	justAsked bool                            // by this process, less than justNow ago: it had not landed, and there was nothing to know of it

	pending time.Time // when its job had not ended yet, if that is known
	ends    time.Time // until when the export is there at least, if that is known

	state    archive.State // when the attempt began
	counters archive.Counters

	// wait, unless it is nil, has the export asked for again by no task, from a time on.
	// What the job said must be on one line.
	wait func(due time.Time, said string) error

	// ready is called once the job is ready. It returns the context to fetch the export
	// with, or the error that try is to end with: it must not wait, since the attempt has
	// begun.
	ready func(ctx context.Context) (context.Context, error)
}

// What ends a run, beside a receipt, a *snoozeError, and the error that the export has
// failed with.
var (
	errReady  = errors.New("the job is ready, and the export is fetched by another run")
	errWaits  = errors.New("the export waits for its job, and has no task")
	errNoSlot = errors.New("other exports take all slots of the worker")
	errCut    = errors.New("the attempt was cut short") // since the worker stops or has lost its lease, which says nothing of the export
)

// slotPatience is how long a fetch waits for a slot before another worker may take it.
const slotPatience = time.Second

// handle runs a task that asynq gives to this worker, and that must be of a type. Its
// error tells asynq when to run the task again. In a queue, a task that has failed is
// archived, where others look for it.
func (w *Worker) handle(ctx context.Context, t *asynq.Task, wantType string) error {
	task, ref, err := checkTask(wantType, t.Type(), t.ResultWriter().TaskID(), t.Payload())
	if err != nil {
		return w.quarantineTask(err)
	}
	slots, patience := w.polls, (<-chan time.Time)(nil) // a poll may wait for long
	if wantType == typeFetch {
		slots, patience = w.slots.fetches, time.After(slotPatience)
	}
	select {
	case slots <- struct{}{}:
	case <-patience:
		return snooze(0, errNoSlot)
	case <-w.softCtx.Done():
		return snooze(0, errWorkerStopped)
	case <-ctx.Done():
		return snooze(0, context.Cause(ctx))
	}
	leave := func() { <-slots }
	if wantType == typeFetch {
		ctx, leave = w.slots.hold(ctx)
	}
	defer func() { leave() }()
	r := &run{w: w, ref: ref, options: task.Options}
	r.ready = func(ctx context.Context) (context.Context, error) {
		select {
		case w.slots.fetches <- struct{}{}:
			leave() // those that poll
			ctx, leave = w.slots.hold(ctx)
			return ctx, nil
		default:
			_, err := w.Queue.enqueueTask(ctx, typeFetch, ref, task.Options)
			return ctx, cmp.Or(err, w.Queue.setEnds(ctx, ref.Hash(), r.ends), errReady)
		}
	}
	r.wait = func(due time.Time, said string) error {
		m := member{hash: ref.Hash(), asked: r.state.Asked, wait: time.Duration(task.Wait), group: w.groupOf(ref), payload: string(t.Payload()), said: said}
		return w.Queue.wait(ctx, m, due)
	}
	_, err = r.try(ctx, wantType)
	switch {
	case err == nil, isA[*snoozeError](err):
		return err
	case errors.Is(err, errReady), errors.Is(err, errWaits), errors.Is(err, errSettled):
		return nil
	case errors.Is(err, errCut):
		return snooze(0, err)
	}
	return fmt.Errorf("%s: %s: %w", Classify(err).Cause, safeText(err), asynq.SkipRetry)
}

// try makes an attempt at the export, and writes down what came of it. A *snoozeError
// tells when the next is to be made. A panic outside the attempt is a mistake in this
// package, not a failure of the export: its task comes back.
func (r *run) try(ctx context.Context, taskType string) (receipt *archive.Receipt, err error) {
	w := r.w
	defer func() {
		if x := recover(); x != nil {
			text := safeText(fmt.Errorf("%w: %v", ErrPanicked, x))
			w.Log.Warn("a task panicked", "panic", text, "stack", string(debug.Stack()))
			receipt, err = nil, snooze(maxPollInterval, errors.New(text))
		}
	}()
	err = fs.ErrNotExist
	if !r.justAsked {
		receipt, err = w.Archive.Landed(r.ref.Key())
	}
	if err == nil && r.ref.Signed() {
		receipt, err = w.Fetcher.Fetch(ctx, r.ref) // it may have landed for another query
	}
	if receipt != nil || errors.Is(err, fetch.ErrReceiptMismatch) {
		return receipt, err
	}
	if errors.Is(err, fs.ErrNotExist) {
		receipt, err = r.attempt(ctx, taskType)
	}
	cut := err != nil && (ctx.Err() != nil || w.hardCtx.Err() != nil || errors.Is(err, fetch.ErrDrained))
	cause := Classify(err).Cause
	w.outages.Range(func(of, outage any) bool {
		if !cut && of != cause && !errors.Is(err, errReady) { // a job that is ready says nothing of its fetch
			outage.(*Outage).Passed(r.ref.Hash())
		}
		return true
	})
	switch {
	case err == nil:
		if !receipt.Earlier { // else another has told, who landed it while this one asked its job
			r.notifyEnd(receipt, nil)
		}
		return receipt, nil
	case isA[*archive.RemovedError](err): // while its job was asked
		return nil, errSettled
	case errors.Is(err, errReady), errors.Is(err, errWaits), errors.Is(err, errSettled):
		return nil, err
	case cut:
		r.updateCounters(func(c *archive.Counters) { c.Starts = 0 })
		return nil, fmt.Errorf("%w: %w", errCut, err)
	}
	return nil, r.recordFailure(err)
}

// attempt fetches the export, by a poll only once its job is ready. A panic is the
// error of the attempt. It ends when the worker is to stop at once.
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
	if taskType == typePoll {
		if r.joins(ctx) {
			return nil, errWaits
		}
		if err := r.poll(ctx); err != nil {
			return nil, err // of a job that is not ready: the export takes up no slot until it is asked for again
		}
		if r.counters != (archive.Counters{}) {
			r.updateCounters(func(c *archive.Counters) { c.Ready, c.Status = true, "" }) // before the fetch wants the record
		}
		if ctx, err = r.ready(ctx); err != nil {
			return nil, err
		}
	}
	return r.w.Fetcher.Fetch(ctx, r.ref)
}

// joins has an export wait with the others of its group, if those are many: one listing
// then shows more of them than the call that it saves.
func (r *run) joins(ctx context.Context) bool {
	if _, ok := r.ref.Place(); r.wait == nil || !ok || r.w.Listers[r.ref.Scheme()] == nil || r.waitLeft(r.state.Asked) <= 0 {
		return false
	}
	n, err := r.w.Queue.redis.ZCard(ctx, dueKey+r.w.groupOf(r.ref)).Result()
	return err == nil && n >= crowd && r.wait(time.Now(), "") == nil
}

// quarantineTask has asynq archive a task that can't be read, so that no worker
// takes it again.
func (w *Worker) quarantineTask(err error) error {
	w.Log.Warn("a task can't be read and is quarantined", "cause", "bad-task", "error", safeText(err))
	return fmt.Errorf("bad-task: %s: %w", safeText(err), asynq.SkipRetry)
}

// notifyEnd tells OnEnd how the export fared.
func (r *run) notifyEnd(receipt *archive.Receipt, err error) {
	r.w.lastNotes.Delete(r.ref.Hash())
	r.w.ends.Delete(r.ref.Hash())
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
