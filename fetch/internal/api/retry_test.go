package api

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"tallyman/fetch"
)

func TestRetryRepeatsTemporaryFailures(t *testing.T) {
	failing := func(kind error, after time.Duration) error {
		return &fetch.CallError{Call: "List", Kind: kind, RetryAfter: after}
	}
	for _, c := range []struct {
		name  string
		errs  []error // of one call after another; then it succeeds
		calls int
		took  time.Duration
	}{
		{"one that succeeds is made once", nil, 1, 0},
		{"one that is refused is made once", []error{failing(fetch.ErrRefused, time.Second)}, 1, 0},
		{"so is one that the caller ended", []error{context.Canceled}, 1, 0},
		{"one that is throttled is made again", []error{failing(fetch.ErrThrottled, 0)}, 2, ServiceBackoff.First},
		{"the waits double", []error{failing(fetch.ErrTemporary, 0), failing(fetch.ErrThrottled, 0), failing(fetch.ErrTemporary, 0)}, 4, 7 * ServiceBackoff.First},
		{"the service's wish counts if it is longer", []error{failing(fetch.ErrThrottled, 3*time.Second), failing(fetch.ErrThrottled, time.Millisecond)}, 3, 3*time.Second + 2*ServiceBackoff.First},
		{"up to a bound", []error{failing(fetch.ErrThrottled, ServiceBackoff.Longest)}, 2, ServiceBackoff.Longest},
		{"and beyond it no call is made meanwhile", []error{failing(fetch.ErrThrottled, time.Hour)}, 1, 0},
		{"what goes on failing ends", []error{failing(fetch.ErrTemporary, 0), failing(fetch.ErrTemporary, 0), failing(fetch.ErrTemporary, 0), failing(fetch.ErrTemporary, 0), failing(fetch.ErrThrottled, 0)}, ServiceBackoff.Tries, 15 * ServiceBackoff.First},
		{"a refusal ends what has failed before", []error{failing(fetch.ErrTemporary, 0), failing(fetch.ErrAuth, 0)}, 2, ServiceBackoff.First},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began, calls := time.Now(), 0
				got, err := Retry(t.Context(), ServiceBackoff, "List", func() (int, error) {
					if calls++; calls <= len(c.errs) {
						return 0, c.errs[calls-1]
					}
					return 7, nil
				})
				var want error
				if calls <= len(c.errs) {
					want = c.errs[calls-1]
				}
				if calls != c.calls || time.Since(began) != c.took || !errors.Is(err, want) || (got == 7) != (err == nil) {
					t.Errorf("got %d, %v after %d calls and %v", got, err, calls, time.Since(began))
				}
			})
		})
	}
}

func TestRetryEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), ServiceBackoff.First/2)
		defer cancel()
		began := time.Now()
		_, err := Retry(ctx, ServiceBackoff, "List", func() (int, error) { return 0, &fetch.CallError{Kind: fetch.ErrThrottled} })
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != ServiceBackoff.First/2 {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
	})
}
