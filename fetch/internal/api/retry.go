package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tallyman/fetch"
)

// How often a call is made, and how long between the first two times.
const (
	tries       = 5
	firstWait   = 500 * time.Millisecond
	longestWait = 30 * time.Second // the most that a service's Retry-After counts
)

// Retry makes a call, and makes it again a few times while it fails in a way
// that may pass. The waits double, and are no shorter than the service asks.
// What ends ctx in one of them is the error.
func Retry[T any](ctx context.Context, call string, do func() (T, error)) (T, error) {
	wait := firstWait
	for try := 1; ; try++ {
		answer, err := do()
		if try == tries || !errors.Is(err, fetch.ErrTemporary) && !errors.Is(err, fetch.ErrThrottled) {
			return answer, err
		}
		if err := fetch.Sleep(ctx, max(wait, min(fetch.After(err), longestWait))); err != nil {
			return answer, fmt.Errorf("%s: %w", call, err)
		}
		wait *= 2
	}
}
