package worker

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/redact"
	"tallyman/verify/archive"
)

const (
	maxPollInterval = time.Minute     // that polls back off to, and retries of what costs an export nothing
	busyInterval    = 5 * time.Second // between looks whether another attempt has ended
	maxLocalPause   = 5 * time.Second // that who waits for an export bears whatever the wait is
)

// recordFailure writes down an attempt after which the export has not landed. It
// returns a *snoozeError if there is to be another, else the error that the export has
// failed with.
func (r *run) recordFailure(failure error) error {
	if r.forCaller && errors.Is(failure, archive.ErrBusy) {
		return r.endWithFailure(failure) // another process has it, which says nothing of the export
	}
	if isA[*archive.Damage](failure) {
		return r.endWithFailure(failure) // the ledger says so, and a record would be of an export that has not landed
	}
	outcome := Classify(failure)
	notReady, waits := errors.AsType[*fetch.NotReadyError](failure)
	if waits && notReady.State != "" && r.wait != nil && r.counters == (archive.Counters{}) && len(r.state.Failures) == 0 && r.waitLeft(r.state.Asked) > 0 {
		return r.waitWithoutTask(r.state.Asked, notReady) // and without a record
	}
	d, err := r.w.Archive.Record(r.ref.String(), r.ref.Key())
	budget := r.budget(outcome, err == nil && d.Counters.Polls > 0)
	if err != nil { // another attempt has the record or has landed the export, or the disk fails
		taken := errors.Is(err, archive.ErrLanded) || !r.forCaller && errors.Is(err, archive.ErrBusy)
		switch {
		case taken && !errors.Is(failure, archive.ErrDamaged):
			return snooze(jitter(busyInterval), failure)
		case errors.Is(err, archive.ErrBusy) && (waits || isDead(failure)) && r.waitLeft(r.asked()) > 0:
			return snooze(min(r.pollDelay(r.asked(), failure), busyInterval), failure) // of a job, what it says is written down
		case budget == endless:
			return r.waitOut(nil, failure, outcome)
		}
		return r.endWithFailure(failure)
	}
	defer d.Close()
	if r.isSettled(d.State) { // it was cancelled meanwhile
		return errSettled
	}
	d.Counters.Starts = 0
	if waits {
		return r.waitForJob(d, notReady)
	}
	return r.useAttempt(d, failure, outcome, budget)
}

// asked is when the export was asked for, for one who can't have the record.
func (r *run) asked() time.Time {
	if state, _, err := r.w.Archive.State(r.ref.Key()); err == nil {
		return state.Asked
	}
	return time.Now()
}

// budget is how many attempts may end so. A caller of Local.Fetch who is patient, or
// who waits for the job already, waits for what passes by itself too.
func (r *run) budget(outcome Outcome, waiting bool) int {
	n, most := outcome.Budget.Worker, r.w.Attempts
	if r.forCaller {
		n = outcome.Budget.Command
	}
	switch {
	case most == 0 && r.forCaller && (r.w.Patient || waiting) && slices.Contains(outageCauses, outcome.Cause):
		return endless
	case most == 0 || n == 1 || n == endless:
		return n
	case outcome.Budget == few: // another attempt brings the same bytes: more of them are of no use
		return min(n, most)
	}
	return most
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
	left := r.waitLeft(d.State.Asked)
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
	if r.wait != nil && notReady.State != "" {
		return r.waitWithoutTask(d.State.Asked, notReady)
	}
	pause := min(r.pollDelay(d.State.Asked, notReady), left)
	if r.w.Queue != nil && max(r.w.PollInterval, pause) < time.Second {
		pause = 0 // asynq counts whole seconds, and a second is longer than the wait that was asked for
	}
	return snooze(pause, notReady)
}

// waitWithoutTask has the export wait for its job without a task. While Redis is away it
// keeps the one it has.
func (r *run) waitWithoutTask(asked time.Time, notReady *fetch.NotReadyError) error {
	r.note(notReady.Error())
	pause := min(r.pollDelay(asked, notReady), r.waitLeft(asked))
	if err := r.wait(time.Now().Add(pause), safeText(notReady)); err != nil {
		return snooze(pause, notReady)
	}
	return errWaits
}

