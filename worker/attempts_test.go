package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"tallyman/fetch"
	"tallyman/verify/archive"
)

func TestAnExportThatLandsIsFetchedOnce(t *testing.T) {
	t.Parallel()
	s := &scriptedFetcher{ends: []error{nil}}
	if err := s.runLocal(t, &Worker{}); err != nil || len(s.times) != 1 {
		t.Errorf("%d attempts, %v", len(s.times), err)
	}
}

func TestPollsAreFurtherApartEachTime(t *testing.T) {
	t.Parallel()
	s := &scriptedFetcher{ends: append(repeat(jobRunning, 11), nil)}
	if err := s.runLocal(t, &Worker{Wait: 24 * time.Hour, PollInterval: 2 * time.Second}); err != nil {
		t.Fatal(err)
	}
	for i, pause := range s.pauses()[:10] {
		want := min(2*time.Second+s.times[i].Sub(s.times[0])/2, time.Minute)
		if pause < want*9/10 || pause > want*11/10+maxLateness {
			t.Errorf("pause %d is %v, want about %v", i, pause, want)
		}
	}
}

func TestPollsOfManyJobsAreSpread(t *testing.T) {
	t.Parallel()
	pauses := map[time.Duration]bool{}
	for n := 0; n < 20 && len(pauses) < 2; n++ {
		s := &scriptedFetcher{ends: []error{jobRunning, jobRunning, nil}}
		if err := s.runLocal(t, &Worker{Wait: time.Hour, PollInterval: 30 * time.Second}); err != nil {
			t.Fatal(err)
		}
		pauses[s.pauses()[0].Truncate(time.Second)] = true
	}
	if len(pauses) < 2 {
		t.Error("20 jobs were all polled at one time")
	}
}

func TestTheLastPollIsAtTheDeadline(t *testing.T) {
	t.Parallel()
	s := &scriptedFetcher{ends: []error{jobRunning}}
	err := s.runLocal(t, &Worker{Wait: 10 * time.Second, PollInterval: 5 * time.Second})
	if Classify(err).Exit != ExitNotReady {
		t.Errorf("ended with %v", err)
	}
	if total := s.times[len(s.times)-1].Sub(s.began); total < 10*time.Second || total > 10*time.Second+2*maxLateness {
		t.Errorf("the last poll was at %v", total)
	}
	if len(s.times) != 3 {
		t.Errorf("%d polls, %v apart", len(s.times), s.pauses())
	}
}

func TestWithoutAWaitTheJobIsPolledOnce(t *testing.T) {
	t.Parallel()
	s := &scriptedFetcher{ends: []error{jobRunning}}
	if err := s.runLocal(t, &Worker{PollInterval: time.Second}); !errors.Is(err, jobRunning) || len(s.times) != 1 {
		t.Errorf("%d attempts, %v", len(s.times), err)
	}
}

// checkPauses compares pauses with those that are wanted. Each may be longer by
// late.
func checkPauses(t *testing.T, got, want []time.Duration, late time.Duration) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("pauses %v, want %v", got, want)
	}
	for i := range want {
		if got[i] < want[i] || got[i] > want[i]+late {
			t.Errorf("pause %d is %v, want %v", i, got[i], want[i])
		}
	}
}

func TestEachCauseHasItsNumberOfAttempts(t *testing.T) {
	t.Parallel()
	const second, quarter = time.Second, time.Second / 4
	minutes := slices.Repeat([]time.Duration{90 * time.Second}, 9)
	for name, test := range map[string]struct {
		err    error
		pauses []time.Duration
		wake   time.Duration
	}{
		"mismatch":  {mismatchErr, []time.Duration{second, 2 * second}, checkInterval},
		"network":   {networkErr, []time.Duration{quarter, 2 * quarter, second, 2 * second, 4 * second, 5 * second, 5 * second, 5 * second, 5 * second}, checkInterval},
		"auth":      {fetch.ErrAuth, nil, checkInterval},
		"unknown":   {errors.New("what"), nil, checkInterval},
		"disk full": {onPath(syscall.ENOSPC), nil, checkInterval},
		"asked":     {&fetch.CallError{Kind: fetch.ErrThrottled, RetryAfter: 90 * time.Second}, minutes, 20 * second},
	} {
		for _, asked := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", asked ", asked), func(t *testing.T) {
				s := &scriptedFetcher{ends: []error{test.err}, polled: asked}
				if err := s.runLocal(t, &Worker{Wait: 24 * time.Hour, TaskCheckInterval: test.wake}); !errors.Is(err, test.err) {
					t.Errorf("ended with %v", err)
				}
				checkPauses(t, s.pauses(), test.pauses, second+2*test.wake)
			})
		}
	}
}

