package archive

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"tallyman/verify/archive/internal/powercut"
	"tallyman/verify/archive/ledger"

	"github.com/gofrs/flock"
	"github.com/google/go-cmp/cmp"
)

func mustRecord(t testing.TB, a *Archive) *Record {
	t.Helper()
	d, err := a.Record(testRef, testKey)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// mustHaveState checks what the archive knows of the export.
func mustHaveState(t *testing.T, a *Archive, wantState State, wantCounters Counters) {
	t.Helper()
	state, counters, err := a.State(testKey)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wantState, state) + cmp.Diff(wantCounters, counters); diff != "" {
		t.Error(diff)
	}
}

func mustHaveFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, namesIn(t, dir)); diff != "" {
		t.Error(diff)
	}
}

func ingestOf(a *Archive) string { return filepath.Join(a.dir, ingestDir, testHash) }

func namesIn(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// fullState has something in each field.
func fullState() State {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	return State{
		Schema: stateSchema, Ledger: ledger.Schema, Reference: testRef, Key: testKey, FirstSeen: at,
		Phase: Failed, Asked: at.Add(1), Options: json.RawMessage(`{"keep":"both","n":[1,2]}`),
		Attempts: 3, Failures: map[string]int{"network": 2, "throttled": 1},
		Cause: "network", Message: `read "x": connection lost`,
		Changed: at.Add(2), Next: at.Add(3),
	}
}

func TestARecordOfANewExportIsEmpty(t *testing.T) {
	a := mustOpen(t, t.TempDir())
	if _, _, err := a.State(testKey); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before: %v", err)
	}
	d := mustRecord(t, a)
	defer d.Close()
	s := d.State
	if s.Schema != stateSchema || s.Reference != testRef || s.Key != testKey || time.Since(s.FirstSeen) > time.Hour || s.Phase != "" || d.Counters != (Counters{}) {
		t.Errorf("%+v, %+v", d.State, d.Counters)
	}
	mustHaveState(t, a, s, Counters{})
	mustHaveFiles(t, ingestOf(a), lockFile, stateFile)
}

func TestARecordReadsWhatTheLastOneSaved(t *testing.T) {
	a := mustOpen(t, t.TempDir())
	d := mustRecord(t, a)
	state, counters := fullState(), Counters{Polls: 9, Unknown: 2, Starts: 1, Progress: 1 << 40}
	d.State, d.Counters = state, counters
	if err := errors.Join(d.Save(), d.Close()); err != nil {
		t.Fatal(err)
	}
	d = mustRecord(t, mustOpen(t, a.dir))
	defer d.Close()
	if diff := cmp.Diff(state, d.State) + cmp.Diff(counters, d.Counters); diff != "" {
		t.Error(diff)
	}
	mustHaveState(t, a, state, counters)
}

// Who gave an export up may be killed before it has written more than the line: deadlines of
// those who ask for it still count from a time.
func TestARecordKnowsWhenItWasAskedForByTheLedgerAlone(t *testing.T) {
	a := mustOpen(t, t.TempDir())
	for _, kind := range []ledger.Kind{ledger.Asked, ledger.Failed} {
		if err := a.ledger.Append(ledger.Line{Kind: kind, Ref: testRef, Key: testKey, Cause: "job-failed"}); err != nil {
			t.Fatal(err)
		}
	}
	d := mustRecord(t, a)
	defer d.Close()
	if d.State.Phase != Failed || time.Since(d.State.Asked) > time.Hour {
		t.Errorf("%+v", d.State)
	}
}

// What refuse says of an export is what nobody changes before that is asked for.
func TestAnExportIsAskedForUnlessThatIsRefused(t *testing.T) {
	a, refused := mustOpen(t, t.TempDir()), errors.New("refused")
	asks := State{Reference: testRef, Key: testKey, Asked: time.Now().UTC()}
	ifFailed := func(known State) error {
		if other, err := mustOpen(t, a.dir).Record(testRef, testKey); !errors.Is(err, ErrBusy) {
			t.Errorf("it is not locked: %v, %v", err, other)
		}
		if known.Phase == Failed {
			return refused
		}
		return nil
	}
	for name, kept := range map[string]bool{"by the ledger alone": false, "of which something is kept": true} {
		if err := a.AskUnless(asks, ifFailed); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if kept {
			d := mustRecord(t, a)
			d.State.Phase = Failed
			if err := errors.Join(d.Save(), d.Close()); err != nil {
				t.Fatal(err)
			}
		} else if err := a.ledger.Append(ledger.Line{Kind: ledger.Failed, Ref: testRef, Key: testKey, Cause: "job-failed"}); err != nil {
			t.Fatal(err)
		}
		if err := a.AskUnless(asks, ifFailed); !errors.Is(err, refused) {
			t.Errorf("%s: %v", name, err)
		}
		if state, _, err := a.State(testKey); err != nil || state.Phase != Failed {
			t.Errorf("%s: it is %s, %v", name, state.Phase, err)
		}
		if err := a.Ask(asks); err != nil { // as a person does
			t.Fatal(err)
		}
	}
}

