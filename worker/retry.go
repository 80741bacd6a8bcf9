package worker

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/hibiken/asynq"

	"tallyman/fetch"
	"tallyman/verify/archive"
)

const (
	maxPollInterval = time.Minute     // that polls back off to, and retries of what costs an export nothing
	busyInterval    = 5 * time.Second // between looks whether another attempt has ended
)

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
		pause = 0 // asynq counts whole seconds, and a second is longer than the wait that was asked for
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
func (o Outcome) delay(local bool, n int) time.Duration {
	switch {
	case local && o.Budget == few:
		return time.Duration(n) * time.Second
	case local:
		return backoff(250*time.Millisecond, n, 5*time.Second)
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
