package main

import (
	"context"

	"golang.org/x/time/rate"
)

// paced are keys that are given out at --api-rate, so that the calls which are
// signed with them keep to it: each asks for its keys once, and before the time
// begins that its answer may take. So who is paced are those who hold these
// keys together: a service, asked as one account.
func paced[K any](o *options, keys func(context.Context) (K, error)) func(context.Context) (K, error) {
	if o.apiRate == 0 {
		return keys
	}
	turns := rate.NewLimiter(rate.Limit(o.apiRate), max(1, int(o.apiRate))) // those of a second may come all at once
	return func(ctx context.Context) (none K, err error) {
		if err := turn(ctx, turns); err != nil {
			return none, err
		}
		return keys(ctx)
	}
}

// turn waits for it. What ends ctx meanwhile is the error.
func turn(ctx context.Context, turns *rate.Limiter) error {
	err := turns.Wait(ctx)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
