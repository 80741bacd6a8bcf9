package ledger

import (
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gofrs/flock"
)

// hold locks the last file as another process would that is frozen.
func hold(t testing.TB, l *Ledger) (release func()) {
	t.Helper()
	found, err := l.list()
	if err != nil || len(found.months) == 0 {
		t.Fatal("no file", err)
	}
	lock := flock.New(l.path(found.months[len(found.months)-1]))
	if ok, err := lock.TryLock(); !ok || err != nil {
		t.Fatal("not locked", err)
	}
	return func() { lock.Close() }
}

func TestAFrozenHolderStopsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger(t)
		mustAppend(t, l, landed(0))
		release := hold(t, l)
		begin := time.Now()
		mustAppend(t, l, landed(1), landed(2))
		if waited := time.Since(begin); waited < 5*time.Second || waited > 6*time.Second {
			t.Errorf("waited %v", waited)
		}
		begin = time.Now()
		mustAppend(t, l, landed(3))
		if waited := time.Since(begin); waited > 0 {
			t.Errorf("waited again: %v", waited)
		}
		mustHaveOnce(t, l, 4)
		release()
		mustAppend(t, l, landed(4))
		mustHaveOnce(t, l, 5)
		if found, err := l.list(); err != nil || len(found.sides) > 0 {
			t.Errorf("%v, %v", found, err)
		}
		for _, line := range mustRead(t, l) {
			if line.Seq == 0 {
				t.Errorf("not taken in: %+v", line)
			}
		}
	})
}

// A crash between the sync and the removal, or a power cut that undoes the removal,
// leaves a side file whose lines are in the ledger, all of them or a part.
func TestASideFileIsTakenInOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger(t)
		mustAppend(t, l, landed(0))
		release := hold(t, l)
		mustAppend(t, l, landed(1), landed(2), landed(3))
		release()
		found, _ := l.list()
		name := l.path(sidePath(found.sides[0]))
		side, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		mustAppend(t, l, landed(4))
		whole := mustBytes(t, l)
		for _, cut := range []int{0, 1, len(whole) / 3, len(whole) / 2, len(whole) - 1} { // bytes that a power cut took
			if err := errors.Join(os.WriteFile(name, side, 0o644), os.WriteFile(l.path("2000-01.jsonl"), whole[:len(whole)-cut], 0o644)); err != nil {
				t.Fatal(err)
			}
			seen := map[string]int{}
			for _, when := range []string{"before", "after"} {
				clear(seen)
				for _, line := range mustRead(t, l) {
					seen[line.Key]++
				}
				for n := 1; n < 4; n++ {
					if seen[landed(n).Key] != 1 {
						t.Errorf("%d bytes cut: %s is there %d times %s the next append", cut, landed(n).Key, seen[landed(n).Key], when)
					}
				}
				mustAppend(t, l, landed(9))
			}
			if found, _ := l.list(); len(found.sides) > 0 {
				t.Errorf("%v", found)
			}
		}
	})
}
