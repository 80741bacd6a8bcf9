package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"tallyman/verify/archive/internal/powercut"
)

var errCrash = errors.New("crash")

// A crash fails the n-th change to a disk, and all later ones unless once is set.
type crash struct {
	at   int
	once bool
	disk *powercut.Disk
	mu   sync.Mutex
	seen int
}

func (c *crash) step(op, path string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen++
	if c.seen == c.at || c.seen > c.at && !c.once {
		return fmt.Errorf("%s %s: %w", op, path, errCrash)
	}
	return c.disk.Step(op, path)
}

// atEachStep runs attempts at an export that crash at their first change to the
// disk, at the second, and so on, until one ends without a crash. A short run, which
// has the race detector, has a fifth of them.
func atEachStep(t *testing.T, once bool, then func(t *testing.T, dir string, p *powercut.Disk, landed bool)) {
	every := 1
	if testing.Short() {
		every = 5
	}
	for at, ended := 1, false; !ended; at += every {
		dir := t.TempDir()
		c := &crash{at: at, once: once, disk: powercut.New(t, dir)}
		a, err := openWith(dir, c.step)
		if err == nil {
			_, err = land(a, threeObjects())
		}
		ended = c.seen < at
		if ended && err != nil {
			t.Fatalf("an attempt without a crash: %v", err)
		}
		if !t.Run(fmt.Sprint(at), func(t *testing.T) { then(t, dir, c.disk, err == nil) }) || at > 1000 {
			t.Fatalf("a crash at step %d: %v", at, err)
		}
	}
}

// checkWholeOrAbsent checks that a crash left the export whole or absent, and that
// the next attempt lands it. It reports which.
func checkWholeOrAbsent(t *testing.T, dir string, step func(op, path string) error) (landed bool) {
	t.Helper()
	a, err := openWith(dir, step)
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.Receipt(testKey)
	landed = err == nil
	switch {
	case landed:
		if err := a.Recheck(t.Context(), testKey, nil); err != nil {
			t.Errorf("a part of the export is there: %v", err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		t.Error(err)
	case len(keys(t, a)) > 0:
		t.Errorf("%q are visible", keys(t, a))
	}
	if _, err := land(a, threeObjects()); err != nil {
		t.Fatalf("the next attempt: %v", err)
	}
	mustHaveLanded(t, a, threeObjects())
	return landed
}

func TestAnExportIsWholeOrAbsentAfterACrash(t *testing.T) {
	atEachStep(t, false, func(t *testing.T, dir string, _ *powercut.Disk, landed bool) {
		if there := checkWholeOrAbsent(t, dir, nil); landed && !there {
			t.Error("it had landed")
		}
	})
}

func TestAnExportIsWholeOrAbsentAfterAnIOError(t *testing.T) {
	atEachStep(t, true, func(t *testing.T, dir string, _ *powercut.Disk, landed bool) {
		if there := checkWholeOrAbsent(t, dir, nil); landed && !there {
			t.Error("it had landed")
		}
	})
}

func TestAnExportIsWholeOrAbsentAfterAPowerCut(t *testing.T) {
	for _, survives := range []func() bool{powercut.LoseUnsynced, powercut.KeepAtRandom()} {
		for _, once := range []bool{false, true} {
			atEachStep(t, once, func(t *testing.T, _ string, p *powercut.Disk, landed bool) {
				after := filepath.Join(t.TempDir(), "after")
				p.Cut(after, survives)
				if there := checkWholeOrAbsent(t, after, nil); landed && !there {
					t.Error("it had landed")
				}
			})
		}
	}
}

// The power may be cut long after a crash, when another attempt has already found
// what the crash left.
func TestALandedExportOutlivesACrashAndALaterPowerCut(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine, a thousand times")
	}
	for _, once := range []bool{false, true} {
		atEachStep(t, once, func(t *testing.T, dir string, p *powercut.Disk, _ bool) {
			checkWholeOrAbsent(t, dir, p.Step)
			mustHaveSurvived(t, p)
		})
	}
}

// After a crash the rename may not be durable. A method that says that the export
// landed must have made it durable first.
func TestAnExportThatIsSaidToHaveLandedIsDurable(t *testing.T) {
	for name, ask := range map[string]func(*Archive) error{
		"Landed": func(a *Archive) error { _, err := a.Landed(testKey); return err },
		"Landed, while another attempt has the lock": func(a *Archive) error {
			lock, err := a.lockFile(filepath.Join(a.dir, ingestDir, testHash, lockFile))
			if err != nil {
				return err
			}
			defer lock.Close()
			_, err = a.Landed(testKey)
			return err
		},
		"Begin": func(a *Archive) error {
			if _, err := a.Begin(context.Background(), testRef, testKey); !errors.Is(err, ErrLanded) {
				return fmt.Errorf("not ErrLanded: %w", err)
			}
			return nil
		},
	} {
		dir := t.TempDir()
		p := powercut.New(t, dir)
		renamed := false
		a, err := openWith(dir, func(op, path string) error {
			if renamed {
				return errCrash
			}
			renamed = path == filepath.Join(dir, testKey)
			return p.Step(op, path)
		})
		if err == nil {
			_, err = land(a, threeObjects())
		}
		if !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
		a, _ = openWith(dir, p.Step)
		if err := ask(a); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		mustHaveSurvived(t, p)
	}
}

// mustHaveSurvived checks that the export is there after a power cut that keeps
// only what was synced.
func mustHaveSurvived(t *testing.T, p *powercut.Disk) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "after")
	p.Cut(dir, powercut.LoseUnsynced)
	a := mustOpen(t, dir)
	if _, err := a.Landed(testKey); err != nil {
		t.Fatal(err)
	}
	mustHaveLanded(t, a, threeObjects())
}

func TestTheIngestAreaIsNeverListed(t *testing.T) {
	a := mustOpen(t, t.TempDir())
	in := mustBegin(t, a)
	defer in.Close()
	if err := receive(in, "a.csv", rows(100)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(in.path("bag", bagDeclaration), []byte(declaration), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := keys(t, a); len(got) > 0 {
		t.Errorf("%q are visible", got)
	}
}
