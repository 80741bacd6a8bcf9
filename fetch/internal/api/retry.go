package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tallyman/fetch"
)

// Backoff is how often a call is made, how long the wait is between the first
// two times, and the most that Retry-After counts.
type Backoff struct {
	Tries          int
	First, Longest time.Duration
}

// The backoff of calls to a service's API, and with a store that lists its objects.
var (
	ServiceBackoff = Backoff{5, 500 * time.Millisecond, 30 * time.Second}
	StoreBackoff   = Backoff{4, 200 * time.Millisecond, 10 * time.Second}
)

// Retry makes a call, and makes it again a few times while it fails in a way
// that may pass. The waits double, and are no shorter than the service asks.
// What ends ctx in one of them is the error.
func Retry[T any](ctx context.Context, p Backoff, call string, do func() (T, error)) (T, error) {
	wait := p.First
	for try := 1; ; try++ {
		answer, err := do()
		if try == p.Tries || !errors.Is(err, fetch.ErrTemporary) && !errors.Is(err, fetch.ErrThrottled) {
			return answer, err
		}
		if err := fetch.Sleep(ctx, max(wait, min(fetch.RetryAfter(err), p.Longest))); err != nil {
			return answer, fmt.Errorf("%s: %w", call, err)
		}
		wait *= 2
	}
}
