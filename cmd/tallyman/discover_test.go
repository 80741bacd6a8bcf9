package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"tallyman/fetch"
	"tallyman/worker"
)

func listed(t *testing.T, name string, created time.Time) fetch.Listed {
	return fetch.Listed{Ref: mustRef(t, "sls://cn-hangzhou/project/"+name), State: fetch.Ready, Created: created}
}

func TestAJobThatSaysNotWhenItWasMadeIsNotPassedOver(t *testing.T) {
	now := time.Now()
	jobs := &fakePlace{jobs: []fetch.Listed{listed(t, "new", now), listed(t, "undated", time.Time{}), listed(t, "old", now.Add(-time.Hour))}}
	a := newApp()
	a.Since.Value, a.Until.Value = now.Add(-2*time.Minute), now.Add(-time.Minute)
	var out strings.Builder
	c := &discoverCommand{app: a, stdout: &out}
	if err := c.list(t.Context(), jobs, fetch.Ref{}); err != nil || out.String() != "sls://cn-hangzhou/project/undated\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
}

func TestWhatEndsAListingIsSaidAfterWhatCame(t *testing.T) {
	jobs := &fakePlace{jobs: []fetch.Listed{listed(t, "new", time.Now())}, err: &fetch.CallError{Call: "List", Kind: fetch.ErrThrottled}}
	var out strings.Builder
	err := (&discoverCommand{app: newApp(), stdout: &out}).list(t.Context(), jobs, fetch.Ref{})
	if worker.Classify(err).Exit != worker.ExitTemporary || out.Len() == 0 {
		t.Errorf("%q, %v", out.String(), err)
	}
}

func TestAListThatIsCutByInterruptionIsNotWhole(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := (&discoverCommand{app: newApp(), stdout: &strings.Builder{}}).list(ctx, &fakePlace{}, fetch.Ref{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
}

// A list that could not be written is not whole, unless its reader wanted no
// more.
func TestAListThatCanNotBeWrittenFails(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	for _, json := range []bool{false, true} {
		jobs := &fakePlace{jobs: []fetch.Listed{listed(t, "new", time.Now())}}
		a := newApp()
		a.JSON = json
		err := (&discoverCommand{app: a, stdout: full}).list(t.Context(), jobs, fetch.Ref{})
		if worker.Classify(err).Exit != worker.ExitDisk {
			t.Errorf("json %v: it ended with %v", json, err)
		}
	}
}