func TestAttemptsOverridesTheBudgets(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]int{mismatchErr: 3, networkErr: 20} { // more attempts bring the same bytes
		s := &scriptedFetcher{ends: []error{err}}
		s.runLocal(t, &Worker{Attempts: 20})
		if len(s.times) != want {
			t.Errorf("%v: %d attempts, want %d", err, len(s.times), want)
		}
		for i, pause := range s.pauses() {
			if pause < time.Second/4 {
				t.Errorf("%v: pause %d is %v", err, i, pause)
			}
		}
	}
	s := &scriptedFetcher{ends: []error{fetch.ErrAuth}}
	if s.runLocal(t, &Worker{Attempts: 20}); len(s.times) != 1 {
		t.Errorf("a permanent failure was attempted %d times", len(s.times))
	}
}

func TestEachCauseHasABudgetOfItsOwn(t *testing.T) {
	t.Parallel()
	s := &scriptedFetcher{ends: []error{mismatchErr, mismatchErr, networkErr, networkErr, networkErr, nil}}
	if err := s.runLocal(t, &Worker{}); err != nil {
		t.Errorf("a change of cause did not give a new budget: %v", err)
	}
}

func TestAlternatingCausesUseUpTheirBudgets(t *testing.T) {
	t.Parallel()
	var ends []error
	for range 100 {
		ends = append(ends, mismatchErr, networkErr)
	}
	s := &scriptedFetcher{ends: ends}
	if err := s.runLocal(t, &Worker{}); err == nil || len(s.times) > 6 {
		t.Errorf("%d attempts, %v", len(s.times), err)
	}
}

func TestAnAnswerOfTheJobResetsTheBudgets(t *testing.T) {
	t.Parallel()
	var ends []error
	for range 8 {
		ends = append(ends, networkErr, mismatchErr, jobRunning)
	}
	s := &scriptedFetcher{ends: append(ends, nil)}
	if err := s.runLocal(t, &Worker{Wait: 24 * time.Hour, PollInterval: time.Second, TaskCheckInterval: 2 * time.Second}); err != nil {
		t.Error(err)
	}
}

func TestAnUnknownStatusTenTimesInARowFails(t *testing.T) {
	t.Parallel()
	s := &scriptedFetcher{ends: []error{unknownStatus}}
	err := s.runLocal(t, &Worker{Wait: 24 * time.Hour, PollInterval: time.Second, TaskCheckInterval: 2 * time.Second})
	if Classify(err).Cause != "unknown-status" || len(s.times) != maxUnknownStatuses {
		t.Errorf("%d attempts, %v", len(s.times), err)
	}
	if !strings.Contains(strings.Join(s.notes, "\n"), `"REHEATING" (9 of 10 in a row)`) {
		t.Errorf("noted %q", s.notes)
	}
}

func TestUnknownStatusesAreCountedInARow(t *testing.T) {
	t.Parallel()
	ends := append(repeat(unknownStatus, 9), jobRunning)
	s := &scriptedFetcher{ends: append(append(ends, ends...), nil)}
	if err := s.runLocal(t, &Worker{Wait: 24 * time.Hour, PollInterval: time.Second, TaskCheckInterval: 2 * time.Second}); err != nil {
		t.Error(err)
	}
}

func TestTheSameNoteIsNotRepeated(t *testing.T) {
	t.Parallel()
	s := &scriptedFetcher{ends: append(repeat(jobRunning, 10), nil)}
	if err := s.runLocal(t, &Worker{Wait: 24 * time.Hour, PollInterval: time.Second, TaskCheckInterval: 2 * time.Second}); err != nil || len(s.notes) != 1 {
		t.Errorf("noted %q, %v", s.notes, err)
	}
}

func TestFetchReturnsWhenItsContextEnds(t *testing.T) {
	t.Parallel()
	why := fmt.Errorf("enough: %w", context.Canceled)
	for _, end := range []error{jobRunning, networkErr, mismatchErr} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			s, w := &scriptedFetcher{ends: []error{end}}, &Worker{Wait: time.Hour, PollInterval: time.Minute}
			s.setUp(t, w)
			l := StartLocal(w)
			defer l.Close()
			time.AfterFunc(300*time.Millisecond, func() { cancel(why) })
			began := time.Now()
			_, err := l.Fetch(ctx, parseRef(t, jobRef))
			if !errors.Is(err, why) || time.Since(began) != 300*time.Millisecond {
				t.Errorf("%v after %v", err, time.Since(began))
			}
		})
	}
}

