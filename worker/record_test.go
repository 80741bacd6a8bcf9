package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/verify"
	"tallyman/verify/archive"
)

// crashAttempt is an attempt that begins and never ends, since its worker dies, of
// which another process finds the directory.
func crashAttempt(t testing.TB, a *archive.Archive, ref fetch.Ref) {
	t.Helper()
	begin := func() (end func()) {
		t.Helper()
		end, err := (&run{w: &Worker{Archive: a}, ref: ref}).begin()
		if err != nil {
			t.Fatal(err)
		}
		return end
	}
	end := begin()
	runs := filepath.Join(a.Path("."), ".ingest", "run")
	started, err := filepath.Glob(filepath.Join(runs, "*", "starts.jsonl"))
	if len(started) != 1 {
		t.Fatal(started, err)
	}
	text, err := os.ReadFile(started[0])
	if err != nil {
		t.Fatal(err)
	}
	end()
	dead := filepath.Join(runs, "dead")
	if err := errors.Join(os.MkdirAll(dead, 0o755), os.WriteFile(filepath.Join(dead, "starts.jsonl"), text, 0o644)); err != nil {
		t.Fatal(err)
	}
	end, err = a.Attempt("sls://r/p/other", "sls/r/p/other")
	if err != nil {
		t.Fatal(err)
	}
	end()
}

func stateOf(t testing.TB, a *archive.Archive, ref fetch.Ref) (archive.State, archive.Counters) {
	t.Helper()
	state, counters, err := a.State(ref.Key())
	if err != nil {
		t.Fatal(err)
	}
	return state, counters
}

func TestAnExportThatKillsItsWorkersFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, w, ref := &scriptedFetcher{ends: []error{nil}}, &Worker{}, parseRef(t, jobRef)
		s.setUp(t, w)
		for range maxStarts {
			crashAttempt(t, w.Archive, ref)
		}
		if err := fetchByWorker(t, w, ref); Classify(err).Cause != "crashed" || len(s.times) != 0 {
			t.Errorf("ended with %v after %d attempts", err, len(s.times))
		}
		if state, _ := stateOf(t, w.Archive, ref); state.Phase != archive.Failed || state.Cause != "crashed" {
			t.Errorf("%+v", state)
		}
	})
}

func TestAnAttemptThatEndsResetsTheCountOfCrashes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, w, ref := &scriptedFetcher{ends: append(repeat(jobRunning, 3), networkErr, nil)}, &Worker{Wait: Forever, PollInterval: time.Second}, parseRef(t, jobRef)
		s.setUp(t, w)
		for range maxStarts - 1 {
			crashAttempt(t, w.Archive, ref)
		}
		if err := fetchByWorker(t, w, ref); err != nil {
			t.Error(err)
		}
	})
}

func TestCrashesWithProgressAreUnlimited(t *testing.T) {
	t.Parallel()
	a, ref := openArchive(t), parseRef(t, jobRef)
	for range maxStarts + 5 {
		crashAttempt(t, a, ref)
		receivePart(t, a, ref)
	}
	if _, counters := stateOf(t, a, ref); counters.Starts != 1 || counters.Progress == 0 {
		t.Errorf("%+v", counters)
	}
	if _, err := newFetcher(newProvider(100_000), a).Fetch(t.Context(), ref); err != nil {
		t.Error(err)
	}
	mustLand(t, a, ref)
}

// receivePart makes an attempt that receives more of an export, and then fails.
func receivePart(t testing.TB, a *archive.Archive, ref fetch.Ref) {
	t.Helper()
	n := 0
	s := newProvider(100_000)
	s.BeforeAnswer = func(context.Context, int64) error {
		if n++; n == 2 {
			return fetch.ErrAuth
		}
		return nil
	}
	if _, err := newFetcher(s, a).Fetch(t.Context(), ref); !errors.Is(err, fetch.ErrAuth) {
		t.Fatal(err)
	}
}

