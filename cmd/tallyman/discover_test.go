package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/fetch"
	"tallyman/worker"
)

func listed(t *testing.T, name string, created time.Time) fetch.Listed {
	return fetch.Listed{Ref: mustRef(t, "sls://cn-hangzhou/project/"+name), State: fetch.Ready, Created: created}
}

func TestAJobThatSaysNotWhenItWasMadeIsNotPassedOver(t *testing.T) {
	now := time.Now()
	jobs := &fakePlace{jobs: []fetch.Listed{listed(t, "new", now), listed(t, "undated", time.Time{}), listed(t, "old", now.Add(-time.Hour))}}
	o := &options{since: flagvalue.Time{Time: now.Add(-2 * time.Minute)}, until: flagvalue.Time{Time: now.Add(-time.Minute)}}
	var out strings.Builder
	d := &discovery{o: o, out: &out}
	if err := d.list(t.Context(), jobs, fetch.Ref{}); err != nil || out.String() != "sls://cn-hangzhou/project/undated\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
}

func TestWhatEndsAListingIsSaidAfterWhatCame(t *testing.T) {
	jobs := &fakePlace{jobs: []fetch.Listed{listed(t, "new", time.Now())}, err: &fetch.CallError{Call: "List", Kind: fetch.ErrThrottled}}
	var out strings.Builder
	err := (&discovery{o: &options{}, out: &out}).list(t.Context(), jobs, fetch.Ref{})
	if worker.Classify(err).Exit != worker.ExitTemporary || out.Len() == 0 {
		t.Errorf("%q, %v", out.String(), err)
	}
}

func TestAListThatIsCutByInterruptionIsNotWhole(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := (&discovery{o: &options{}, out: &strings.Builder{}}).list(ctx, &fakePlace{}, fetch.Ref{})
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
		err := (&discovery{o: &options{json: json}, out: full}).list(t.Context(), jobs, fetch.Ref{})
		if worker.Classify(err).Exit != worker.ExitDisk {
			t.Errorf("json %v: it ended with %v", json, err)
		}
	}
}

func TestTheLongestMatchNamesTheProfile(t *testing.T) {
	o := &options{places: []place{{"sls://cn-a/team/", "team"}, {"sls://cn-a/", "all"}, {"sls://cn-a/team/secret-", "secret"}, {"oss://", "store"}}}
	for text, want := range map[string]string{
		"sls://cn-a/team/job": "team", "sls://cn-a/team/secret-job": "secret", "sls://cn-a/teams/job": "all",
		"sls://cn-b/team/job": "", "oss://bucket/prefix": "store", "https://host/sls://cn-a/": "",
	} {
		if got := o.profile(mustRef(t, text)); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	place, err := fetch.ParsePlace("sls://cn-a/team")
	if err != nil || o.profile(place) != "team" {
		t.Errorf("the place has the profile %q, %v", o.profile(place), err)
	}
}
