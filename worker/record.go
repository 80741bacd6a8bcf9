package worker

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/hibiken/asynq"

	"tallyman/fetch"
	"tallyman/verify/archive"
)

// longestPoll is the interval that polling backs off to, and what is not the
// export's fault is waited out by.
const maxPollInterval = time.Minute

// unknownStatuses is how many status words that we don't know, in a row, are
// too many; mostStarts how often in a row a worker may die at an export without
// having gained a byte of it.
const (
	maxUnknownStatuses = 10
	maxStarts          = 10
)

var (
	// errUnknownStatus ends the wait for a job whose provider keeps using a
	// word that we don't know.
	errUnknownStatus = errors.New("the provider keeps using a status that is not known")
	errCrashed       = errors.New("its worker died at each of the last attempts, and nothing was gained")
	errPanicked      = errors.New("the attempt panicked")
	errSettled       = errors.New("it was cancelled, or has failed, and nobody has asked for it since")
)

func (v *run) record() (*archive.Record, error) {
	return v.w.Archive.Record(v.ref.String(), v.ref.Key())
}

// ResetBudget gives an export a new budget, for someone who asks for it. It fails
// with archive.ErrBusy while it is being fetched, and with archive.ErrLanded
// once it has landed.
func ResetBudget(a *archive.Archive, ref fetch.Ref, o Options) error {
	d, err := a.Record(ref.String(), ref.Key())
	if err != nil {
		return err
	}
	defer d.Close()
	resetRecord(d, o.forRef(ref))
	return d.Save()
}

// cancelRecord drops what was received of an export, and keeps all from fetching it
// until it is renewed. It fails with archive.ErrBusy while it is being fetched,
// and with archive.ErrLanded once it has landed.
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

// begin notes that an attempt begins. If it does not end, the next will know.
func (v *run) begin() error {
	d, err := v.record()
	if err != nil {
		return err
	}
	defer d.Close()
	if v.isClosed(d) {
		return errSettled
	}
	if d.State.Asked.IsZero() {
		resetRecord(d, v.task.Options)
		if err := d.Save(); err != nil {
			return err
		}
	}
	if gain := d.Progress(); gain != d.Counters.Progress {
		d.Counters.Progress, d.Counters.Starts = gain, 0
	}
	if d.Counters.Starts == maxStarts {
		return errCrashed
	}
	d.Counters.Starts++
	return d.SaveCounters()
}

// isClosed reports whether nothing is to be done until someone asks anew. Who
// waits for an export has asked, whatever another process gave up meanwhile.
func (v *run) isClosed(d *archive.Record) bool {
	return d.State.Phase == archive.Cancelled || d.State.Phase == archive.Failed && v.w.local == nil
}

// updateRecord writes down an attempt that did not crash. It is of no great matter: if
// another attempt holds the docket by now, so be it.
func (v *run) updateRecord(what func(*archive.Record)) {
	d, err := v.record()
	if err != nil {
		return
	}
	defer d.Close()
	what(d)
	_ = d.SaveCounters()
}

// recordFailure writes down an attempt that did not bring the export in.
func (v *run) recordFailure(missed error) error {
	if errors.Is(missed, archive.ErrBusy) && v.w.local != nil {
		return v.endWithFailure(missed) // which says nothing of the export
	}
	outcome := Classify(missed)
	d, err := v.record()
	if err != nil {
		return v.unrecorded(missed, outcome, err)
	}
	defer d.Close()
	if v.isClosed(d) { // cancelled in the meantime
		return v.discard()
	}
	d.Counters.Starts = 0
	if waiting, ok := errors.AsType[*fetch.NotReadyError](missed); ok {
		return v.snoozeUntilReady(d, waiting)
	}
	return v.useAttempt(d, missed, outcome)
}

// unrecorded is of an attempt that can't be written down: another attempt has
// the docket or has brought the export in, or the disk has failed.
func (v *run) unrecorded(missed error, outcome Outcome, why error) error {
	other := errors.Is(why, archive.ErrLanded) || v.w.local == nil && errors.Is(why, archive.ErrBusy)
	switch {
	case other && !errors.Is(missed, archive.ErrDamaged):
		return snooze(jitter(busyInterval), missed)
	case v.budget(outcome) == endless:
		return snooze(v.pollDelay(time.Time{}, missed), missed)
	}
	return v.endWithFailure(missed)
}

// snoozeUntilReady has a job that has not ended asked again. When the deadline is nearer
// than the next poll, it is the last poll.
func (v *run) snoozeUntilReady(d *archive.Record, waiting *fetch.NotReadyError) error {
	d.Counters.Polls++
	d.Counters.Ready, d.Counters.Status = false, safeText(waiting)
	if err := v.countUnknownStatus(d, waiting); err != nil {
		return v.giveUp(d, err)
	}
	left := time.Until(deadline(d.State.Asked, v.jobTimeout()))
	if left <= 0 {
		return v.giveUp(d, waiting)
	}
	write := d.SaveCounters
	if len(d.State.Failures) > 0 { // the job is well
		d.State.Failures, d.State.Cause, d.State.Message, d.State.Hint = nil, "", "", ""
		d.State.Next = time.Time{}
		write = d.Save
	}
	_ = write()
	pause := min(v.pollDelay(d.State.Asked, waiting), left)
	if max(v.w.PollInterval, pause) < time.Second {
		pause = 0 // the queue counts whole seconds: as soon as it looks is nearer to what is wanted
	}
	return snooze(pause, waiting)
}