func TestASecondFetchWaitsForTheSameAttempts(t *testing.T) {
	t.Parallel()
	s := &scriptedFetcher{ends: append(repeat(jobRunning, 3), nil)}
	synctest.Test(t, func(t *testing.T) {
		w := &Worker{Wait: time.Hour, PollInterval: time.Second}
		s.setUp(t, w)
		l := StartLocal(w)
		defer l.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		ref := parseRef(t, jobRef)
		if _, err := l.Fetch(ctx, ref); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the first: %v", err)
		}
		if receipt, err := l.Fetch(t.Context(), ref); err != nil || receipt == nil || len(s.times) != 4 {
			t.Errorf("the second: %v, %v after %d attempts", receipt, err, len(s.times))
		}
	})
}

func TestAFailedExportCanBeFetchedAgainAtOnce(t *testing.T) {
	t.Parallel()
	for _, asked := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s, w := &scriptedFetcher{ends: []error{fetch.ErrAuth}, polled: asked}, &Worker{}
			w.OnEnd = func(fetch.Ref, *archive.Receipt, error) { time.Sleep(time.Second) } // so that the task ends after its export
			s.setUp(t, w)
			l := StartLocal(w)
			defer l.Close()
			for n := range 5 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				if _, err := l.Fetch(ctx, parseRef(t, jobRef)); !errors.Is(err, fetch.ErrAuth) || len(s.times) != n+1 {
					t.Fatalf("the %dth time, asked %v: %v after %d attempts", n+1, asked, err, len(s.times))
				}
				cancel()
			}
		})
	}
}

func TestCloseEndsFetchesThatWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, w := &scriptedFetcher{ends: []error{jobRunning}}, &Worker{Wait: Forever, PollInterval: time.Second}
		s.setUp(t, w)
		l := StartLocal(w)
		time.AfterFunc(10*time.Second, func() { l.Close() })
		if _, err := l.Fetch(t.Context(), parseRef(t, jobRef)); Classify(err).Exit != ExitInterrupted {
			t.Errorf("ended with %v", err)
		}
		if _, err := l.Fetch(t.Context(), parseRef(t, jobRef)); Classify(err).Exit != ExitInterrupted {
			t.Errorf("after Close: %v", err)
		}
	})
}

// The tests from here on are of a Worker that nobody waits for.

func TestAWorkerMakesMoreAttemptsFurtherApart(t *testing.T) {
	t.Parallel()
	var growing []time.Duration
	for n := 1; n < 30; n++ {
		growing = append(growing, min(time.Second<<min(n-1, 20), 15*time.Minute))
	}
	for name, test := range map[string]struct {
		err    error
		pauses []time.Duration
		wake   time.Duration
	}{
		"mismatch": {mismatchErr, growing[:2], checkInterval},
		"network":  {networkErr, growing, 20 * time.Second},
		"auth":     {fetch.ErrAuth, nil, checkInterval},
		"unknown":  {errors.New("what"), nil, checkInterval},
		"job":      {&fetch.JobError{State: fetch.Failed}, nil, checkInterval},
	} {
		for _, asked := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", asked ", asked), func(t *testing.T) {
				if len(test.pauses) > 10 && (asked || testing.Short()) {
					t.Skip("it takes five hours")
				}
				s := &scriptedFetcher{ends: []error{test.err}, polled: asked}
				if err := s.runWorker(t, &Worker{TaskCheckInterval: test.wake}); !errors.Is(err, test.err) {
					t.Errorf("ended with %v", err)
				}
				if len(s.times) != len(test.pauses)+1 {
					t.Fatalf("%d attempts, want %d", len(s.times), len(test.pauses)+1)
				}
				for i, pause := range s.pauses() {
					if want := test.pauses[i]; pause < want*9/10 || pause > want*11/10+time.Second+2*test.wake {
						t.Errorf("pause %d is %v, want about %v", i, pause, want)
					}
				}
			})
		}
	}
}

