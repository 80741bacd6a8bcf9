package worker

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// An outage is told of once when it begins, hourly, and once when all who waited
// for it have passed, however many tries fail meanwhile.
func TestAnOutageIsToldOnceWhenItBeginsAndOnceWhenItEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told []string
		o := &Outage{What: "redis", Tell: func(e OutageEvent) { told = append(told, e.String()) }}
		o.Passed("a") // nothing was away
		for range 150 {
			o.Failed("a", errors.New("no answer"))
			o.Failed("b", errors.New("no answer"))
			time.Sleep(time.Minute)
		}
		o.Passed("a")
		o.Passed("a")
		o.Failed("b", errors.New("no answer"))
		o.Passed("c") // it never waited
		o.Passed("b")
		want := []string{
			"redis: no answer: waiting for that to pass",
			"redis: no answer: still waiting for that to pass after 1h0m0s",
			"redis: no answer: still waiting for that to pass after 2h0m0s",
			"redis: it is over after 2h30m0s",
		}
		if !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
	})
}

// Another worker may take over the task of one who waits, and then it never
// passes here.
func TestAnOutageDoesNotWaitForWhoNeverComesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told []OutageEvent
		o := &Outage{What: "network", Tell: func(e OutageEvent) { told = append(told, e) }}
		o.Failed("gone", errors.New("no answer"))
		time.Sleep(outageInterval / 2)
		o.Failed("a", errors.New("no answer"))
		time.Sleep(outageInterval)
		o.Passed("a")
		if len(told) != 2 || told[0].Waiting != 1 || told[1].Err != nil || told[1].Lasted != outageInterval*3/2 {
			t.Errorf("told %+v", told)
		}
		o.Failed("a", errors.New("no answer"))
		if len(told) != 3 || told[2].Lasted != 0 {
			t.Errorf("a new outage was told of as %+v", told[2:])
		}
	})
}

func TestAnOutageThatNobodyHearsOfIsNoFault(t *testing.T) {
	t.Parallel()
	var none *Outage
	for _, o := range []*Outage{none, {}} {
		o.Failed("a", errors.New("no answer"))
		o.Passed("a")
	}
}