func TestAnAttemptLeavesTheStateAsItIs(t *testing.T) {
	a := mustOpen(t, t.TempDir())
	d := mustRecord(t, a)
	d.State, d.Counters = fullState(), Counters{Starts: 1}
	if err := errors.Join(d.Save(), d.Close()); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(filepath.Join(ingestOf(a), stateFile))
	in := mustBegin(t, a)
	err := receive(in, "a.csv", rows(100))
	if err := errors.Join(err, in.Close()); err != nil {
		t.Fatal(err)
	}
	if after, _ := os.ReadFile(filepath.Join(ingestOf(a), stateFile)); string(after) != string(before) {
		t.Errorf("%s\nwas %s", after, before)
	}
	d = mustRecord(t, a)
	d.Close()
	if d.Counters.Starts != 1 {
		t.Errorf("%+v", d.Counters)
	}
	if in = mustBegin(t, a); !in.Done("a.csv", promise(rows(100))) {
		t.Error("a Record lost what was received")
	}
	in.Close()
	r, err := land(a, export{"a.csv": rows(100)})
	if err != nil || !r.FirstSeen.Equal(d.State.FirstSeen) {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestAStateOfAnotherVersionReads(t *testing.T) {
	const older = `{"schema":"tallyman.state/v1","reference":%q,"key":%q,"first_seen":"2025-01-02T03:04:05Z"%s}`
	for _, more := range []string{"", `,"polled":{"n":[1]},"phase":"waiting"`, `,"phase":"napping","options":null`} {
		a := mustOpen(t, t.TempDir())
		if err := os.Mkdir(ingestOf(a), 0o755); err != nil {
			t.Fatal(err)
		}
		rewrite(t, filepath.Join(ingestOf(a), stateFile), fmt.Appendf(nil, older, testRef, testKey, more))
		for range 2 {
			d := mustRecord(t, a)
			if d.State.Reference != testRef || d.State.FirstSeen.Year() != 2025 {
				t.Errorf("%s: %+v", more, d.State)
			}
			if err := errors.Join(d.Save(), d.Close()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestAStateThatIsNotValidIsStartedOver(t *testing.T) {
	for _, text := range []string{"", "{", "null", "{}", `{"key":"another/export"}`, `{"key":7}`} {
		a := mustOpen(t, t.TempDir())
		mustRecord(t, a).Close()
		rewrite(t, filepath.Join(ingestOf(a), stateFile), []byte(text))
		d := mustRecord(t, a)
		d.Close()
		if mustHaveState(t, a, d.State, Counters{}); d.State.Key != testKey {
			t.Errorf("%q: %+v", text, d.State)
		}
	}
}

func TestAStateThatCannotBeReadIsAnError(t *testing.T) {
	a := mustOpen(t, t.TempDir())
	mustRecord(t, a).Close()
	path := filepath.Join(ingestOf(a), stateFile)
	if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o755)); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Record(testRef, testKey); !errors.Is(err, syscall.EISDIR) {
		t.Errorf("%v, want %v", err, syscall.EISDIR)
	}
	if a.Busy(testKey) {
		t.Error("it is locked")
	}
}

func TestCountersOutliveTheProcessWithoutASync(t *testing.T) {
	a := mustOpen(t, t.TempDir())
	d := mustRecord(t, a)
	a.step = func(op, path string) error {
		if strings.HasPrefix(op, "sync") {
			t.Errorf("%s %s", op, path)
		}
		return nil
	}
	d.lock.archive = a
	for d.Counters.Polls = range 3 {
		if err := d.SaveCounters(); err != nil {
			t.Fatal(err)
		}
	}
	d.Close()
	if _, counters, err := a.State(testKey); err != nil || counters.Polls != 2 {
		t.Errorf("%+v, %v", counters, err)
	}
}

func TestCountersThatCannotBeReadAreZero(t *testing.T) {
	for _, text := range []string{"", "\x00\x00\x00", "{", "[]", `{"polls":5,"gain":"x"}`} {
		a := mustOpen(t, t.TempDir())
		mustRecord(t, a).Close()
		rewrite(t, filepath.Join(ingestOf(a), countsFile), []byte(text))
		d := mustRecord(t, a)
		if d.Counters != (Counters{}) {
			t.Errorf("%q: %+v", text, d.Counters)
		}
		d.Counters.Polls = 1
		if err := errors.Join(d.SaveCounters(), d.Close()); err != nil {
			t.Error(err)
		}
		if _, counters, err := a.State(testKey); err != nil || counters.Polls != 1 {
			t.Errorf("%q: %+v, %v", text, counters, err)
		}
	}
}

func TestARecordAndAnAttemptExcludeEachOther(t *testing.T) {
	a := mustOpen(t, t.TempDir())
	d := mustRecord(t, a)
	busy := func() {
		t.Helper()
		for _, a := range []*Archive{a, mustOpen(t, a.dir)} {
			_, record := a.Record(testRef, testKey)
			_, begin := a.Begin(t.Context(), testRef, testKey)
			if !errors.Is(record, ErrBusy) || !errors.Is(begin, ErrBusy) || !a.Busy(testKey) {
				t.Errorf("%v, %v, busy: %t", record, begin, a.Busy(testKey))
			}
		}
		if got, err := inAnotherProcess(a.dir); err != nil || !strings.HasSuffix(got, " busy") {
			t.Errorf("another process: %q, %v", got, err)
		}
	}
	busy()
	d.Close()
	in := mustBegin(t, a)
	busy()
	in.Close()
	mustRecord(t, a).Close()
	if got, err := inAnotherProcess(a.dir); err != nil || !strings.Contains(got, " begun") {
		t.Errorf("another process: %q, %v", got, err)
	}
}

func TestAnExportThatLandedHasNoRecord(t *testing.T) {
	a, _ := mustLand(t, t.TempDir(), threeObjects())
	for _, left := range []string{"", stateFile, countsFile, firstStateFile, "parts/x.wire", "bag/data/x"} {
		if left != "" {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(ingestOf(a), left)), 0o755); err != nil {
				t.Fatal(err)
			}
			rewrite(t, filepath.Join(ingestOf(a), left), []byte("x"))
		}
		if _, err := a.Record(testRef, testKey); !errors.Is(err, ErrLanded) {
			t.Errorf("with %q: %v", left, err)
		}
		if names := namesIn(t, filepath.Join(a.dir, ingestDir)); len(names) > 0 {
			t.Errorf("with %q: %q are left", left, names)
		}
	}
	mustHaveLanded(t, a, threeObjects())
}

func TestDiscardKeepsTheStateAndFreesTheSpace(t *testing.T) {
	a, e := fourObjects(t)
	in := mustBegin(t, a)
	if err := errors.Join(in.Pin(pinsOf(nil, somePins...)), in.Close()); err != nil {
		t.Fatal(err)
	}
	d := mustRecord(t, a)
	d.State, d.Counters = fullState(), Counters{Starts: 2}
	if bytes, objects := a.Received(testKey); bytes == 0 || objects == 0 {
		t.Error("nothing was received")
	}
	if err := errors.Join(d.Save(), d.Discard()); err != nil {
		t.Fatal(err)
	}
	mustHaveFiles(t, ingestOf(a), lockFile, stateFile)
	if bytes, objects := a.Received(testKey); bytes != 0 || objects != 0 || d.Counters != (Counters{}) {
		t.Errorf("%d bytes and %d objects are here, %+v", bytes, objects, d.Counters)
	}
	if err := errors.Join(d.Save(), d.Close()); err != nil {
		t.Fatal(err)
	}
	mustHaveState(t, a, fullState(), Counters{})
	if got := done(t, a, e); got != "" {
		t.Errorf("%s are done", got)
	}
	mustLandAll(t, a, e)
}

// tryRecord opens a Record, saves two states, and discards what was received. It
// returns the last state that was saved.
func tryRecord(a *Archive) (saved State, err error) {
	d, err := a.Record(testRef, testKey)
	if err != nil {
		return saved, err
	}
	defer d.Close()
	saved = d.State
	for _, phase := range []Phase{Waiting, Cancelled} {
		d.State.Phase = phase
		if err := d.Save(); err != nil {
			return saved, err
		}
		saved = d.State
	}
	return saved, d.Discard()
}

// atEachStepOfARecord runs tryRecord with a crash at its first change to the disk, at
// the second, and so on, for a new export and for one that was received in part.
func atEachStepOfARecord(t *testing.T, once bool, then func(t *testing.T, dir string, p *powercut.Disk, saved State)) {
	for _, isNew := range []bool{true, false} {
		for at, ended := 1, false; !ended; at++ {
			dir := t.TempDir()
			c := &crash{at: at, once: once, disk: powercut.New(t, dir)}
			a := mustOpenIn(t, dir, c.disk, isNew)
			a.step = c.step
			saved, err := tryRecord(a)
			if ended = c.seen < at; ended && err != nil {
				t.Fatalf("without a crash: %v", err)
			}
			if !t.Run(fmt.Sprint(at), func(t *testing.T) { then(t, dir, c.disk, saved) }) || at == 1000 {
				t.Fatalf("a crash at step %d: %v", at, err)
			}
		}
	}
}

func mustOpenIn(t *testing.T, dir string, p *powercut.Disk, isNew bool) *Archive {
	t.Helper()
	a, err := openWith(dir, p.Step)
	if err != nil {
		t.Fatal(err)
	}
	if isNew {
		return a
	}
	in := mustBegin(t, a)
	if err := errors.Join(receive(in, "a.csv", rows(100)), in.Close()); err != nil {
		t.Fatal(err)
	}
	return a
}

// oldOrNew checks that a crash left a valid state that is not older than the saved
// one, and that the next Record continues from it.
func oldOrNew(t *testing.T, dir string, saved State) {
	t.Helper()
	order := []Phase{"", Waiting, Cancelled}
	a := mustOpen(t, dir)
	got, _, err := a.State(testKey)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if saved.Key != "" {
			t.Errorf("what was saved is gone: %+v", saved)
		}
	case err != nil || got.Reference != testRef || got.Key != testKey:
		t.Errorf("%+v, %v", got, err)
	case slices.Index(order, got.Phase) < slices.Index(order, saved.Phase):
		t.Errorf("%+v, after %+v was saved", got, saved)
	}
	if saved, err := tryRecord(a); err != nil || saved.Phase != Cancelled {
		t.Errorf("the next: %+v, %v", saved, err)
	}
	mustHaveFiles(t, ingestOf(a), lockFile, stateFile)
	if _, err := land(a, threeObjects()); err != nil {
		t.Error(err)
	}
	mustHaveLanded(t, a, threeObjects())
}

func TestAStateIsWholeOldOrNewAfterACrash(t *testing.T) {
	for _, once := range []bool{false, true} {
		atEachStepOfARecord(t, once, func(t *testing.T, dir string, _ *powercut.Disk, saved State) { oldOrNew(t, dir, saved) })
	}
}

func TestAStateThatWasSavedIsThereAfterAPowerCut(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine, a thousand times")
	}
	for _, survives := range []func() bool{powercut.LoseUnsynced, powercut.KeepAtRandom()} {
		for _, once := range []bool{false, true} {
			atEachStepOfARecord(t, once, func(t *testing.T, _ string, p *powercut.Disk, saved State) {
				after := filepath.Join(t.TempDir(), "after")
				p.Cut(after, survives)
				oldOrNew(t, after, saved)
			})
		}
	}
}

