package worker

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"

	"tallyman/fetch"
	"tallyman/verify/archive"
)

// An export fails when its provider uses a status that is not known
// maxUnknownStatuses times in a row, or when maxStarts attempts in a row neither
// end nor receive anything.
const (
	maxUnknownStatuses = 10
	maxStarts          = 10
)

// ErrPanicked is an attempt that panicked in a worker.
var ErrPanicked = errors.New("the attempt panicked")

var (
	errUnknownStatus = errors.New("the provider keeps using a status that is not known")
	errCrashed       = errors.New("its worker died at each of the last attempts, and nothing more was received")
	errSettled       = errors.New("it was cancelled, or has failed, and nobody has asked for it since")
)

// ResetBudget gives an export a new budget of attempts and a new wait for its
// job, as if it had just been asked for. It fails with archive.ErrBusy while the
// export is being fetched, and with archive.ErrLanded once it has landed.
func ResetBudget(a *archive.Archive, ref fetch.Ref, o Options) error {
	d, err := a.Record(ref.String(), ref.Key())
	if err != nil {
		return err
	}
	defer d.Close()
	resetRecord(d, o.forRef(ref))
	return d.Save()
}

// cancelRecord drops what was received of an export, and keeps workers from
// fetching it until ResetBudget. It fails as ResetBudget does.
func cancelRecord(a *archive.Archive, ref fetch.Ref) error {
	d, err := a.Record(ref.String(), ref.Key())
	if err != nil {
		return err
	}
	defer d.Close()
	resetRecord(d, Options{}.forRef(ref))
	d.State.Phase, d.State.Cause = archive.Cancelled, "cancelled"
	return errors.Join(d.Save(), d.Discard())
}

func resetRecord(d *archive.Record, o Options) {
	now, old := time.Now().UTC(), d.State
	d.State = archive.State{
		Schema: old.Schema, Reference: old.Reference, Key: old.Key, FirstSeen: old.FirstSeen,
		Phase: archive.Waiting, Asked: now, Changed: now,
	}
	d.State.Options, _ = json.Marshal(o) // of times and a bool
	d.Counters = archive.Counters{Progress: d.Progress()}
}

// begin writes down that an attempt begins, so that the next one knows if this
// one does not end.
func (r *run) begin() error {
	d, err := r.w.Archive.Record(r.ref.String(), r.ref.Key())
	if err != nil {
		return err
	}
	defer d.Close()
	if r.isSettled(d) {
		return errSettled
	}
	if d.State.Asked.IsZero() {
		resetRecord(d, r.task.Options)
		if err := d.Save(); err != nil {
			return err
		}
	}
	if progress := d.Progress(); progress != d.Counters.Progress {
		d.Counters.Progress, d.Counters.Starts = progress, 0
	}
	if d.Counters.Starts == maxStarts {
		return errCrashed
	}
	d.Counters.Starts++
	return d.SaveCounters()
}

// isSettled reports whether nothing is to be done until someone asks again. A
// caller of Local.Fetch has asked, even if another process gave up meanwhile.
func (r *run) isSettled(d *archive.Record) bool {
	return d.State.Phase == archive.Cancelled || d.State.Phase == archive.Failed && r.w.local == nil
}

// updateRecord changes the counters. It does nothing if another attempt has the
// record by now.
func (r *run) updateRecord(change func(*archive.Record)) {
	d, err := r.w.Archive.Record(r.ref.String(), r.ref.Key())
	if err != nil {
		return
	}
	defer d.Close()
	change(d)
	_ = d.SaveCounters()
}

// recordFailure writes down an attempt after which the export has not landed, and
// returns what the queue is told.
func (r *run) recordFailure(failure error) error {
	local := r.w.local != nil
	if local && errors.Is(failure, archive.ErrBusy) {
		return r.endWithFailure(failure) // another process has it, which says nothing of the export
	}
	outcome := Classify(failure)
	budget := outcome.Budget.Worker
	if local {
		budget = outcome.Budget.Command
	}
	if r.w.Attempts > 0 && budget > 1 && budget < endless {
		budget = r.w.Attempts
	}
	d, err := r.w.Archive.Record(r.ref.String(), r.ref.Key())
	if err != nil { // another attempt has the record or has landed the export, or the disk fails
		taken := errors.Is(err, archive.ErrLanded) || !local && errors.Is(err, archive.ErrBusy)
		switch {
		case taken && !errors.Is(failure, archive.ErrDamaged):
			return snooze(jitter(busyInterval), failure)
		case budget == endless:
			return snooze(r.pollDelay(time.Time{}, failure), failure)
		}
		return r.endWithFailure(failure)
	}
	defer d.Close()
	if r.isSettled(d) { // it was cancelled meanwhile
		r.w.local.finish(r.ref.Hash(), nil, errSettled)
		return nil
	}
	d.Counters.Starts = 0
	if notReady, ok := errors.AsType[*fetch.NotReadyError](failure); ok {
		return r.waitForJob(d, notReady)
	}
	return r.useAttempt(d, failure, outcome, budget)
}

