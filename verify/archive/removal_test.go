package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tallyman/verify/archive/internal/powercut"
	"tallyman/verify/archive/ledger"
)

var removalOf = Removal{Reference: testRef, Key: testKey, By: "ann", Reason: "its job is gone"}

// plantFailed has the export fail, with some of it received.
func plantFailed(a *Archive) error {
	in, err := a.Begin(context.Background(), testRef, testKey)
	if err != nil {
		return err
	}
	err = in.persist(context.Background())
	if err == nil {
		err = receive(in, "a.csv", rows(100))
	}
	if err := errors.Join(err, in.Close()); err != nil {
		return err
	}
	d, err := a.Record(testRef, testKey)
	if err != nil {
		return err
	}
	d.State.Phase, d.State.Cause, d.State.Message = Failed, "job-expired", "the job has expired"
	return errors.Join(d.Save(), d.Close())
}

// mustBeRemoved checks that nothing of an export is left, and that nobody misses it.
func mustBeRemoved(t testing.TB, a *Archive, where string) {
	t.Helper()
	_, err := a.Receipt(testKey)
	if removed, ok := errors.AsType[*RemovedError](err); !ok || !errors.Is(err, fs.ErrNotExist) || removed.By != "ann" || removed.Reason != "its job is gone" {
		t.Errorf("%s: it is said to be %v", where, err)
	}
	u := a.Audit()
	if err := u.Recheck(t.Context(), testKey, nil); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrDamaged) {
		t.Errorf("%s: an audit says %v", where, err)
	}
	u.Close()
	for key, err := range a.Absent() {
		t.Errorf("%s: %s is missed, %v", where, key, err)
	}
	if phases := phasesOf(t, a); len(phases) > 0 {
		t.Errorf("%s: it is listed as %v", where, phases)
	}
	if s, _, err := a.State(testKey); s.Phase != Removed || err != nil {
		t.Errorf("%s: its state is %+v, %v", where, s, err)
	}
	said := 0
	for removed, err := range a.Removed() {
		if said++; err != nil || removed.Key != testKey {
			t.Errorf("%s: removed: %v, %v", where, removed, err)
		}
	}
	if said != 1 {
		t.Errorf("%s: it is said %d times that it was removed", where, said)
	}
	if all, _ := filepath.Glob(filepath.Join(a.dir, "sls", "*", "*", "*")); len(all) > 0 {
		t.Errorf("%s: there are %q", where, all)
	}
	next, err := a.Begin(t.Context(), testRef, testKey+"-next") // clears up behind processes that have ended
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	next.Close()
	if left, _ := filepath.Glob(filepath.Join(a.dir, ingestDir, "*")); len(left) > 0 {
		t.Errorf("%s: %q are left", where, left)
	}
}