// countUnknownStatus notes where the job stands. Words that are not known are counted.
func (v *run) countUnknownStatus(d *archive.Record, waiting *fetch.NotReadyError) error {
	if waiting.State != "" {
		d.Counters.Unknown = 0
		v.notify(waiting.Error())
		return nil
	}
	d.Counters.Unknown++
	n := d.Counters.Unknown
	if n == maxUnknownStatuses {
		return fmt.Errorf("%w: %q, %d times in a row", errUnknownStatus, waiting.Status, n)
	}
	v.notify(fmt.Sprintf("the job has a status that is not known: %q (%d of %d in a row)", waiting.Status, n, maxUnknownStatuses))
	return nil
}

// useAttempt takes an attempt from the budget of its cause.
func (v *run) useAttempt(d *archive.Record, failure error, outcome Outcome) error {
	budget := v.budget(outcome)
	if budget == endless {
		v.notify(fmt.Sprintf("%v: waiting for that to pass", failure))
		_ = d.SaveCounters()
		return snooze(v.pollDelay(d.State.Asked, failure), failure)
	}
	if d.State.Failures == nil {
		d.State.Failures = map[string]int{}
	}
	d.State.Attempts++
	d.State.Failures[string(outcome.Cause)]++
	n := d.State.Failures[string(outcome.Cause)]
	if n >= budget {
		return v.giveUp(d, failure)
	}
	pause := v.retryDelay(outcome, n, failure)
	v.notify(fmt.Sprintf("attempt %d of %d failed: %v; the next in %v", n, budget, failure, pause))
	d.State.Next = time.Now().UTC().Add(pause)
	_ = saveFailure(d, failure) // a budget that can't be written down is larger for it
	return &snoozeError{delay: pause, message: safeText(failure), countsAsFailure: true}
}

// giveUp writes down that an export needs a person.
func (v *run) giveUp(d *archive.Record, failure error) error {
	d.State.Phase, d.State.Next = archive.Failed, time.Time{}
	_ = saveFailure(d, failure) // the next worker will see for itself
	_ = d.Close()               // whoever is told may ask for it again at once
	return v.endWithFailure(failure)
}

// saveFailure saves the docket with what was the matter.
func saveFailure(d *archive.Record, failure error) error {
	outcome := Classify(failure)
	d.State.Cause, d.State.Message, d.State.Hint = string(outcome.Cause), safeText(failure), outcome.Hint
	d.State.Changed = time.Now().UTC()
	return d.Save()
}

// endWithFailure gives an export up. In a queue that outlives its worker, the task is
// kept where others look for what failed.
func (v *run) endWithFailure(failure error) error {
	v.notifyEnd(nil, failure)
	if v.w.local != nil {
		return nil
	}
	return fmt.Errorf("%s: %s: %w", Classify(failure).Cause, safeText(failure), asynq.SkipRetry)
}

func (v *run) budget(o Outcome) int {
	budget := o.Budget.Worker
	if v.w.local != nil {
		budget = o.Budget.Command
	}
	if v.w.Attempts > 0 && budget > 1 && budget < endless {
		return v.w.Attempts
	}
	return budget
}

func (v *run) retryDelay(o Outcome, n int, failure error) time.Duration {
	if v.w.local != nil {
		return o.delay(n, fetch.RetryAfter(failure))
	}
	return o.patience(n, fetch.RetryAfter(failure))
}

// jobTimeout is how long the export's job may take to become ready.
func (v *run) jobTimeout() time.Duration {
	if v.task.Wait > 0 {
		return time.Duration(v.task.Wait)
	}
	return v.w.Wait
}

// deadline is the end of a wait that began then.
func deadline(began time.Time, wait time.Duration) time.Time {
	if wait == Forever {
		return time.Now().Add(Forever / 2)
	}
	return began.Add(wait)
}

// pollDelay is the wait until a job is asked again that was first asked for
// then. Half of what has passed makes each interval half as long again as the
// one before, and needs no memory of it.
func (v *run) pollDelay(asked time.Time, err error) time.Duration {
	grown := maxPollInterval
	if !asked.IsZero() {
		grown = min(v.w.PollInterval+time.Since(asked)/2, max(maxPollInterval, v.w.PollInterval))
	}
	if errors.Is(err, archive.ErrBusy) {
		grown = min(grown, busyInterval)
	}
	return max(jitter(grown), fetch.RetryAfter(err))
}

// busyPoll is how soon to look again whether another attempt has ended.
const busyInterval = 5 * time.Second

// jitter spreads the polls of many jobs that began at once.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.9 + 0.2*rand.Float64()))
}