// waitForJob snoozes the task of a job that has not ended. If the deadline is
// nearer than the next poll, that poll is at the deadline, and the last.
func (r *run) waitForJob(d *archive.Record, notReady *fetch.NotReadyError) error {
	d.Counters.Polls++
	d.Counters.Ready, d.Counters.Status = false, safeText(notReady)
	if notReady.State != "" {
		d.Counters.Unknown = 0
		r.note(notReady.Error())
	} else {
		d.Counters.Unknown++
		n := d.Counters.Unknown
		if n == maxUnknownStatuses {
			return r.giveUp(d, fmt.Errorf("%w: %q, %d times in a row", errUnknownStatus, notReady.Status, n))
		}
		r.note(fmt.Sprintf("the job has a status that is not known: %q (%d of %d in a row)", notReady.Status, n, maxUnknownStatuses))
	}
	wait := r.w.Wait
	if r.task.Wait > 0 {
		wait = time.Duration(r.task.Wait)
	}
	left := Forever
	if wait != Forever {
		left = time.Until(d.State.Asked.Add(wait))
	}
	if left <= 0 {
		return r.giveUp(d, notReady)
	}
	save := d.SaveCounters
	if len(d.State.Failures) > 0 { // the job answers again: its attempts are given back
		d.State.Failures, d.State.Cause, d.State.Message = nil, "", ""
		d.State.Next = time.Time{}
		save = d.Save
	}
	_ = save()
	pause := min(r.pollDelay(d.State.Asked, notReady), left)
	if max(r.w.PollInterval, pause) < time.Second {
		pause = 0 // the queue counts whole seconds: its next look is nearer to what is wanted
	}
	return snooze(pause, notReady)
}

// useAttempt takes an attempt from the budget of its cause, and gives the export
// up if that was the last.
func (r *run) useAttempt(d *archive.Record, failure error, outcome Outcome, budget int) error {
	if budget == endless {
		r.note(fmt.Sprintf("%v: waiting for that to pass", failure))
		_ = d.SaveCounters()
		return snooze(r.pollDelay(d.State.Asked, failure), failure)
	}
	if d.State.Failures == nil {
		d.State.Failures = map[string]int{}
	}
	d.State.Attempts++
	d.State.Failures[string(outcome.Cause)]++
	n := d.State.Failures[string(outcome.Cause)]
	if n >= budget {
		return r.giveUp(d, failure)
	}
	pause := max(outcome.delay(r.w.local != nil, n), fetch.RetryAfter(failure))
	r.note(fmt.Sprintf("attempt %d of %d failed: %v; the next in %v", n, budget, failure, pause))
	d.State.Next = time.Now().UTC().Add(pause)
	_ = saveFailure(d, failure) // if it can't be saved, the export has an attempt more
	return &snoozeError{delay: pause, message: safeText(failure), countsAsFailure: true}
}

// giveUp writes down that an export has failed.
func (r *run) giveUp(d *archive.Record, failure error) error {
	d.State.Phase, d.State.Next = archive.Failed, time.Time{}
	_ = saveFailure(d, failure) // if it can't be saved, the next worker fails at it again
	_ = d.Close()               // those who are told may ask for it again at once
	return r.endWithFailure(failure)
}

// saveFailure saves the record with the error of the last attempt.
func saveFailure(d *archive.Record, failure error) error {
	outcome := Classify(failure)
	d.State.Cause, d.State.Message = string(outcome.Cause), safeText(failure)
	d.State.Changed = time.Now().UTC()
	return d.Save()
}

// endWithFailure tells that an export has failed. In a queue that outlives the
// worker, asynq archives the task, where others look for what failed.
func (r *run) endWithFailure(failure error) error {
	r.notifyEnd(nil, failure)
	if r.w.local != nil {
		return nil
	}
	return fmt.Errorf("%s: %s: %w", Classify(failure).Cause, safeText(failure), asynq.SkipRetry)
}

// pollDelay is the wait until a job is asked again, which was first asked for at
// a time. Half of the time since then makes each wait half as long again as the
// one before, without a memory of it.
func (r *run) pollDelay(asked time.Time, err error) time.Duration {
	delay := maxPollInterval
	if !asked.IsZero() {
		delay = min(r.w.PollInterval+time.Since(asked)/2, max(maxPollInterval, r.w.PollInterval))
	}
	if errors.Is(err, archive.ErrBusy) {
		delay = min(delay, busyInterval)
	}
	return max(jitter(delay), fetch.RetryAfter(err))
}
