package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/gofrs/flock"
)

// plantStates makes n exports that have not landed, and junk beside them.
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

func TestStatesAreThoseOfExportsThatHaveNotLanded(t *testing.T) {
	for _, n := range []int{0, 1, eachBatch, 2*eachBatch + 1} {
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

func TestStatesThatVanishMeanwhileAreNoError(t *testing.T) {
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

func TestStatesMayBeReadWhileTheyAreHeld(t *testing.T) {
	a := mustOpen(t, t.TempDir())
	d := mustDocket(t, a)
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

func TestAskingWhetherAnExportIsBusyMakesNothing(t *testing.T) {
	a := mustOpen(t, t.TempDir())
	if a.Busy(testKey) || a.Received(testKey) != 0 {
		t.Error("it is busy")
	}
	if err := os.Mkdir(ingestOf(a), 0o755); err != nil {
		t.Fatal(err)
	}
	if a.Busy(testKey) || len(namesIn(t, ingestOf(a))) > 0 {
		t.Errorf("%q were made", namesIn(t, ingestOf(a)))
	}
}

func TestAskingWhetherAnExportIsBusyIsInNobodysWay(t *testing.T) {
	a := mustOpen(t, t.TempDir())
	mustDocket(t, a).Close()
	asker := flock.New(filepath.Join(ingestOf(a), lockFile))
	if asked, err := asker.TryRLock(); !asked || err != nil {
		t.Fatal(asked, err)
	}
	if a.Busy(testKey) {
		t.Error("it is busy, since another asked too")
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
