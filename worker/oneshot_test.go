package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tallyman/fetch"
	"tallyman/verify"
	"tallyman/verify/archive"
)

var (
	running     = &fetch.NotReadyError{State: fetch.Running, Status: "RUNNING"}
	odd         = &fetch.NotReadyError{Status: "REHEATING"}
	broken      = &verify.Mismatch{Object: "a", Check: verify.CheckMD5, Got: "1", Want: "2"}
	unreachable = &fetch.CallError{Call: "GET", Kind: fetch.ErrTemporary}
)

// A script is a Fetcher whose attempts end as it says, the last of its ends
// for ever. nil is a landing.
type script struct {
	ends  []error
	times []time.Time // of the attempts
	notes []string
}

func (s *script) Fetch(context.Context, fetch.Ref) (*archive.Receipt, error) {
	n := min(len(s.times), len(s.ends)-1)
	s.times = append(s.times, time.Now())
	if s.ends[n] == nil {
		return &archive.Receipt{}, nil
	}
	return nil, s.ends[n]
}

// run fetches by a OneShot in a bubble of its own time.
func (s *script) run(t *testing.T, o OneShot) (err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { err = s.fetch(t.Context(), o) })
	return err
}

func (s *script) fetch(ctx context.Context, o OneShot) error {
	ref, err := fetch.ParseRef("sls://cn-hangzhou/project/job")
	if err != nil {
		return err
	}
	o.Fetcher = s
	o.Note = func(_ fetch.Ref, note string) { s.notes = append(s.notes, note) }
	_, err = o.Fetch(ctx, ref)
	return err
}

// pauses are those between the attempts.
func (s *script) pauses() []time.Duration {
	var pauses []time.Duration
	for i := 1; i < len(s.times); i++ {
		pauses = append(pauses, s.times[i].Sub(s.times[i-1]))
	}
	return pauses
}

func repeat(err error, n int) []error {
	ends := make([]error, n)
	for i := range ends {
		ends[i] = err
	}
	return ends
}

func TestAnExportThatLandsIsFetchedOnce(t *testing.T) {
	s := &script{ends: []error{nil}}
	if err := s.run(t, OneShot{}); err != nil || len(s.times) != 1 {
		t.Errorf("%d attempts, %v", len(s.times), err)
	}
}

func TestPollsAreFurtherApartEachTime(t *testing.T) {
	s := &script{ends: append(repeat(running, 14), nil)}
	if err := s.run(t, OneShot{Wait: 24 * time.Hour, Poll: 2 * time.Second}); err != nil {
		t.Fatal(err)
	}
	want := 2 * time.Second
	for i, pause := range s.pauses() {
		if pause < want*9/10 || pause > want*11/10 {
			t.Errorf("pause %d is %v, want about %v", i, pause, want)
		}
		want = min(want*3/2, time.Minute)
	}
}

func TestPollsOfManyJobsDoNotFallTogether(t *testing.T) {
	pauses := map[time.Duration]bool{}
	for range 20 {
		s := &script{ends: []error{running, nil}}
		if err := s.run(t, OneShot{Wait: time.Hour, Poll: time.Minute}); err != nil {
			t.Fatal(err)
		}
		pauses[s.pauses()[0]] = true
	}
	if len(pauses) < 2 {
		t.Error("20 jobs were all polled at one time")
	}
}

func TestTheLastPollIsAtTheDeadline(t *testing.T) {
	s := &script{ends: []error{running}}
	err := s.run(t, OneShot{Wait: 10 * time.Second, Poll: 4 * time.Second})
	if Classify(err).Exit != ExitNotReady {
		t.Errorf("ended with %v", err)
	}
	if total := s.times[len(s.times)-1].Sub(s.times[0]); total != 10*time.Second {
		t.Errorf("the last poll was at %v", total)
	}
}

func TestNoWaitAsksOnce(t *testing.T) {
	s := &script{ends: []error{running}}
	if err := s.run(t, OneShot{Poll: time.Second}); !errors.Is(err, running) || len(s.times) != 1 {
		t.Errorf("%d attempts, %v", len(s.times), err)
	}
}

