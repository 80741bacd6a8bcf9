package worker

import "time"

// A snoozeError tells the queue when to run a task again. The queue has no
// budget: it runs a task again as often as a snoozeError asks.
type snoozeError struct {
	delay           time.Duration
	message         string // without secrets
	countsAsFailure bool   // in the queue's own statistics
}

func (e *snoozeError) Error() string { return e.message }

// snooze has a task run again after a delay, and is no failure.
func snooze(delay time.Duration, why error) *snoozeError {
	return &snoozeError{delay: delay, message: safeText(why)}
}
