package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tallyman/fetch"
)

// A Backoff says how often a call is made, how long to wait between the first
// two tries, and how much of a service's Retry-After is heeded.
type Backoff struct {
	Tries          int
	First, Longest time.Duration
}

// The backoff of calls to a service's API, and to a store that lists objects.
var (
	ServiceBackoff = Backoff{5, 500 * time.Millisecond, 30 * time.Second}
	StoreBackoff   = Backoff{4, 200 * time.Millisecond, 10 * time.Second}
)

// Retry makes a call, and makes it again while it fails with ErrTemporary (but for
// ErrNoSuchHost) or ErrThrottled, up to b.Tries times. The waits double, and are at least as long
// as the service asks. If ctx ends during a wait, its cause is the error.
func Retry[T any](ctx context.Context, b Backoff, call string, do func() (T, error)) (T, error) {
	wait := b.First
	for try := 1; ; try++ {
		answer, err := do()
		passes := errors.Is(err, fetch.ErrTemporary) && !errors.Is(err, fetch.ErrNoSuchHost) || errors.Is(err, fetch.ErrThrottled)
		if try == b.Tries || !passes {
			return answer, err
		}
		if err := fetch.Sleep(ctx, max(wait, min(fetch.RetryAfter(err), b.Longest))); err != nil {
			return answer, fmt.Errorf("%s: %w", call, err)
		}
		wait *= 2
	}
}
