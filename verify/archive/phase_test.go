package archive

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tallyman/verify/archive/ledger"
)

// linesOf returns the lines of the ledger as "kind key".
func linesOf(t testing.TB, a *Archive) (all []string) {
	t.Helper()
	for line, err := range a.ledger.All() {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(line.Kind)+" "+line.Key)
	}
	return all
}

// phasesOf returns the phases of the exports that have not landed, by key.
func phasesOf(t testing.TB, a *Archive) map[string]Phase {
	t.Helper()
	all := map[string]Phase{}
	for s, err := range a.States() {
		if _, twice := all[s.Key]; twice || err != nil {
			t.Fatalf("%+v, twice: %v, %v", s, twice, err)
		}
		all[s.Key] = s.Phase
	}
	return all
}

func askFor(t testing.TB, a *Archive, key string) {
	t.Helper()
	if err := a.Ask(State{Reference: "sls://" + strings.TrimPrefix(key, "sls/"), Key: key, Asked: time.Now()}); err != nil {
		t.Fatal(err)
	}
}

func TestTheLedgerTellsThePhaseUnlessAnEarlierVersionWroteItLast(t *testing.T) {
	noon := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	line := func(kind ledger.Kind) *ledger.Line {
		return &ledger.Line{Kind: kind, Ref: testRef, Key: testKey, At: noon, Cause: "gone", Wait: "1h0m0s"}
	}
	state := func(phase Phase, schema string) State {
		return State{Reference: testRef, Key: testKey, Ledger: schema, Phase: phase, Cause: "old", Attempts: 3}
	}
	type known struct {
		Phase    Phase
		Cause    string
		Attempts int
		Wait     string
	}
	for _, tt := range []struct {
		name  string
		state State
		line  *ledger.Line
		want  known
	}{
		{"neither", State{}, nil, known{}},
		{"a state, and no ledger", state(Failed, ledger.Schema), nil, known{Failed, "old", 3, ""}},
		{"asked for, and nothing is kept", State{}, line(ledger.Asked), known{Waiting, "gone", 0, "1h0m0s"}},
		{"failed, and nothing is kept", State{}, line(ledger.Failed), known{Failed, "gone", 0, ""}},
		{"cancelled, and nothing is kept", State{}, line(ledger.Cancelled), known{Cancelled, "cancelled", 0, ""}},
		{"landed", State{}, line(ledger.Landed), known{}},
		{"both say the same: the state knows more", state(Failed, ledger.Schema), line(ledger.Failed), known{Failed, "old", 3, ""}},
		{"bytes came before the first failure", State{Key: testKey, Ledger: ledger.Schema}, line(ledger.Asked), known{Waiting, "gone", 0, "1h0m0s"}},
		{"the line of a failure whose state was cut short", state(Waiting, ledger.Schema), line(ledger.Failed), known{Failed, "gone", 3, ""}},
		{"asked for again, and its state was cut short", state(Failed, ledger.Schema), line(ledger.Asked), known{Waiting, "gone", 0, "1h0m0s"}},
		{"an earlier version gave it up", state(Failed, ""), line(ledger.Asked), known{Failed, "old", 3, ""}},
		{"an earlier version was asked for it again", state(Waiting, ""), line(ledger.Failed), known{Waiting, "old", 3, ""}},
		{"an earlier version fetches anew what had landed", state(Waiting, ""), line(ledger.Landed), known{Waiting, "old", 3, ""}},
	} {
		s := tt.state
		s.follow(tt.line)
		if diff := cmp.Diff(tt.want, known{s.Phase, s.Cause, s.Attempts, s.Wait}); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", tt.name, diff)
		}
		if tt.want.Phase != "" && s.Key != testKey {
			t.Errorf("%s: %+v", tt.name, s)
		}
	}
}