func TestAWorkerHonoursRetryAfter(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{1500 * time.Millisecond, 7 * time.Second, 2 * time.Minute} {
		for _, kind := range []error{fetch.ErrThrottled, fetch.ErrTemporary} {
			s := &scriptedFetcher{ends: append(repeat(&fetch.CallError{Kind: kind, RetryAfter: after}, 2), nil)}
			if err := s.runWorker(t, &Worker{TaskCheckInterval: 2 * time.Second, PollInterval: time.Second}); err != nil {
				t.Fatal(err)
			}
			for i, pause := range s.pauses() {
				if pause < after || pause > after*11/10+time.Minute {
					t.Errorf("%v, asked to wait for %v: pause %d is %v", kind, after, i, pause)
				}
			}
		}
	}
}

func TestFailuresOutsideAnExportUseNoAttempt(t *testing.T) {
	if testing.Short() {
		t.Skip("hours of simulated time")
	}
	t.Parallel()
	for name, err := range map[string]error{
		"throttled": call(fetch.ErrThrottled), "disk full": onPath(syscall.ENOSPC), "disk": onPath(syscall.EIO),
		"quota full": onPath(syscall.EDQUOT), "no room": &archive.NoSpaceError{}, "no file can be opened": onPath(syscall.EMFILE),
		"busy": archive.ErrBusy, "redis": ErrRedis, "unfit": ErrUnsuitableRedis,
	} {
		t.Run(name, func(t *testing.T) {
			s := &scriptedFetcher{ends: append(repeat(err, 6), mismatchErr, mismatchErr, nil)}
			if err := s.runWorker(t, &Worker{TaskCheckInterval: 20 * time.Second, PollInterval: time.Second, Attempts: 3}); err != nil {
				t.Errorf("it ended with %v after %d attempts", err, len(s.times))
			}
			for i, pause := range s.pauses()[:6] {
				if pause > maxPollInterval*11/10+time.Second+40*time.Second {
					t.Errorf("pause %d is %v", i, pause)
				}
			}
		})
	}
}

func TestAWorkerWaitsForAJobUntilItsWaitIsOver(t *testing.T) {
	t.Parallel()
	s := &scriptedFetcher{ends: []error{jobRunning}}
	if err := s.runWorker(t, &Worker{Wait: 2 * time.Minute, PollInterval: time.Second, TaskCheckInterval: time.Second}); Classify(err).Cause != "not-ready" {
		t.Errorf("ended with %v", err)
	}
	if total := s.times[len(s.times)-1].Sub(s.began); total < 2*time.Minute || total > 2*time.Minute+6*time.Second {
		t.Errorf("the last poll was at %v", total)
	}
}

func TestATaskMayWaitLongerThanItsWorker(t *testing.T) {
	t.Parallel()
	for _, wait := range []time.Duration{time.Hour, Forever} {
		synctest.Test(t, func(t *testing.T) {
			s := &scriptedFetcher{ends: append(repeat(jobRunning, 8), nil)}
			w := &Worker{Wait: time.Second, PollInterval: time.Second, TaskCheckInterval: 5 * time.Second}
			s.setUp(t, w)
			ended := make(chan error, 1)
			w.OnEnd = func(_ fetch.Ref, _ *archive.Receipt, err error) { ended <- err }
			if _, err := w.Queue.Enqueue(t.Context(), parseRef(t, jobRef), Options{Wait: Duration(wait)}); err != nil {
				t.Fatal(err)
			}
			defer startWorker(t, w)()
			if err := <-ended; err != nil {
				t.Errorf("wait %v: %v", wait, err)
			}
		})
	}
}

// endlessJobs is a Fetcher whose jobs never end.
type endlessJobs struct {
	scriptedFetcher
	polls map[string]int
}

func (j *endlessJobs) Poll(_ context.Context, ref fetch.Ref) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.polls[ref.String()]++
	return jobRunning
}

func TestSixHoursOfPolling(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it takes six hours")
	}
	j := &endlessJobs{polls: map[string]int{}}
	synctest.Test(t, func(t *testing.T) {
		w := &Worker{Wait: Forever, PollInterval: 2 * time.Second, TaskCheckInterval: 20 * time.Second}
		j.setUp(t, w)
		w.Fetcher = j
		for n := range 3 {
			if _, err := w.Queue.Enqueue(t.Context(), parseRef(t, fmt.Sprint(jobRef, n)), Options{}); err != nil {
				t.Fatal(err)
			}
		}
		stop := startWorker(t, w)
		time.Sleep(6 * time.Hour)
		stop()
	})
	for ref, n := range j.polls {
		if n < 240 || n > 420 {
			t.Errorf("%s was polled %d times", ref, n)
		}
	}
	if len(j.polls) != 3 {
		t.Errorf("%d jobs were polled", len(j.polls))
	}
}
