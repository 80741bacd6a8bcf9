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
const longestPoll = time.Minute

// unknownStatuses is how many status words that we don't know, in a row, are
// too many; mostStarts how often in a row a worker may die at an export without
// having gained a byte of it.
const (
	unknownStatuses = 10
	mostStarts      = 10
)

var (
	// errUnknownStatus ends the wait for a job whose provider keeps using a
	// word that we don't know.
	errUnknownStatus = errors.New("the provider keeps using a status that is not known")
	errCrashed       = errors.New("its worker died at each of the last attempts, and nothing was gained")
	errPanicked      = errors.New("the attempt panicked")
	errSettled       = errors.New("it was cancelled, or has failed, and nobody has asked for it since")
)

func (v *visit) docket() (*archive.Record, error) {
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
	renew(d, o.of(ref))
	return d.Save()
}

// Cancel drops what was received of an export, and keeps all from fetching it
// until it is renewed. It fails with archive.ErrBusy while it is being fetched,
// and with archive.ErrLanded once it has landed.
func Cancel(a *archive.Archive, ref fetch.Ref) error {
	d, err := a.Record(ref.String(), ref.Key())
	if err != nil {
		return err
	}
	defer d.Close()
	renew(d, Options{}.of(ref))
	d.State.Phase, d.State.Cause = archive.Cancelled, "cancelled"
	return errors.Join(d.Save(), d.Discard())
}

func renew(d *archive.Record, o Options) {
	now, old := time.Now().UTC(), d.State
	d.State = archive.State{
		Schema: old.Schema, Reference: old.Reference, Key: old.Key, FirstSeen: old.FirstSeen,
		Phase: archive.Waiting, Asked: now, Changed: now,
	}
	d.State.Options, _ = json.Marshal(o) // of times and a bool
	d.Counters = archive.Counters{Progress: d.Progress()}
}

// begin notes that an attempt begins. If it does not end, the next will know.
func (v *visit) begin() error {
	d, err := v.docket()
	if err != nil {
		return err
	}
	defer d.Close()
	if v.settled(d) {
		return errSettled
	}
	if d.State.Asked.IsZero() {
		renew(d, v.task.Options)
		if err := d.Save(); err != nil {
			return err
		}
	}
	if gain := d.Progress(); gain != d.Counters.Progress {
		d.Counters.Progress, d.Counters.Starts = gain, 0
	}
	if d.Counters.Starts == mostStarts {
		return errCrashed
	}
	d.Counters.Starts++
	return d.SaveCounters()
}

// settled reports whether nothing is to be done until someone asks anew. Who
// waits for an export has asked, whatever another process gave up meanwhile.
func (v *visit) settled(d *archive.Record) bool {
	return d.State.Phase == archive.Cancelled || d.State.Phase == archive.Failed && v.w.local == nil
}

// note writes down an attempt that did not crash. It is of no great matter: if
// another attempt holds the docket by now, so be it.
func (v *visit) note(what func(*archive.Record)) {
	d, err := v.docket()
	if err != nil {
		return
	}
	defer d.Close()
	what(d)
	_ = d.SaveCounters()
}

// missed writes down an attempt that did not bring the export in.
func (v *visit) missed(missed error) error {
	if errors.Is(missed, archive.ErrBusy) && v.w.local != nil {
		return v.give(missed) // which says nothing of the export
	}
	outcome := Classify(missed)
	d, err := v.docket()
	if err != nil {
		return v.unwritten(missed, outcome, err)
	}
	defer d.Close()
	if v.settled(d) { // cancelled in the meantime
		return v.drop()
	}
	d.Counters.Starts = 0
	if waiting, ok := errors.AsType[*fetch.NotReadyError](missed); ok {
		return v.wait(d, waiting)
	}
	return v.spend(d, missed, outcome)
}

// unwritten is of an attempt that can't be written down: another attempt has
// the docket or has brought the export in, or the disk has failed.
func (v *visit) unwritten(missed error, outcome Outcome, why error) error {
	other := errors.Is(why, archive.ErrLanded) || v.w.local == nil && errors.Is(why, archive.ErrBusy)
	switch {
	case other && !errors.Is(missed, archive.ErrDamaged):
		return snooze(jitter(busyPoll), missed)
	case v.budget(outcome) == endless:
		return snooze(v.interval(time.Time{}, missed), missed)
	}
	return v.give(missed)
}