func TestNoAttemptIsMadeAtAFailedOrCancelledExport(t *testing.T) {
	t.Parallel()
	for _, phase := range []archive.Phase{archive.Failed, archive.Cancelled} {
		synctest.Test(t, func(t *testing.T) {
			s, w, ref := &scriptedFetcher{ends: []error{nil}}, &Worker{}, parseRef(t, jobRef)
			s.setUp(t, w)
			setPhase(t, w.Archive, ref, phase)
			stop := startWorker(t, w)
			if _, err := w.Queue.Enqueue(t.Context(), ref, Options{}); err != nil {
				t.Fatal(err)
			}
			waitUntilIdle(t, w.Queue, ref)
			stop()
			if len(s.times) != 0 {
				t.Errorf("%s: %d attempts", phase, len(s.times))
			}
			if state, counters := stateOf(t, w.Archive, ref); state.Phase != phase || counters.Starts != 0 {
				t.Errorf("%+v, %+v", state, counters)
			}
			if err := ResetBudget(w.Archive, ref, Options{}); err != nil {
				t.Fatal(err)
			}
			if err := fetchByWorker(t, w, ref); err != nil || len(s.times) != 1 {
				t.Errorf("renewed: %v after %d attempts", err, len(s.times))
			}
		})
	}
}

func setPhase(t testing.TB, a *archive.Archive, ref fetch.Ref, phase archive.Phase) {
	t.Helper()
	d, err := a.Record(ref.String(), ref.Key())
	if err != nil {
		t.Fatal(err)
	}
	d.State.Phase = phase
	if err := errors.Join(d.Save(), d.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestResetBudgetGivesANewBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, w, ref := &scriptedFetcher{ends: []error{mismatchErr}}, &Worker{}, parseRef(t, jobRef)
		s.setUp(t, w)
		first := fetchByWorker(t, w, ref)
		old, _ := stateOf(t, w.Archive, ref)
		time.Sleep(time.Hour)
		if err := ResetBudget(w.Archive, ref, Options{Wait: Duration(time.Minute)}); err != nil {
			t.Fatal(err)
		}
		state, counters := stateOf(t, w.Archive, ref)
		want := archive.State{
			Schema: old.Schema, Ledger: old.Ledger, Reference: old.Reference, Key: old.Key, FirstSeen: old.FirstSeen,
			Phase: archive.Waiting, Asked: state.Asked, Changed: state.Changed, Options: state.Options, Wait: "1m0s",
		}
		if diff := cmp.Diff(want, state) + cmp.Diff(archive.Counters{}, counters); diff != "" || !state.Asked.After(old.Asked.Add(time.Hour-time.Second)) {
			t.Errorf("asked for at %v: %s", state.Asked, diff)
		}
		if _, o, ok := RefOf(state); !ok || o.Wait != Duration(time.Minute) {
			t.Errorf("options %s", state.Options)
		}
		if _, err := w.Queue.Remove(ref.Hash()); err != nil {
			t.Fatal(err)
		}
		if second := fetchByWorker(t, w, ref); !errors.Is(first, mismatchErr) || !errors.Is(second, mismatchErr) || len(s.times) != 6 {
			t.Errorf("%v, %v after %d attempts", first, second, len(s.times))
		}
	})
}