func TestEachPhaseOfARecordIsALine(t *testing.T) {
	a := mustOpen(t, t.TempDir())
	d := mustRecord(t, a)
	defer d.Close()
	for _, step := range []struct {
		change func(*State)
		line   string // that it appends
	}{
		{func(s *State) { s.Attempts = 1 }, ""},
		{func(s *State) { s.Phase, s.Asked, s.Profile, s.Wait = Waiting, time.Now(), "team-a", "1h0m0s" }, "asked"},
		{func(s *State) { s.Attempts, s.Cause, s.Changed = 1, "network", time.Now() }, ""},
		{func(s *State) { s.Phase, s.Cause, s.Message, s.RequestID = Failed, "gone", "404", "R-1" }, "failed"},
		{func(s *State) { s.Changed = time.Now() }, ""},
		{func(s *State) { s.Phase, s.Asked = Waiting, s.Asked.Add(time.Second) }, "asked"},
		{func(s *State) { s.Asked = s.Asked.Add(time.Second) }, "asked"},
		{func(s *State) { s.Phase = Cancelled }, "cancelled"},
		{func(s *State) {}, ""},
		{func(s *State) { s.Ledger = "" }, "cancelled"}, // an earlier version wrote it
	} {
		want := linesOf(t, a)
		step.change(&d.State)
		if err := d.Save(); err != nil {
			t.Fatal(err)
		}
		if step.line != "" {
			want = append(want, step.line+" "+testKey)
		}
		if diff := cmp.Diff(want, linesOf(t, a)); diff != "" {
			t.Error(diff)
		}
	}
	wants := map[ledger.Kind][]string{
		ledger.Asked: {testRef, "team-a", "1h0m0s", "", "", ""}, ledger.Failed: {testRef, "", "", "gone", "404", "R-1"}, ledger.Cancelled: {testRef, "", "", "", "", ""},
	}
	for line := range a.ledger.All() {
		got := []string{line.Ref, line.Profile, line.Wait, line.Cause, line.Message, line.RequestID}
		if diff := cmp.Diff(wants[line.Kind], got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", line.Kind, diff)
		}
	}
}

func TestAskMakesNoFileAndKeepsWhatWasReceived(t *testing.T) {
	a := mustOpen(t, t.TempDir())
	s := State{Reference: testRef, Key: testKey, Asked: time.Date(2026, 12, 1, 2, 3, 4, 0, time.UTC), Options: json.RawMessage(`{"wait":"1h0m0s"}`), Profile: "team-a", Wait: "1h0m0s"}
	if err := a.Ask(s); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(ingestOf(a)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an ingest directory: %v", err)
	}
	want := s
	want.Schema, want.Ledger, want.FirstSeen, want.Phase, want.Changed = stateSchema, ledger.Schema, s.Asked, Waiting, s.Asked
	mustHaveState(t, a, want, Counters{})

	in := mustBegin(t, a)
	if err := errors.Join(in.Pin(pinsOf(nil, somePins...)), receive(in, "a.csv", rows(100))); err != nil {
		t.Fatal(err)
	}
	if err := a.Ask(s); !errors.Is(err, ErrBusy) {
		t.Errorf("while it is received: %v", err)
	}
	in.Close()
	d := mustRecord(t, a)
	d.State.Attempts, d.State.Failures, d.Counters.Polls = 2, map[string]int{"network": 2}, 5
	if err := errors.Join(d.Save(), d.Close()); err != nil {
		t.Fatal(err)
	}
	s.Asked = s.Asked.Add(time.Hour)
	if err := a.Ask(s); err != nil {
		t.Fatal(err)
	}
	state, counters, err := a.State(testKey)
	if err != nil || state.Attempts != 0 || len(state.Failures) != 0 || !state.Asked.Equal(s.Asked) || counters != (Counters{}) {
		t.Errorf("%+v, %+v, %v", state, counters, err)
	}
	if bytes, objects := a.Received(testKey); bytes+objects == 0 {
		t.Error("what was received is gone")
	}
	if diff := cmp.Diff([]string{"asked " + testKey, "asked " + testKey}, linesOf(t, a)); diff != "" {
		t.Error(diff)
	}
	if _, err := land(a, threeObjects()); err != nil {
		t.Fatal(err)
	}
	if err := a.Ask(s); !errors.Is(err, ErrLanded) {
		t.Errorf("once it has landed: %v", err)
	}
	if _, _, err := a.State(testKey); !errors.Is(err, fs.ErrNotExist) || len(phasesOf(t, a)) != 0 {
		t.Errorf("a state of what has landed: %v", err)
	}
}

