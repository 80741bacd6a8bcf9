package worker

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/hibiken/asynq"
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

// isFailure implements asynq.Config.IsFailure.
func isFailure(err error) bool {
	if e, ok := errors.AsType[*snoozeError](err); ok {
		return e.countsAsFailure
	}
	return !errors.Is(err, asynq.ErrLeaseExpired) // its worker died, or could not reach Redis
}

// taskDelay implements asynq.RetryDelayFunc. A task whose worker was lost runs
// again at once. The queue drops the fraction of a second, so a delay is
// lengthened to end where a second begins.
func taskDelay(_ int, err error, _ *asynq.Task) time.Duration {
	e, ok := errors.AsType[*snoozeError](err)
	if !ok || e.delay <= 0 {
		return 0
	}
	now := time.Now()
	return now.Add(e.delay + time.Second - 1).Truncate(time.Second).Sub(now)
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
