package archive_test

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"tallyman/fetch"
	"tallyman/verify"
	"tallyman/verify/archive"
	"tallyman/worker"
)

// It costs the store nothing that the disk is full.
func TestWithoutRoomNothingIsAskedFor(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	a, err := archive.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	a.SetSpace(1<<40, 3000+64<<20, verify.Unknown, 255) // all but a.csv, which is here twice for a while
	_, err = y.fetch(a, "")
	if got := worker.Classify(err); got.Cause != "disk-full" || got.Exit != worker.ExitDisk || !strings.Contains(err.Error(), "a.csv") {
		t.Errorf("%s, exit %d: %v", got.Cause, got.Exit, err)
	}
	if asked := y.asked.Load(); asked > y.total-int64(len(y.bodies["a.csv"])) {
		t.Errorf("%d bytes were asked for", asked)
	}
	a.SetSpace(1<<40, 1<<30, verify.Unknown, 255)
	if _, err := y.fetch(a, ""); err != nil {
		t.Fatal(err)
	}
	y.checkWhole(t, a, "")
}

// What a zip unpacks to, its directory tells.
func TestWithoutRoomNothingIsUnpacked(t *testing.T) {
	t.Parallel()
	y, content := newYard(t), strings.Repeat("0,0\n", 1<<20)
	y.bodies = map[string][]byte{"z.zip": zipOf(t, map[string]string{"z.csv": content})}
	a, err := archive.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	a.SetSpace(1<<40, 65<<20, verify.Unknown, 255)
	if _, err = y.fetch(a, ""); worker.Classify(err).Cause != "disk-full" || !strings.Contains(err.Error(), "needs 4096 KiB") {
		t.Errorf("%v", err)
	}
	a.SetSpace(1<<40, 1<<30, verify.Unknown, 255)
	before := y.asked.Load()
	if _, err := y.fetch(a, ""); err != nil || y.asked.Load() > before {
		t.Errorf("%v, after %d bytes more", err, y.asked.Load()-before)
	}
}

// After an fsync that failed, what was to be synced may be gone although it can
// be read; a second fsync would not tell.
func TestWhatFailedToBecomeDurableIsReceivedAgain(t *testing.T) {
	t.Parallel()
	y, failed := newYard(t), ""
	dir := t.TempDir()
	a, err := archive.OpenWith(dir, func(op, path string) error {
		if op == "sync" && filepath.Ext(path) == ".wire" && failed == "" {
			failed = path
			return &fs.PathError{Op: op, Path: path, Err: syscall.EIO}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := y.fetch(a, fetch.KeepBoth); !errors.Is(err, syscall.EIO) || failed == "" {
		t.Fatalf("%v, and %q failed", err, failed)
	}
	key := y.key(t)
	for _, name := range []string{"b.csv.zst", "c.zip"} {
		if strings.Contains(failed, archive.HashName(name)) {
			if kept := a.Received(key); kept > y.total-int64(len(y.bodies[name])) {
				t.Errorf("%d bytes of %d are said to be here", kept, y.total)
			}
		}
	}
	y.checkNext(t, dir, fetch.KeepBoth, false)
}

// What can't have its name in the bag is refused before it is asked for.
func TestNamesTooLongForTheDiskAreRefusedBeforeTheTransfer(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		object  string
		longest int
		path    int // bytes of the archive's own
		lands   bool
	}{
		"long elements are cut":             {strings.Repeat("e", 1000) + ".csv", 255, 0, true},
		"but not to what eCryptfs takes":    {strings.Repeat("e", 1000) + ".csv", 143, 0, false},
		"which takes what is short":         {strings.Repeat("e", 100) + ".csv", 143, 0, true},
		"many elements":                     {strings.Repeat("d/", 1100) + "e.csv", 255, 0, false},
		"many elements, but not that many":  {strings.Repeat("d/", 1000) + "e.csv", 255, 0, true},
		"a path that is too long as it is":  {"e.csv", 255, 4020, false},
		"a path that has just room for all": {"e.csv", 255, 3800, true},
	} {
		t.Run(name, func(t *testing.T) {
			y := newYard(t)
			y.bodies = map[string][]byte{"first.csv": lines(10), tt.object: lines(100)}
			dir := t.TempDir()
			a, err := archive.Open(filepath.Join(dir, strings.Repeat("deep/", max(0, tt.path-len(dir))/5)))
			if err != nil {
				t.Fatal(err)
			}
			a.SetSpace(1<<40, 1<<30, verify.Unknown, tt.longest)
			_, err = y.fetch(a, "")
			if tt.lands {
				if key := y.key(t); err != nil || a.Recheck(context.Background(), key) != nil {
					t.Errorf("%v", err)
				}
				return
			}
			if got := worker.Classify(err); got.Cause != "unsafe-name" || y.asked.Load() > 10 {
				t.Errorf("%s after %d bytes: %v", got.Cause, y.asked.Load(), err)
			}
		})
	}
}

func TestKeysTooLongForTheDiskAreRefused(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	a, err := archive.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	a.SetSpace(1<<40, 1<<30, verify.Unknown, 143)
	ref, err := fetch.ParseRef("oss://yard/" + strings.Repeat("long/", 100))
	if err != nil {
		t.Fatal(err)
	}
	_, err = y.fetcher(a, "").Fetch(t.Context(), ref)
	if got := worker.Classify(err); got.Cause != "unsafe-name" || y.asked.Load() > 0 {
		t.Errorf("%s: %v", got.Cause, err)
	}
}
