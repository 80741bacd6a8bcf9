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

// In a bubble the clock goes only while all wait: how long it takes is how
// often the limiter was asked, and no more.
func TestLimitIsAskedForEachByte(t *testing.T) {
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

func TestLimitWithoutABoundIsNone(t *testing.T) {
	s := fetchtest.NewMemory(fiveObjects()...)
	f := newMemoryFetcher(t, s)
	f.Limit = rate.NewLimiter(rate.Inf, 0)
	mustFetch(t, f)
	checkFiles(t, f, contents(s.Files))
}

// The store does not stall while it is us who wait.
func TestWaitingForTheLimitIsNoStall(t *testing.T) {
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
		const deadline = 5500 * time.Millisecond // none has just paid then
		ctx, cancel := context.WithTimeoutCause(context.Background(), deadline, errStopped)
		defer cancel()
		began, sum := time.Now(), watchProgress(f)
		if _, err := f.Fetch(ctx, parseRef(t, exportRef)); !errors.Is(err, errStopped) {
			t.Errorf("%v, want the cause", err)
		}
		if took := time.Since(began); took != deadline {
			t.Errorf("it ended after %v", took)
		}
		if bytes, _ := sum(); bytes > 600+2*4*100 { // what four connections had read and not paid for yet, and four that saw the end a little later
			t.Errorf("%d bytes came in %v", bytes, deadline)
		}
	})
}
