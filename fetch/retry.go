package fetch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

// How often a request is made again while it brings nothing, and how long
// between the first two. The wait doubles.
const (
	tries     = 4
	firstWait = 200 * time.Millisecond
	longest   = 50 // times the first wait: the most that a store's Retry-After counts
)

// retry does it again after a failure that may pass, until it has failed tries
// times without a gain. What comes too slowly is no gain, or it would never end.
func (r *ranges) retry(ctx context.Context, do func() error, gained func() bool) error {
	first := cmp.Or(r.f.firstWait, firstWait)
	failed, wait := 0, first
	for {
		err := do()
		if err == nil || !passing(err) {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if drained := r.f.drained(); drained != nil {
			return drained
		}
		if _, slow := errors.AsType[*slowError](err); !slow && gained() {
			failed, wait = 0, first
		}
		if failed++; failed == tries {
			return err
		}
		r.tell(0, fmt.Sprintf("%v: trying again", err))
		if err := r.f.pause(ctx, max(wait, min(RetryAfter(err), longest*first))); err != nil {
			return err
		}
		wait *= 2
	}
}

// pause waits for d, unless ctx ends or f drains.
func (f *Fetcher) pause(ctx context.Context, d time.Duration) error {
	ctx, over := f.untilDrained(ctx)
	defer over()
	return Sleep(ctx, d)
}