func TestResetBudgetFailsIfTheExportIsBusyOrLanded(t *testing.T) {
	t.Parallel()
	a, ref := openArchive(t), parseRef(t, jobRef)
	d, err := a.Record(ref.String(), ref.Key())
	if err != nil {
		t.Fatal(err)
	}
	if err := ResetBudget(a, ref, Options{}); !errors.Is(err, archive.ErrBusy) {
		t.Errorf("held: %v", err)
	}
	d.Close()
	if _, err := newFetcher(newProvider(0), a).Fetch(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	if err := ResetBudget(a, ref, Options{}); !errors.Is(err, archive.ErrLanded) {
		t.Errorf("landed: %v", err)
	}
}

func TestTheRecordTellsWhereAnExportStands(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, w, ref := &scriptedFetcher{ends: append(repeat(jobRunning, 3), networkErr, networkErr, mismatchErr, jobRunning)}, &Worker{Wait: Forever, PollInterval: time.Second}, parseRef(t, jobRef)
		s.setUp(t, w)
		if _, err := w.Queue.Enqueue(t.Context(), ref, Options{}); err != nil {
			t.Fatal(err)
		}
		stop := startWorker(t, w)
		type progress struct {
			State    archive.State
			Counters archive.Counters
		}
		waiting, network, mismatch := jobRunning.Error(), networkErr.Error(), mismatchErr.Error()
		for _, test := range []struct {
			attempts int
			want     progress
		}{
			{3, progress{archive.State{}, archive.Counters{}}},
			{5, progress{archive.State{Attempts: 2, Failures: map[string]int{"network": 2}, Cause: "network", Message: network}, archive.Counters{}}},
			{6, progress{
				archive.State{Attempts: 3, Failures: map[string]int{"network": 2, "checksum-mismatch": 1}, Cause: "checksum-mismatch", Message: mismatch},
				archive.Counters{},
			}},
			{7, progress{archive.State{Attempts: 3}, archive.Counters{Polls: 1, Status: waiting}}},
		} {
			for made := 0; made < test.attempts; time.Sleep(checkInterval / 10) {
				s.mu.Lock()
				made = len(s.times)
				s.mu.Unlock()
			}
			state, counters := stateOf(t, w.Archive, ref)
			if next := time.Until(state.Next); test.want.State.Cause == "network" && (next <= 0 || next > 3*time.Second) {
				t.Errorf("after %d attempts, the next is in %v", test.attempts, next)
			}
			if state.Next.IsZero() != (test.want.State.Cause == "") {
				t.Errorf("after %d attempts, the next is at %v", test.attempts, state.Next)
			}
			test.want.State.Phase = archive.Waiting
			ignored := cmpopts.IgnoreFields(archive.State{}, "Schema", "Ledger", "Reference", "Key", "FirstSeen", "Asked", "Options", "Changed", "Next")
			if diff := cmp.Diff(test.want, progress{state, counters}, ignored); diff != "" {
				t.Errorf("after %d attempts: %s", test.attempts, diff)
			}
		}
		stop()
	})
}

func TestAPanicIsAFailedAttempt(t *testing.T) {
	t.Parallel()
	for _, asked := range []bool{false, true} {
		for _, local := range []bool{false, true} {
			if testing.Short() && asked {
				continue // it is recovered in the same place
			}
			t.Run(fmt.Sprint("asked ", asked, ", local ", local), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { testPanic(t, asked, local) })
			})
		}
	}
}

func testPanic(t *testing.T, asked, local bool) {
	s, n, w, ref := &scriptedFetcher{}, 0, &Worker{TaskCheckInterval: 5 * time.Second}, parseRef(t, jobRef)
	p := s.setUp(t, w)
	fails := func() { n++; panic(leakyText) }
	w.Fetcher = &fakeFetcher{fetch: func(context.Context, fetch.Ref) (*archive.Receipt, error) { fails(); return nil, nil }}
	if asked {
		w.Fetcher = &fakeFetcher{poll: func(context.Context, fetch.Ref) error { fails(); return nil }}
	}
	var err error
	if local {
		l := StartLocal(w)
		defer l.Close()
		_, err = l.Fetch(t.Context(), ref)
	} else {
		err = fetchByWorker(t, w, ref)
	}
	if Classify(err).Cause != "crashed" || n != 10 || strings.Contains(err.Error(), canary) {
		t.Errorf("%v after %d attempts", err, n)
	}
	if state, counters := stateOf(t, w.Archive, ref); state.Phase != archive.Failed || state.Attempts != 10 || counters.Starts != 0 {
		t.Errorf("%+v, %+v", state, counters)
	}
	checkNoSecrets(t, w.Archive, p.client, s)
}