// However an export was, what was removed is in no list, nobody misses it, and only who
// asks for it by name gets it again. A bag is deleted only if that is asked for.
func TestWhatIsRemovedIsInNoListAndNotMissed(t *testing.T) {
	landed := func(a *Archive) error { _, err := land(a, oneObject); return err }
	for name, tt := range map[string]struct {
		plant  func(*Archive) error
		then   func(t *testing.T, a *Archive)
		delete bool
		kept   int // bags in .damaged
		err    error
	}{
		"failed":           {plant: plantFailed},
		"waiting":          {plant: func(a *Archive) error { return a.Ask(State{Reference: testRef, Key: testKey, Asked: time.Now()}) }},
		"damaged":          {plant: landed, then: func(t *testing.T, a *Archive) { rot(t, a) }, kept: 1},
		"damaged, deleted": {plant: landed, then: func(t *testing.T, a *Archive) { rot(t, a) }, delete: true},
		"repaired, deleted": {plant: landed, then: func(t *testing.T, a *Archive) {
			rot(t, a)
			if _, err := repair(a, oneObject); err != nil {
				t.Fatal(err)
			}
		}, delete: true},
		"absent": {plant: landed, then: func(t *testing.T, a *Archive) {
			if err := os.RemoveAll(a.Path(testKey)); err != nil {
				t.Fatal(err)
			}
		}},
		"landed":          {plant: landed, err: ErrLanded},
		"landed, deleted": {plant: landed, delete: true},
	} {
		t.Run(name, func(t *testing.T) {
			a := mustOpen(t, t.TempDir())
			if err := tt.plant(a); err != nil {
				t.Fatal(err)
			}
			if tt.then != nil {
				tt.then(t, a)
			}
			r := removalOf
			r.Delete = tt.delete
			before := len(linesOf(t, a))
			if err := a.Remove(r); !errors.Is(err, tt.err) {
				t.Fatal(err)
			}
			if tt.err != nil {
				mustHaveLanded(t, a, oneObject)
				if len(linesOf(t, a)) != before {
					t.Error("there is a line of it")
				}
				return
			}
			mustBeRemoved(t, a, name)
			if kept := aside(t, a); len(kept) != tt.kept {
				t.Errorf("%q are aside", kept)
			}
			if err := a.Remove(r); err != nil || len(linesOf(t, a)) != before+1 {
				t.Errorf("a second time: %v, lines: %q", err, linesOf(t, a))
			}
			if err := a.Ask(State{Reference: testRef, Key: testKey, Asked: time.Now()}); err != nil {
				t.Fatal(err)
			}
			if phases := phasesOf(t, a); phases[testKey] != Waiting {
				t.Errorf("asked for again it is %v", phases)
			}
			if _, err := land(a, oneObject); err != nil {
				t.Fatal(err)
			}
			mustHaveLanded(t, a, oneObject)
			if err := a.Recheck(t.Context(), testKey, nil); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestWhatIsInHandIsNotRemoved(t *testing.T) {
	a := mustOpen(t, t.TempDir())
	in := mustBegin(t, a)
	defer in.Close()
	if err := a.Remove(removalOf); !errors.Is(err, ErrBusy) {
		t.Errorf("it ended with %v", err)
	}
}

// An attempt that was under way before the lock of the export was taken, while its job was
// asked, does not bring back what was removed meanwhile.
func TestWhatWasRemovedIsNotBegun(t *testing.T) {
	a := mustOpen(t, t.TempDir())
	askFor(t, a, testKey)
	if err := a.Remove(removalOf); err != nil {
		t.Fatal(err)
	}
	if _, err := land(a, oneObject); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it began, and ended with %v", err)
	}
	mustBeRemoved(t, a, "after the attempt")
}

// What was put aside when an export was removed is deleted once that is asked for, and the
// ledger says so.
func TestWhatWasRemovedIsDeletedLater(t *testing.T) {
	a, _ := mustLand(t, t.TempDir(), oneObject)
	rot(t, a)
	first, then := removalOf, removalOf
	first.Reason, then.Delete = "it is damaged", true
	if err := errors.Join(a.Remove(first), a.Remove(then)); err != nil {
		t.Fatal(err)
	}
	if kept := aside(t, a); len(kept) > 0 {
		t.Errorf("%q are aside", kept)
	}
	if last, err := a.presence(testKey); err != nil || !last.Deleted {
		t.Errorf("the ledger says %+v, %v", last, err)
	}
	mustBeRemoved(t, a, "deleted")
}

// A bag that somebody puts where one was removed is no removed one, and is not deleted.
func TestABagInPlaceOfARemovedOneIsTold(t *testing.T) {
	a, bag := mustLand(t, t.TempDir(), oneObject)
	kept := filepath.Join(t.TempDir(), "kept")
	if err := os.CopyFS(kept, os.DirFS(bag)); err != nil {
		t.Fatal(err)
	}
	r := removalOf
	r.Delete = true
	if err := a.Remove(r); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(bag, os.DirFS(kept)); err != nil {
		t.Fatal(err)
	}
	a = mustOpen(t, a.dir)
	for said, err := range map[string]error{
		"Receipt":  func() error { _, err := a.Receipt(testKey); return err }(),
		"Recheck":  a.Recheck(t.Context(), testKey, nil),
		"Contents": func() error { _, err := a.Contents(testKey); return err }(),
	} {
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "by ann: its job is gone, and ") {
			t.Errorf("%s: %v", said, err)
		}
	}
	u := a.Audit()
	defer u.Close()
	if adopted, err := u.Adopt(t.Context(), testKey, "it is wanted", nil); !adopted || err != nil {
		t.Fatal(adopted, err)
	}
	if _, err := a.Receipt(testKey); err != nil {
		t.Error(err)
	}
}

// A crash, an I/O error or a power cut at each step of a removal leaves the export whole,
// and then its line is not there, or absent; and the next run finishes what was begun.
func TestARemovalIsWholeOrNotMadeAfterACrash(t *testing.T) {
	if testing.Short() {
		t.Skip("each of its steps is cut")
	}
	for name, tt := range map[string]struct {
		plant  func(*Archive) error
		once   bool // an I/O error, and no crash
		powers []func() bool
	}{
		"landed, crash":     {},
		"landed, I/O error": {once: true},
		"landed, power cut": {powers: []func() bool{powercut.LoseUnsynced, powercut.KeepAtRandom()}},
		"failed, crash":     {plant: plantFailed},
		"failed, power cut": {plant: plantFailed, powers: []func() bool{powercut.LoseUnsynced}},
	} {
		t.Run(name, func(t *testing.T) {
			for at, ended := 1, false; !ended; at++ {
				dir := t.TempDir()
				c := &crash{disk: powercut.New(t, dir)}
				a, err := openWith(dir, c.disk.Step)
				switch {
				case err != nil:
				case tt.plant != nil:
					err = tt.plant(a)
				default:
					_, err = land(a, oneObject)
				}
				if err != nil {
					t.Fatal(err)
				}
				c.at, c.once = at, tt.once
				a, err = openWith(dir, c.step)
				if err == nil {
					r := removalOf
					r.Delete = tt.plant == nil
					err = a.Remove(r)
				}
				if ended = c.seen < at; ended && err != nil {
					t.Fatalf("a removal without a crash: %v", err)
				}
				if len(tt.powers) == 0 {
					checkRemoved(t, fmt.Sprintf("step %d", at), dir, tt.plant == nil, err == nil)
				}
				for i, survives := range tt.powers {
					after := filepath.Join(t.TempDir(), "after")
					c.disk.Cut(after, survives)
					checkRemoved(t, fmt.Sprintf("step %d, cut %d", at, i), after, tt.plant == nil, err == nil)
				}
				if at == 1000 {
					t.Fatal("it does not end")
				}
			}
		})
	}
}

// checkRemoved checks what a removal that was cut short left, and that the next run, which
// is of another export, ends it if the ledger was told.
func checkRemoved(t *testing.T, where, dir string, landed, done bool) {
	t.Helper()
	a := mustOpen(t, dir)
	last, err := a.presence(testKey)
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	told := last != nil && last.Kind == ledger.Removed
	if done && !told {
		t.Errorf("%s: it is said to be removed, and there is no line of it", where)
	}
	if isBag(a.Path(testKey)) {
		if _, err := RecheckBag(t.Context(), a.Path(testKey), nil); err != nil {
			t.Errorf("%s: a part of the export is there: %v", where, err)
		}
	} else if landed && !told {
		t.Errorf("%s: it is gone, and the ledger was not told", where)
	}
	next, err := a.Begin(t.Context(), testRef, testKey+"-other")
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	next.Close()
	switch {
	case told:
		mustBeRemoved(t, a, where)
	case landed:
		if _, err := a.Landed(testKey); err != nil { // clears up what a power cut brought back
			t.Errorf("%s: %v", where, err)
		}
		mustHaveLanded(t, a, oneObject)
	default:
		if phases := phasesOf(t, a); phases[testKey] != Failed {
			t.Errorf("%s: it is %v", where, phases)
		}
	}
}

// An acceptance is of the failure that a person has seen: of another it is refused.
func TestAnAcceptanceIsOfTheFailureThatWasSeen(t *testing.T) {
	a := mustOpen(t, t.TempDir())
	if err := plantFailed(a); err != nil {
		t.Fatal(err)
	}
	seen := Acceptance{Reference: testRef, Key: testKey, Cause: "job-expired", Message: "the job has expired", By: "ann", Reason: "so"}
	other := seen
	other.Message = "it is another"
	before := len(linesOf(t, a))
	if err := a.Accept(other); !errors.Is(err, ErrOtherFailure) || len(linesOf(t, a)) != before {
		t.Errorf("of another failure: %v", err)
	}
	if err := a.Accept(seen); err != nil {
		t.Fatal(err)
	}
	askFor(t, a, testKey)
	if err := a.Accept(seen); !errors.Is(err, ErrOtherFailure) {
		t.Errorf("of one that was asked for again: %v", err)
	}
	if got, want := linesOf(t, a)[before], "accepted "+testKey; got != want {
		t.Errorf("the ledger has %q", got)
	}
}