// waitLeft is what is left of the wait of an export.
func (r *run) waitLeft(asked time.Time) time.Duration {
	wait := r.w.Wait
	if r.options.Wait > 0 {
		wait = time.Duration(r.options.Wait)
	}
	if wait == Forever {
		return Forever
	}
	return time.Until(asked.Add(wait))
}

// waitOut snoozes the task until what made it fail has passed, which takes no
// attempt. A caller of Local.Fetch waits for no longer than for a job. If d is nil,
// the record can't be had.
func (r *run) waitOut(d *archive.Record, failure error, outcome Outcome) error {
	var lasted time.Duration
	if !errors.Is(failure, archive.ErrBusy) && !errors.Is(failure, ErrRedis) { // of Redis its client tells
		o, _ := r.w.outages.LoadOrStore(outcome.Cause, &Outage{What: string(outcome.Cause), Tell: r.w.OnOutage})
		lasted = o.(*Outage).Failed(r.ref.Hash(), failure)
	}
	pause := max(r.pollDelay(time.Now().Add(-lasted), failure), time.Second)
	if !r.forCaller {
		return snooze(pause, failure)
	}
	asked := time.Now().Add(-lasted)
	if d != nil {
		asked = d.State.Asked
	}
	left := r.waitLeft(asked)
	switch {
	case left <= 0 && d == nil:
		return r.endWithFailure(failure)
	case left <= 0:
		return r.giveUp(d, failure)
	}
	return snooze(min(pause, left), failure)
}

// useAttempt takes an attempt from the budget of its cause, and gives the export
// up if that was the last.
func (r *run) useAttempt(d *archive.Record, failure error, outcome Outcome, budget int) error {
	if budget == endless {
		_ = d.SaveCounters()
		return r.waitOut(d, failure, outcome)
	}
	if d.State.Failures == nil {
		d.State.Failures = map[string]int{}
	}
	d.State.Attempts++
	d.State.Failures[string(outcome.Cause)]++
	n := d.State.Failures[string(outcome.Cause)]
	asked, left := fetch.RetryAfter(failure), Forever
	if r.forCaller {
		left = max(r.waitLeft(d.State.Asked), 0)
	}
	pause := outcome.delay(r.forCaller, n)
	if n >= budget || asked > maxLocalPause && left == 0 {
		return r.giveUp(d, failure)
	}
	note := fmt.Sprintf("attempt %d of %d failed: %v", n, budget, failure)
	if asked > pause {
		note += fmt.Sprintf("; the service asks to wait %v", asked.Round(time.Second))
		pause = max(pause, min(asked, max(left, maxLocalPause)))
	}
	r.note(fmt.Sprintf("%s; the next in %v", note, pause))
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
	d.State.Cause, d.State.Message, d.State.RequestID = string(outcome.Cause), safeText(failure), ""
	if call, ok := errors.AsType[*fetch.CallError](failure); ok {
		d.State.RequestID = redact.Text(call.RequestID)
	}
	d.State.Changed = time.Now().UTC()
	return d.Save()
}

// endWithFailure tells that an export has failed.
func (r *run) endWithFailure(failure error) error {
	r.notifyEnd(nil, failure)
	return failure
}

// pollDelay is the wait until a job is asked again. It is the poll interval and
// half of the time since the job was first asked for, at most maxPollInterval: so
// each wait is about half as long again as the one before.
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

// delay is the wait after attempt n, from 1 on: shorter where someone waits for
// the export.
func (o Outcome) delay(forCaller bool, n int) time.Duration {
	switch {
	case forCaller && o.Budget == few:
		return time.Duration(n) * time.Second
	case forCaller:
		return backoff(250*time.Millisecond, n, maxLocalPause)
	}
	return jitter(backoff(time.Second, n, 15*time.Minute))
}

// backoff is a wait that doubles n-1 times, up to a longest.
func backoff(first time.Duration, n int, longest time.Duration) time.Duration {
	return min(first<<min(n-1, 20), longest)
}

// jitter spreads the waits of many tasks that began at once.
func jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.9 + 0.2*rand.Float64()))
}