// The receipt counts the attempts since the export was asked for.
func TestAReceiptCountsTheAttemptsThatItTook(t *testing.T) {
	if testing.Short() {
		t.Skip("one export after another")
	}
	t.Parallel()
	for failures := range 3 {
		a, answers := openArchive(t), 0
		file := fetchtest.NewFile("a.csv", []byte("id\n1\n"))
		file.Answer = func(_ int64, answer io.ReadCloser) io.ReadCloser {
			if answers++; answers <= failures {
				answer = io.NopCloser(strings.NewReader("id\n2\n")) // which is not what was promised
			}
			return answer
		}
		p := &fetchtest.Memory{Files: []*fetchtest.File{file}, Records: verify.Unknown}
		l := StartLocal(&Worker{Archive: a, Fetcher: newFetcher(p, a), PollConcurrency: 1, FetchConcurrency: 1, Wait: Forever, PollInterval: checkInterval})
		receipt, err := l.Fetch(t.Context(), parseRef(t, jobRef))
		if closeErr := l.Close(); err != nil || closeErr != nil {
			t.Fatal(err, closeErr)
		}
		if receipt.Attempts != failures+1 {
			t.Errorf("after %d failures it says %d attempts", failures, receipt.Attempts)
		}
	}
}

// ledgerOf returns the fields of the lines of an archive's ledger that are of an export or
// of a place.
func ledgerOf(t testing.TB, a *archive.Archive) (lines []map[string]any) {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(a.Path("."), ".ledger", "*.jsonl"))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			var fields map[string]any
			if err := json.Unmarshal([]byte(line), &fields); err != nil {
				t.Fatal(err)
			}
			if fields["ref"] != nil {
				lines = append(lines, fields)
			}
		}
	}
	return lines
}

