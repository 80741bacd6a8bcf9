package fetch_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
)

// In a synctest bubble time passes only while all goroutines wait, here for the
// limiter alone.
func TestLimitBoundsTheRateOfAllBytes(t *testing.T) {
	for _, burst := range []int{1, 100, 100_000} {
		synctest.Test(t, func(t *testing.T) {
			s := fetchtest.NewMemory(fiveObjects()...)
			total := 0
			for _, i := range s.Files {
				total += len(i.Body)
			}
			f := newMemoryFetcher(t, s)
			f.Limit = rate.NewLimiter(1000, burst)
			began := time.Now()
			mustFetch(t, f)
			checkFiles(t, f, contents(s.Files))
			took, want := time.Since(began), time.Duration(max(0, total-burst))*time.Millisecond
			if took < want || took > want+time.Millisecond {
				t.Errorf("%d bytes and %d at once: %v, want %v", total, burst, took, want)
			}
		})
	}
}

func TestAnInfiniteLimitIsNone(t *testing.T) {
	s := fetchtest.NewMemory(fiveObjects()...)
	f := newMemoryFetcher(t, s)
	f.Limit = rate.NewLimiter(rate.Inf, 0)
	mustFetch(t, f)
	checkFiles(t, f, contents(s.Files))
}

func TestWaitingForTheLimitIsNotIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := fetchtest.NewMemory(fiveObjects()...)
		f := newMemoryFetcher(t, s)
		f.Limit, f.IdleTimeout = rate.NewLimiter(10, 10), time.Second
		f.Progress = func(p fetch.Progress) {
			if p.Note != "" {
				t.Error(p.Note)
			}
		}
		mustFetch(t, f)
		checkFiles(t, f, contents(s.Files))
	})
}

func TestLimitHoldsUntilADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := fetchtest.NewMemory(fiveObjects()...)
		f := newMemoryFetcher(t, s)
		f.Limit = rate.NewLimiter(100, 100)
		const deadline = 5500 * time.Millisecond // no connection gets bytes from the limiter at that time
		ctx, cancel := context.WithTimeoutCause(context.Background(), deadline, errStopped)
		defer cancel()
		began, sum := time.Now(), watchProgress(f)
		if _, err := f.Fetch(ctx, parseRef(t, exportRef)); !errors.Is(err, errStopped) {
			t.Errorf("%v, want the cause", err)
		}
		if took := time.Since(began); took != deadline {
			t.Errorf("it ended after %v", took)
		}
		if bytes, _ := sum(); bytes > 600+2*4*100 { // four connections may have read a burst that they still wait for, and one more before they see the end
			t.Errorf("%d bytes came in %v", bytes, deadline)
		}
	})
}
