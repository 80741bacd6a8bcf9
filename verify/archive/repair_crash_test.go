package archive

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"tallyman/verify/archive/internal/powercut"
)

var oneObject = export{"a.csv": rows(100)}

// A crash, or a power cut, at each step of a repair leaves the export as it was told
// before, or whole; the next repair ends it; and the old bag is never lost.
func TestARepairIsWholeOrNotMadeAfterACrash(t *testing.T) {
	if testing.Short() {
		t.Skip("each of its steps is cut")
	}
	for name, tt := range map[string]struct {
		once   bool // an I/O error, and no crash
		powers []func() bool
	}{
		"crash":     {},
		"I/O error": {once: true},
		"power cut": {powers: []func() bool{powercut.LoseUnsynced, powercut.KeepAtRandom()}},
	} {
		t.Run(name, func(t *testing.T) {
			for at, ended := 1, false; !ended; at++ {
				dir := t.TempDir()
				c := &crash{disk: powercut.New(t, dir)}
				a, err := openWith(dir, c.disk.Step)
				if err == nil {
					_, err = land(a, oneObject)
				}
				if err != nil {
					t.Fatal(err)
				}
				rot(t, a)
				c.disk.Step("sync", filepath.Join(a.Path(testKey), dataDir, "a.csv"))
				c.disk.Step("syncdir", filepath.Join(a.Path(testKey), dataDir))
				c.at, c.once = at, tt.once
				from, to := filepath.Dir(a.Path(testKey)), filepath.Join(dir, damagedDir, filepath.Dir(testKey))
				renamed, torn := false, "" // what of the rename is not durable yet
				a, err = openWith(dir, func(op, path string) error {
					err := c.step(op, path)
					renamed = renamed || op == "rename" && filepath.Dir(path) == to
					if c.seen == at && renamed && op == "syncdir" && filepath.Dir(path) != dir {
						torn = path
					}
					renamed = renamed && path != from
					return err
				})
				if err == nil {
					_, err = repair(a, oneObject)
				}
				if ended = c.seen < at; ended && err != nil {
					t.Fatalf("a repair without a crash: %v", err)
				}
				if len(tt.powers) == 0 {
					checkRepaired(t, fmt.Sprintf("step %d", at), dir, err == nil)
				}
				for i, survives := range tt.powers {
					if i == 1 && torn == to || torn == from {
						continue // a Disk gives both names or none, and a file system one of them
					}
					after := filepath.Join(t.TempDir(), "after")
					c.disk.Cut(after, survives)
					checkRepaired(t, fmt.Sprintf("step %d, cut %d", at, i), after, err == nil)
				}
				if at == 1000 {
					t.Fatal("it does not end")
				}
			}
		})
	}
}

// checkRepaired checks what a repair that was cut short left, and that the next one ends.
func checkRepaired(t *testing.T, where, dir string, repaired bool) {
	t.Helper()
	a := mustOpen(t, dir)
	receipt, err := a.Landed(testKey)
	switch {
	case errors.Is(err, ErrDamaged) && !repaired:
	case err != nil:
		t.Fatalf("%s: repaired: %v, %v", where, repaired, err)
	}
	u := a.Audit()
	whole := u.Recheck(t.Context(), testKey, nil)
	u.Close()
	if receipt != nil && whole != nil || whole != nil && !errors.Is(whole, ErrDamaged) {
		t.Errorf("%s: it is said to have landed: %v", where, whole)
	}
	if _, err := repair(a, oneObject); err != nil {
		t.Fatalf("%s: the next repair: %v", where, err)
	}
	if _, err := a.Landed(testKey); err != nil { // clears up behind the first attempt
		t.Errorf("%s: %v", where, err)
	}
	mustHaveLanded(t, a, oneObject)
	kept := aside(t, a)
	if len(kept) != 1 {
		t.Fatalf("%s: %q are aside", where, kept)
	}
	if _, err := RecheckBag(t.Context(), kept[0], nil); !errors.Is(err, ErrDamaged) || !strings.HasSuffix(err.Error(), ": data/a.csv has other bytes than when it landed") {
		t.Errorf("%s: aside is not what was damaged: %v", where, err)
	}
	for _, err := range a.ledger.All() {
		if err != nil {
			t.Errorf("%s: %v", where, err)
		}
	}
	next, err := a.Begin(t.Context(), testRef, testKey+"-next") // clears up behind processes that have ended
	if err != nil {
		t.Fatalf("%s: %v", where, err)
	}
	next.Close()
	if left, _ := filepath.Glob(filepath.Join(dir, ingestDir, "*")); len(left) > 0 {
		t.Errorf("%s: %q are left", where, left)
	}
}
