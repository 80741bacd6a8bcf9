package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/cmd/tallyman/internal/config"
	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/fetch"
	"tallyman/verify/archive"
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

// Several places are listed in one run, each job by its state and by whether it has
// landed; one place that can't be listed is named, and the others are listed.
func TestPlacesAreListedTogether(t *testing.T) {
	t.Parallel()
	job := func(name string, state fetch.State) fetch.Listed {
		return fetch.Listed{Ref: mustRef(t, "sls://cn-hangzhou/project/"+name), State: state, Created: time.Now()}
	}
	jobs := []fetch.Listed{job("ready", fetch.Ready), job("running", fetch.Running), job("failed", fetch.Failed), job("expired", fetch.Expired), job("odd", "")}
	providers := map[string]fetch.Provider{"sls": &fakePlace{jobs: jobs}, "dbs": &fakePlace{err: &fetch.CallError{Call: "List", Kind: fetch.ErrNotFound}}}
	for _, c := range []struct {
		states, places, listed string
		lost                   string
		exit                   int
	}{
		{"", "sls://r/p/", "ready running failed expired odd", "", 0},
		{"ready", "sls://r/p/", "ready", "2 jobs left out that failed or expired, and never landed", 0},
		{"ready, running", "sls://r/p/", "ready running", "2 jobs left out", 0},
		{"unknown", "sls://r/p/", "odd", "2 jobs left out", 0},
		{"failed,expired", "sls://r/p/", "failed expired", "", 0},
		{"", "dbs://r/i/", "", "tallyman: dbs://r/i/: List: not found\nhint: check the name of the place", 7},
		{"", "dbs://r/i/ sls://r/p/", "ready running failed expired odd", "tallyman: dbs://r/i/: List: not found", 3},
	} {
		a := newApp()
		if c.states != "" {
			a.States.Value, _ = flagvalue.ParseStates(c.states)
		}
		var places []fetch.Ref
		for place := range strings.FieldsSeq(c.places) {
			parsed, err := fetch.ParsePlace(place)
			if err != nil {
				t.Fatal(err)
			}
			places = append(places, parsed)
		}
		var stdout, stderr strings.Builder
		err := (&discoverCommand{app: a, stdout: &stdout, stderr: &stderr}).listAll(t.Context(), providers, places)
		exit, _ := errors.AsType[cli.ExitError](err)
		got := strings.ReplaceAll(stdout.String(), "sls://cn-hangzhou/project/", "")
		if strings.Join(strings.Fields(got), " ") != c.listed || int(exit) != c.exit || !strings.HasPrefix(stderr.String(), c.lost) || c.lost == "" && stderr.Len() > 0 {
			t.Errorf("%s of %s: %q, %v, exit code %d, %s", c.states, c.places, got, err, exit, &stderr)
		}
	}
}

// How a place was listed is in the ledger of an archive that is at hand, and is not with
// --dry-run, or if nobody read the list to its end.
func TestAListingByDiscoverIsInTheLedger(t *testing.T) {
	place, err := fetch.ParsePlace("sls://r/p/")
	if err != nil {
		t.Fatal(err)
	}
	jobs := []fetch.Listed{listed(t, "known", time.Now()), listed(t, "new", time.Now())}
	refused := &fetch.CallError{Call: "List", Kind: fetch.ErrAuth, RequestID: "R-1"}
	for name, test := range map[string]struct {
		dry    bool
		err    error
		stdout io.Writer
		want   string // of the line
	}{
		"jobs":     {want: `"ref":"sls://r/p/","profile":"team-a","found":2,"new":1,"missing":1,`},
		"an error": {err: refused, want: `"ref":"sls://r/p/","profile":"team-a","cause":"auth-denied","message":"List: access denied (request R-1)","request_id":"R-1",`},
		"dry run":  {dry: true},
		"a closed pipe": {stdout: writerFunc(func([]byte) (int, error) {
			return 0, &cli.OutputError{Err: syscall.EPIPE}
		})},
	} {
		dir := t.TempDir()
		store, err := archive.Open(dir, "", archive.SiteOccupied)
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Ask(archive.State{Reference: jobs[0].Ref.String(), Key: jobs[0].Ref.Key(), Asked: time.Now()}); err != nil {
			t.Fatal(err)
		}
		a := newApp()
		a.DryRun, a.Places = test.dry, []config.Place{{Match: "sls://r/", Profile: "team-a"}}
		c := &discoverCommand{app: a, stdout: cmp.Or(test.stdout, io.Discard), stderr: io.Discard, archive: store}
		_ = c.listAll(t.Context(), map[string]fetch.Provider{"sls": &fakePlace{jobs: jobs, err: test.err}}, []fetch.Ref{place})
		files, _ := filepath.Glob(filepath.Join(dir, ".ledger", "*.jsonl"))
		text, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		_, got, _ := strings.Cut(string(text), `"kind":"listed",`)
		if !strings.HasPrefix(got, test.want) || test.want == "" && got != "" {
			t.Errorf("%s: the ledger has %s", name, text)
		}
	}
}

// writerFunc is an io.Writer.
type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