func TestAnExportThatLandsAtOnceIsTwoLinesAndNoRecord(t *testing.T) {
	t.Parallel()
	a, ref := openArchive(t), parseRef(t, jobRef)
	w := &Worker{
		Archive: a, PollConcurrency: 1, FetchConcurrency: 1, Wait: Forever, PollInterval: time.Second, TaskCheckInterval: time.Millisecond,
		Profile: func(fetch.Ref) string { return "team-a" },
	}
	fetcher := newFetcher(newProvider(1000), a)
	kept := func() {
		if dirs, _ := filepath.Glob(filepath.Join(a.Path("."), ".ingest", strings.Repeat("?", 32))); len(dirs) > 0 {
			t.Errorf("there is a record: %q", dirs)
		}
	}
	w.Fetcher = &fakeFetcher{
		poll: func(ctx context.Context, ref fetch.Ref) error { kept(); return fetcher.Poll(ctx, ref) },
		fetch: func(ctx context.Context, ref fetch.Ref) (*archive.Receipt, error) {
			kept()
			return fetcher.Fetch(ctx, ref)
		},
	}
	l := StartLocal(w)
	if _, err := l.Fetch(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	kept()
	var kinds []any
	lines := ledgerOf(t, a)
	for _, line := range lines {
		kinds = append(kinds, line["kind"])
	}
	if diff := cmp.Diff([]any{"asked", "landed"}, kinds); diff != "" || lines[0]["profile"] != "team-a" || lines[0]["ref"] != ref.String() {
		t.Errorf("%v %s", lines, diff)
	}
}

func TestALineSaysWhyAnExportFailedAndThatItWasAskedForAgain(t *testing.T) {
	t.Parallel()
	a, ref := openArchive(t), parseRef(t, jobRef)
	c := newClient(t, a)
	c.Profile = func(fetch.Ref) string { return "team-b" }
	gone := &fetch.CallError{Call: "GetExport", Status: 404, RequestID: "R-1", Kind: fetch.ErrNotFound}
	w := &Worker{
		Archive: a, Queue: c.Queue, PollConcurrency: 1, FetchConcurrency: 1, Wait: Forever, PollInterval: time.Second, TaskCheckInterval: time.Millisecond,
		Fetcher: &fakeFetcher{poll: func(context.Context, fetch.Ref) error { return gone }},
	}
	if err := fetchByWorker(t, w, ref); !errors.Is(err, fetch.ErrNotFound) {
		t.Fatal(err)
	}
	if _, err := c.Retry(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	if err := c.Cancel(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	var got [][4]any
	for _, line := range ledgerOf(t, a) {
		got = append(got, [4]any{line["kind"], line["cause"], line["request_id"], line["profile"]})
	}
	want := [][4]any{{"asked", nil, nil, nil}, {"failed", "not-found", "R-1", nil}, {"asked", nil, nil, "team-b"}, {"cancelled", nil, nil, nil}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// A fetch of what is new under a prefix that was cut short is taken up by the next one,
// with what it received.
func TestACutFetchOfWhatIsNewIsTakenUp(t *testing.T) {
	a := openArchive(t)
	ref, other := parseRef(t, "oss://bucket/p/"), parseRef(t, "oss://bucket/p/q/")
	began := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	cut := NextNewOnly(a, ref, began)
	crashAttempt(t, a, cut)
	if next := NextNewOnly(a, ref, began.Add(time.Hour)); next.Key() != cut.Key() || !next.NewOnly() {
		t.Errorf("the next is %s, want %s", next.Key(), cut.Key())
	}
	if next := NextNewOnly(a, other, began.Add(time.Hour)); next.Key() == cut.Key() || !strings.HasPrefix(next.Key(), other.Key()+"@") {
		t.Errorf("of another prefix the next is %s", next.Key())
	}
}

// What a person took out of the lists is not put back into the queue, nor fetched by a
// worker that has its task; who asks for it gets it.
func TestWhatIsRemovedIsFetchedOnlyIfAskedFor(t *testing.T) {
	t.Parallel()
	a, ref := openArchive(t), parseRef(t, jobRef)
	if err := ResetBudget(a, ref, Options{}); err != nil {
		t.Fatal(err)
	}
	c := &Client{Archive: a}
	if err := c.Remove(t.Context(), parseRef(t, jobPlace+"never-seen"), archive.Removal{}); !errors.Is(err, ErrUnknownExport) {
		t.Errorf("of one that nobody knows: %v", err)
	}
	if err := c.Remove(t.Context(), ref, archive.Removal{By: "ann", Reason: "so"}); err != nil {
		t.Fatal(err)
	}
	state, _, err := a.State(ref.Key())
	if err != nil || isPending(state) || !(&run{}).isSettled(state) || !(&run{forCaller: true}).isSettled(state) {
		t.Errorf("it is still to be fetched: %+v, %v", state, err)
	}
	if s, err := c.Enqueue(t.Context(), ref, EnqueueOptions{}); s.State != StateRemoved || err != nil {
		t.Errorf("it was enqueued: %+v, %v", s, err)
	}
	if err := ResetBudget(a, ref, Options{}); err != nil {
		t.Fatal(err)
	}
	if state, _, err := a.State(ref.Key()); err != nil || !isPending(state) {
		t.Errorf("asked for again, it is %+v, %v", state, err)
	}
}

// An export that is removed while an attempt at it is under way has not failed.
func TestWhatIsRemovedWhileItsJobIsAskedIsSettled(t *testing.T) {
	t.Parallel()
	a, ref := openArchive(t), parseRef(t, jobRef)
	if err := ResetBudget(a, ref, Options{}); err != nil {
		t.Fatal(err)
	}
	w := &Worker{Archive: a, hardCtx: t.Context(), Fetcher: &scriptedFetcher{ends: []error{&archive.RemovedError{Key: ref.Key()}}}}
	if _, err := (&run{w: w, ref: ref}).try(t.Context(), typeFetch); !errors.Is(err, errSettled) {
		t.Errorf("it ended with %v", err)
	}
	if state, _, err := a.State(ref.Key()); state.Phase != archive.Waiting || err != nil {
		t.Errorf("its state is %+v, %v", state, err)
	}
}
