package main

import (
	"context"
	"errors"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"tallyman/fetch"
)

// A place is a Provider of n jobs, newest first, which have no results yet.
type fakePlace struct {
	jobs []fetch.Listed
	err  error // at the end
}

func (p *fakePlace) Export(context.Context, fetch.Ref) (*fetch.Export, error) {
	return &fetch.Export{State: fetch.Running}, nil
}

func (p *fakePlace) List(context.Context, fetch.Ref, time.Time) iter.Seq2[fetch.Listed, error] {
	return func(yield func(fetch.Listed, error) bool) {
		for _, job := range p.jobs {
			if !yield(job, nil) {
				return
			}
		}
		if p.err != nil {
			yield(fetch.Listed{}, p.err)
		}
	}
}

// exporter hides all but a Provider's one method.
type exporter struct{ fetch.Provider }

func mustRef(t *testing.T, s string) fetch.Ref {
	t.Helper()
	ref, err := fetch.ParseRef(s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func TestCallsArePacedForEachAccount(t *testing.T) {
	a, b := mustRef(t, "sls://cn-a/project/job"), mustRef(t, "sls://cn-b/project/job")
	o := &options{apiRate: 5, places: []place{{Match: "sls://cn-b/", Profile: "b"}}}
	synctest.Test(t, func(t *testing.T) {
		sls := o.pace(map[string]fetch.Provider{"sls": &fakePlace{}})["sls"]
		began := time.Now()
		for range 15 {
			for _, ref := range []fetch.Ref{a, b} {
				if _, err := sls.Export(t.Context(), ref); err != nil {
					t.Fatal(err)
				}
			}
		}
		if took := time.Since(began).Round(time.Millisecond); took != 2*time.Second {
			t.Errorf("5 at once and 10 more, of each of two accounts, took %v", took)
		}
	})
}

func TestAWaitForATurnEndsWithItsContext(t *testing.T) {
	ref, why := mustRef(t, "sls://cn-a/project/job"), errors.New("enough")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		sls := (&options{apiRate: 0.001}).pace(map[string]fetch.Provider{"sls": &fakePlace{}})["sls"]
		if _, err := sls.Export(ctx, ref); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, func() { cancel(why) })
		if _, err := sls.Export(ctx, ref); !errors.Is(err, why) {
			t.Errorf("it ended with %v", err)
		}
		for _, err := range sls.(fetch.Lister).List(ctx, ref, time.Time{}) {
			if !errors.Is(err, why) {
				t.Errorf("the listing ended with %v", err)
			}
		}
	})
}

func TestPagesArePaced(t *testing.T) {
	ref := mustRef(t, "sls://cn-a/project/job")
	synctest.Test(t, func(t *testing.T) {
		long := &fakePlace{jobs: make([]fetch.Listed, 1050)}
		sls := (&options{apiRate: 1}).pace(map[string]fetch.Provider{"sls": long})["sls"]
		began, n := time.Now(), 0
		for range sls.(fetch.Lister).List(t.Context(), ref, time.Time{}) {
			n++
		}
		if took := time.Since(began).Round(time.Millisecond); n != 1050 || took != 10*time.Second {
			t.Errorf("%d jobs, 11 pages at 1 a second took %v", n, took)
		}
	})
}

func TestAPacedProviderListsOnlyIfItCould(t *testing.T) {
	paced := (&options{apiRate: 5}).pace(map[string]fetch.Provider{"sls": &fakePlace{}, "dms": exporter{&fakePlace{}}, "https": exporter{&fakePlace{}}})
	if _, lists := paced["sls"].(fetch.Lister); !lists {
		t.Error("it lists no more")
	}
	if _, lists := paced["dms"].(fetch.Lister); lists {
		t.Error("it lists what could not be listed")
	}
	if _, plain := paced["https"].(exporter); !plain {
		t.Error("files by URL are paced")
	}
}