// A state that a crash left may not be durable. A Record that finds it makes it
// durable.
func TestAStateThatARecordFoundIsThereAfterAPowerCut(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine, a thousand times")
	}
	atEachStepOfARecord(t, false, func(t *testing.T, dir string, p *powercut.Disk, _ State) {
		a, err := openWith(dir, p.Step)
		if err != nil {
			t.Fatal(err)
		}
		d := mustRecord(t, a)
		d.Close()
		d.State.Phase = "" // a Save that was cut short may have left the old one
		after := filepath.Join(t.TempDir(), "after")
		p.Cut(after, powercut.LoseUnsynced)
		oldOrNew(t, after, d.State)
	})
}

// plantStates writes the states of n exports that have not landed, and invalid ones
// beside them.
func plantStates(t *testing.T, a *Archive, n int) {
	t.Helper()
	area := filepath.Join(a.dir, ingestDir)
	plant := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(area, path)), 0o755); err != nil {
			t.Fatal(err)
		}
		rewrite(t, filepath.Join(area, path), []byte(text))
	}
	for i := range n {
		plant(fmt.Sprintf("%032x/state.json", i), fmt.Sprintf(`{"schema":"tallyman.state/v1","reference":"sls://r/p/%d","key":"sls/r/p/%d"}`, i, i))
	}
	plant("draft.json", `{"schema":"tallyman.archive/v1"}`)
	plant("made/lock", "")
	plant("half/state.json", `{"schema":"tallym`)
	plant("half/state.json.new", `{"schema":"tallyman.state/v1","key":"x"}`)
	plant("empty/state.json", "")
	plant("nameless/state.json", "{}")
	if err := os.Symlink("/nowhere", filepath.Join(area, "link")); err != nil {
		t.Fatal(err)
	}
}