func TestAttemptsAreAsManyAsTheCauseDeserves(t *testing.T) {
	const second, quarter = time.Second, time.Second / 4
	for name, test := range map[string]struct {
		err      error
		attempts int
		pauses   []time.Duration
	}{
		"mismatch": {broken, 3, []time.Duration{second, 2 * second}},
		"network":  {unreachable, 10, []time.Duration{quarter, 2 * quarter, second, 2 * second, 4 * second, 5 * second, 5 * second, 5 * second, 5 * second}},
		"auth":     {fetch.ErrAuth, 1, nil},
		"unknown":  {errors.New("what"), 1, nil},
		"asked":    {&fetch.CallError{Kind: fetch.ErrThrottled, After: time.Hour}, 10, []time.Duration{time.Hour, time.Hour, time.Hour, time.Hour, time.Hour, time.Hour, time.Hour, time.Hour, time.Hour}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &script{ends: []error{test.err}}
			if err := s.run(t, OneShot{}); !errors.Is(err, test.err) {
				t.Errorf("ended with %v", err)
			}
			if got := s.pauses(); len(s.times) != test.attempts || fmt.Sprint(got) != fmt.Sprint(test.pauses) {
				t.Errorf("%d attempts, pauses %v, want %d and %v", len(s.times), got, test.attempts, test.pauses)
			}
		})
	}
}

func TestAPersonMaySayHowManyAttempts(t *testing.T) {
	for _, err := range []error{broken, unreachable} {
		s := &script{ends: []error{err}}
		s.run(t, OneShot{Attempts: 100})
		if len(s.times) != 100 {
			t.Errorf("%v: %d attempts", err, len(s.times))
		}
		for i, pause := range s.pauses() {
			if pause < time.Second/4 {
				t.Errorf("%v: pause %d is %v", err, i, pause)
			}
		}
	}
	s := &script{ends: []error{fetch.ErrAuth}}
	if s.run(t, OneShot{Attempts: 100}); len(s.times) != 1 {
		t.Errorf("what will not pass was attempted %d times", len(s.times))
	}
}

func TestEachCauseHasABudgetOfItsOwn(t *testing.T) {
	s := &script{ends: []error{broken, broken, unreachable, unreachable, unreachable, nil}}
	if err := s.run(t, OneShot{}); err != nil {
		t.Errorf("a change of cause did not give a new budget: %v", err)
	}
}

func TestCausesThatTakeTurnsEnd(t *testing.T) {
	var ends []error
	for range 100 {
		ends = append(ends, broken, unreachable)
	}
	s := &script{ends: ends}
	if err := s.run(t, OneShot{}); err == nil || len(s.times) > 6 {
		t.Errorf("%d attempts, %v", len(s.times), err)
	}
}

func TestAnAnswerOfTheJobGivesNewBudgets(t *testing.T) {
	var ends []error
	for range 20 {
		ends = append(ends, unreachable, unreachable, running)
	}
	s := &script{ends: append(ends, nil)}
	if err := s.run(t, OneShot{Wait: 24 * time.Hour, Poll: time.Second}); err != nil {
		t.Error(err)
	}
}

func TestUnknownStatusesAreBounded(t *testing.T) {
	s := &script{ends: []error{odd}}
	err := s.run(t, OneShot{Wait: 24 * time.Hour, Poll: time.Second})
	if Classify(err).Cause != "unknown-status" || len(s.times) != unknownStatuses {
		t.Errorf("%d attempts, %v", len(s.times), err)
	}
	if !strings.Contains(strings.Join(s.notes, "\n"), `"REHEATING" (9 of 10 in a row)`) {
		t.Errorf("noted %q", s.notes)
	}
}

func TestUnknownStatusesAreCountedInARow(t *testing.T) {
	ends := append(repeat(odd, 9), running)
	s := &script{ends: append(append(ends, ends...), nil)}
	if err := s.run(t, OneShot{Wait: 24 * time.Hour, Poll: time.Second}); err != nil {
		t.Error(err)
	}
}

func TestWhatDoesNotChangeIsNotedOnce(t *testing.T) {
	s := &script{ends: append(repeat(running, 50), nil)}
	if err := s.run(t, OneShot{Wait: 24 * time.Hour, Poll: time.Second}); err != nil || len(s.notes) != 1 {
		t.Errorf("%d notes, %v", len(s.notes), err)
	}
}

func TestCancelledWaitsEndAtOnce(t *testing.T) {
	why := fmt.Errorf("enough: %w", context.Canceled)
	for _, end := range []error{running, unreachable, broken} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			time.AfterFunc(100*time.Millisecond, func() { cancel(why) })
			began := time.Now()
			err := (&script{ends: []error{end}}).fetch(ctx, OneShot{Wait: time.Hour, Poll: time.Minute})
			if !errors.Is(err, why) || time.Since(began) != 100*time.Millisecond {
				t.Errorf("%v after %v", err, time.Since(began))
			}
		})
	}
}

func TestACancelledAttemptIsNotMadeAgain(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := &script{ends: []error{unreachable}}
	if err := s.fetch(ctx, OneShot{}); Classify(err).Exit != ExitInterrupted || len(s.times) != 1 {
		t.Errorf("%d attempts, %v", len(s.times), err)
	}
}