// wait has a job that has not ended asked again. When the deadline is nearer
// than the next poll, it is the last poll.
func (v *visit) wait(d *archive.Record, waiting *fetch.NotReadyError) error {
	d.Counters.Polls++
	d.Counters.Ready, d.Counters.Status = false, shown(waiting)
	if err := v.look(d, waiting); err != nil {
		return v.fail(d, err)
	}
	left := time.Until(deadline(d.State.Asked, v.patience()))
	if left <= 0 {
		return v.fail(d, waiting)
	}
	write := d.SaveCounters
	if len(d.State.Failures) > 0 { // the job is well
		d.State.Failures, d.State.Cause, d.State.Message, d.State.Hint = nil, "", "", ""
		d.State.Next = time.Time{}
		write = d.Save
	}
	_ = write()
	pause := min(v.interval(d.State.Asked, waiting), left)
	if max(v.w.PollInterval, pause) < time.Second {
		pause = 0 // the queue counts whole seconds: as soon as it looks is nearer to what is wanted
	}
	return snooze(pause, waiting)
}

// look notes where the job stands. Words that are not known are counted.
func (v *visit) look(d *archive.Record, waiting *fetch.NotReadyError) error {
	if waiting.State != "" {
		d.Counters.Unknown = 0
		v.tell(waiting.Error())
		return nil
	}
	d.Counters.Unknown++
	n := d.Counters.Unknown
	if n == unknownStatuses {
		return fmt.Errorf("%w: %q, %d times in a row", errUnknownStatus, waiting.Status, n)
	}
	v.tell(fmt.Sprintf("the job has a status that is not known: %q (%d of %d in a row)", waiting.Status, n, unknownStatuses))
	return nil
}

// spend takes an attempt from the budget of its cause.
func (v *visit) spend(d *archive.Record, failure error, outcome Outcome) error {
	budget := v.budget(outcome)
	if budget == endless {
		v.tell(fmt.Sprintf("%v: waiting for that to pass", failure))
		_ = d.SaveCounters()
		return snooze(v.interval(d.State.Asked, failure), failure)
	}
	if d.State.Failures == nil {
		d.State.Failures = map[string]int{}
	}
	d.State.Attempts++
	d.State.Failures[string(outcome.Cause)]++
	n := d.State.Failures[string(outcome.Cause)]
	if n >= budget {
		return v.fail(d, failure)
	}
	pause := v.pause(outcome, n, failure)
	v.tell(fmt.Sprintf("attempt %d of %d failed: %v; the next in %v", n, budget, failure, pause))
	d.State.Next = time.Now().UTC().Add(pause)
	_ = blame(d, failure) // a budget that can't be written down is larger for it
	return &later{after: pause, why: shown(failure), failed: true}
}

// fail writes down that an export needs a person.
func (v *visit) fail(d *archive.Record, failure error) error {
	d.State.Phase, d.State.Next = archive.Failed, time.Time{}
	_ = blame(d, failure) // the next worker will see for itself
	_ = d.Close()         // whoever is told may ask for it again at once
	return v.give(failure)
}

// blame saves the docket with what was the matter.
func blame(d *archive.Record, failure error) error {
	outcome := Classify(failure)
	d.State.Cause, d.State.Message, d.State.Hint = string(outcome.Cause), shown(failure), outcome.Hint
	d.State.Changed = time.Now().UTC()
	return d.Save()
}

// give gives an export up. In a queue that outlives its worker, the task is
// kept where others look for what failed.
func (v *visit) give(failure error) error {
	v.ended(nil, failure)
	if v.w.local != nil {
		return nil
	}
	return fmt.Errorf("%s: %s: %w", Classify(failure).Cause, shown(failure), asynq.SkipRetry)
}

func (v *visit) budget(o Outcome) int {
	budget := o.Budget.Worker
	if v.w.local != nil {
		budget = o.Budget.Command
	}
	if v.w.Attempts > 0 && budget > 1 && budget < endless {
		return v.w.Attempts
	}
	return budget
}

func (v *visit) pause(o Outcome, n int, failure error) time.Duration {
	if v.w.local != nil {
		return o.delay(n, fetch.RetryAfter(failure))
	}
	return o.patience(n, fetch.RetryAfter(failure))
}

// patience is how long the export's job may take to become ready.
func (v *visit) patience() time.Duration {
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

// interval is the wait until a job is asked again that was first asked for
// then. Half of what has passed makes each interval half as long again as the
// one before, and needs no memory of it.
func (v *visit) interval(asked time.Time, err error) time.Duration {
	grown := longestPoll
	if !asked.IsZero() {
		grown = min(v.w.PollInterval+time.Since(asked)/2, max(longestPoll, v.w.PollInterval))
	}
	if errors.Is(err, archive.ErrBusy) {
		grown = min(grown, busyPoll)
	}
	return max(jitter(grown), fetch.RetryAfter(err))
}

// busyPoll is how soon to look again whether another attempt has ended.
const busyPoll = 5 * time.Second

// jitter spreads the polls of many jobs that began at once.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.9 + 0.2*rand.Float64()))
}