func TestStatesListsExportsThatHaveNotLanded(t *testing.T) {
	for _, n := range []int{0, 1, namesPerRead, 2*namesPerRead + 1} {
		a := mustOpen(t, t.TempDir())
		plantStates(t, a, n)
		seen := map[string]bool{}
		for s, err := range a.States() {
			if err != nil || seen[s.Key] || s.Key != "sls/r/p/"+filepath.Base(s.Reference) {
				t.Fatalf("%+v, %v", s, err)
			}
			seen[s.Key] = true
		}
		if len(seen) != n {
			t.Errorf("%d of %d", len(seen), n)
		}
		for range a.States() {
			break
		}
	}
}

func TestStatesThatVanishMeanwhileAreSkipped(t *testing.T) {
	a := mustOpen(t, t.TempDir())
	plantStates(t, a, 20)
	n := 0
	for _, err := range a.States() {
		if n++; err != nil {
			t.Fatal(err)
		}
		if n == 1 {
			os.RemoveAll(filepath.Join(a.dir, ingestDir))
		}
	}
	if n != 1 {
		t.Errorf("%d", n)
	}
	for _, err := range a.States() {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("without the ingest area: %v", err)
		}
	}
}

func TestAStateThatCannotBeReadHidesNoOther(t *testing.T) {
	a := mustOpen(t, t.TempDir())
	plantStates(t, a, 20)
	if err := os.MkdirAll(filepath.Join(a.dir, ingestDir, "bad", stateFile), 0o755); err != nil {
		t.Fatal(err)
	}
	states, errs := 0, 0
	for _, err := range a.States() {
		if err != nil {
			errs++
		} else {
			states++
		}
	}
	if states != 20 || errs != 1 {
		t.Errorf("%d states, %d errors", states, errs)
	}
}

