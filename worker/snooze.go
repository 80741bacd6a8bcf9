package worker

import (
	"math/rand/v2"
	"time"
)

const (
	maxPollInterval = time.Minute     // that polls back off to, and retries of what costs an export nothing
	busyInterval    = 5 * time.Second // between looks whether another attempt has ended
)

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

// delay is the wait after attempt n, from 1 on: shorter where someone waits for
// the export.
func (o Outcome) delay(local bool, n int) time.Duration {
	switch {
	case local && o.Budget == mismatch:
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
