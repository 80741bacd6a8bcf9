package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tallyman/fetch"
)

// A Backoff says how often a call is made, how long to wait between the first
// two tries, and for how long at most because a service asks.
type Backoff struct {
	Tries          int
	First, Longest time.Duration
}

// The backoff of calls to a service's API, and to a store that lists objects.
var (
	ServiceBackoff = Backoff{5, 500 * time.Millisecond, time.Minute} // many count calls by the minute
	StoreBackoff   = Backoff{4, 200 * time.Millisecond, 10 * time.Second}
)

// Retry makes a call, and makes it again while it fails with ErrTemporary (but for
// ErrNoSuchHost) or ErrThrottled, up to b.Tries times. The waits double, and are at least as long
// as the service asks: if that is longer than b.Longest, the call has failed at once, for the
// caller to wait. If ctx ends during a wait, its cause is the error.
func Retry[T any](ctx context.Context, b Backoff, call string, do func() (T, error)) (T, error) {
	wait := b.First
	for try := 1; ; try++ {
		answer, err := do()
		passes := errors.Is(err, fetch.ErrTemporary) && !errors.Is(err, fetch.ErrNoSuchHost) || errors.Is(err, fetch.ErrThrottled)
		asked := fetch.RetryAfter(err)
		if try == b.Tries || !passes || asked > b.Longest {
			return answer, err
		}
		if err := fetch.Sleep(ctx, max(wait, asked)); err != nil {
			return answer, fmt.Errorf("%s: %w", call, err)
		}
		wait *= 2
	}
}