func TestStatesCanBeReadWhileTheyAreLocked(t *testing.T) {
	a := mustOpen(t, t.TempDir())
	d := mustRecord(t, a)
	defer d.Close()
	ended := make(chan error)
	go func() {
		var err error
		for i := range 200 {
			d.State.Attempts, d.Counters.Polls = i, i
			err = errors.Join(err, d.Save())
		}
		ended <- err
	}()
	for last := 0; ; {
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
			return
		default:
		}
		for s, err := range a.States() {
			if err != nil || s.Attempts < last {
				t.Errorf("%+v, %v", s, err)
			}
			last = s.Attempts
		}
	}
}

func TestBusyMakesNoFiles(t *testing.T) {
	a := mustOpen(t, t.TempDir())
	if received, _ := a.Received(testKey); a.Busy(testKey) || received != 0 {
		t.Error("it is busy")
	}
	if err := os.Mkdir(ingestOf(a), 0o755); err != nil {
		t.Fatal(err)
	}
	if a.Busy(testKey) || len(namesIn(t, ingestOf(a))) > 0 {
		t.Errorf("%q were made", namesIn(t, ingestOf(a)))
	}
}

func TestBusyKeepsNobodyFromTheLock(t *testing.T) {
	a := mustOpen(t, t.TempDir())
	mustRecord(t, a).Close()
	asker := flock.New(filepath.Join(ingestOf(a), lockFile))
	if asked, err := asker.TryRLock(); !asked || err != nil {
		t.Fatal(asked, err)
	}
	if a.Busy(testKey) {
		t.Error("a process that only asks makes it busy")
	}
	begun := make(chan error)
	go func() {
		d, err := a.Record(testRef, testKey)
		if err == nil {
			err = d.Close()
		}
		begun <- err
	}()
	for range 1000 {
		a.Busy(testKey)
	}
	asker.Close()
	if err := <-begun; err != nil {
		t.Error(err)
	}
}