func TestARecordIsNotSavedIfTheLedgerCannotBeWritten(t *testing.T) {
	full := false
	a, err := openWith(t.TempDir(), func(op, path string) error {
		if full && op == "write" && strings.Contains(path, ledgerDir) {
			return &fs.PathError{Op: op, Path: path, Err: syscall.ENOSPC}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	full = true
	d := mustRecord(t, a)
	defer d.Close()
	d.State.Phase, d.State.Asked = Waiting, time.Now()
	if err := d.Save(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("saved: %v", err)
	}
	if err := a.Ask(State{Reference: "sls://r/p/other", Key: "sls/r/p/other"}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("asked: %v", err)
	}
	full = false
	if err := d.Save(); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"asked " + testKey}, linesOf(t, a)); diff != "" {
		t.Error(diff)
	}
}

// writeOldState writes a state.json as versions without a ledger do.
func writeOldState(t *testing.T, a *Archive, key string, phase Phase) {
	t.Helper()
	text := fmt.Sprintf(`{"schema":"tallyman.state/v1","reference":"sls://%s","key":%q,"first_seen":"2026-11-01T08:00:00Z","phase":%q,`+
		`"asked":"2026-11-01T08:00:00.1Z","attempts":2,"failures":{"network":2},"cause":"network","message":"GET: it is away"}`, strings.TrimPrefix(key, "sls/"), key, phase)
	if err := os.MkdirAll(a.ingestPath(key), 0o755); err != nil {
		t.Fatal(err)
	}
	rewrite(t, filepath.Join(a.ingestPath(key), stateFile), []byte(text))
}

func TestStatesAreOfTheLedgerAndOfWhatEarlierVersionsWrote(t *testing.T) {
	a := mustOpen(t, t.TempDir())
	key := func(name string) string { return "sls/r/p/" + name }
	for _, name := range []string{"new", "kept", "given-up", "landed", "cancelled"} {
		askFor(t, a, key(name))
	}
	if err := a.ledger.Append(ledger.Line{Kind: ledger.Cancelled, Ref: "sls://r/p/cancelled", Key: key("cancelled")}, ledger.Line{Kind: ledger.Landed, Ref: "sls://r/p/gone", Key: key("gone")}); err != nil {
		t.Fatal(err)
	}
	for name, phase := range map[string]Phase{"old-waiting": Waiting, "old-failed": Failed, "kept": Waiting, "given-up": Failed} {
		writeOldState(t, a, key(name), phase)
	}
	if err := os.MkdirAll(a.Path(key("landed")), 0o755); err != nil { // by an earlier version, which writes no line
		t.Fatal(err)
	}
	want := map[string]Phase{
		key("new"): Waiting, key("kept"): Waiting, key("old-waiting"): Waiting,
		key("given-up"): Failed, key("old-failed"): Failed, key("cancelled"): Cancelled,
	}
	if diff := cmp.Diff(want, phasesOf(t, a)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for key, phase := range want {
		if s, _, err := a.State(key); err != nil || s.Phase != phase {
			t.Errorf("%s alone is %q, %v, want %q", key, s.Phase, err, phase)
		}
	}
	d, err := a.Record("sls://r/p/given-up", key("given-up"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(d.Save(), d.Close(), os.RemoveAll(filepath.Join(a.dir, ingestDir))); err != nil {
		t.Fatal(err)
	}
	want = map[string]Phase{key("new"): Waiting, key("kept"): Waiting, key("given-up"): Failed, key("cancelled"): Cancelled}
	if diff := cmp.Diff(want, phasesOf(t, a)); diff != "" {
		t.Errorf("without the ingest area, after one was saved: (-want +got)\n%s", diff)
	}
}
