package archive_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"tallyman/fetch"
	"tallyman/verify"
	"tallyman/verify/archive"
	"tallyman/worker"
)

// A fault fails the n-th of all changes to a disk, and what is read to prove
// something: it alone, or all from it on.
type fault struct {
	at   int
	once bool
	disk *archive.PowerCutDisk // what is durable meanwhile, or nil

	mu    sync.Mutex
	seen  int
	first fs.PathError // that failed
}

func (f *fault) step(op, path string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen++
	if f.seen == f.at || f.seen > f.at && !f.once {
		err := fs.PathError{Op: op, Path: path, Err: errnoOf(op)}
		if f.first.Err == nil {
			f.first = err
		}
		return &err
	}
	if f.disk != nil {
		return f.disk.Step(op, path)
	}
	return nil
}

// errnoOf is what a disk would say: it is bad, or it is full.
func errnoOf(op string) error {
	if op == "read" || op == "sync" || op == "syncdir" || op == "lock" {
		return syscall.EIO
	}
	return syscall.ENOSPC
}

var causes = map[error]worker.Cause{syscall.EIO: "disk", syscall.ENOSPC: "disk-full"}

// eachFault makes a run whose first step fails, one whose second does, and so
// on, until one has no failure. Behind the step most it leaves most out, and
// with -short behind the first.
func eachFault(t *testing.T, most int, run func(t *testing.T, at int) (seen int)) {
	defaultIndexEvery := 1
	if testing.Short() {
		most = 0
	}
	for at := 1; ; at += defaultIndexEvery {
		if at > most {
			defaultIndexEvery = 11
		}
		if seen := run(t, at); seen < at {
			t.Logf("%d steps", seen)
			return
		}
		if t.Failed() || at > every {
			t.Fatalf("a failure at step %d", at)
		}
	}
}

// every step there may be.
const every = 2000

func kinds(t *testing.T, onces []bool, run func(t *testing.T, keep fetch.Keep, once bool)) {
	for _, keep := range []fetch.Keep{fetch.KeepContent, fetch.KeepBoth} {
		for _, once := range onces {
			t.Run(fmt.Sprintf("%s, once %v", keep, once), func(t *testing.T) {
				t.Parallel()
				run(t, keep, once)
			})
		}
	}
}

// Whatever step of a fetch fails, the export is whole or absent, the error says
// that the disk did it, and the next fetch asks for nothing that was kept.
func TestAFetchIsWholeOrAbsentWhicheverStepFails(t *testing.T) {
	t.Parallel()
	kinds(t, []bool{false, true}, func(t *testing.T, keep fetch.Keep, once bool) {
		y := newTestStore(t)
		eachFault(t, every, func(t *testing.T, at int) int {
			dir, f := t.TempDir(), &fault{at: at, once: once}
			a, err := archive.OpenWith(dir, f.step)
			if err == nil {
				_, err = y.fetch(a, keep)
			}
			y.checkCause(t, f, err)
			y.checkNext(t, dir, keep, err == nil)
			return f.seen
		})
	})
}

// checkCause holds the error of a fetch to what failed.
func (y *testStore) checkCause(t *testing.T, f *fault, err error) {
	t.Helper()
	if err == nil {
		return
	}
	want, got := causes[f.first.Err], worker.Classify(err)
	if got.Cause != want && (f.once || got.Exit != worker.ExitDisk) || got.Exit != worker.ExitDisk {
		t.Errorf("%v failed: %s, exit %d: %v", &f.first, got.Cause, got.Exit, err)
	}
}

// checkNext lets another fetch, whose disk is sound, have a look.
func (y *testStore) checkNext(t *testing.T, dir string, keep fetch.Keep, landed bool) {
	t.Helper()
	a, err := archive.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	there := y.checkWholeOrAbsent(t, a, keep)
	if landed && !there {
		t.Error("it had landed")
	}
	key := y.key(t)
	kept, before := a.Received(key), y.asked.Load()
	if there {
		kept = y.total
	}
	if _, err := y.fetch(a, keep); err != nil {
		t.Fatalf("the next fetch: %v", err)
	}
	if asked := y.asked.Load() - before; asked > y.total-kept {
		t.Errorf("%d bytes of %d were kept, and %d were asked for", kept, y.total, asked)
	}
	y.checkWhole(t, a, keep)
}

// The same where the power fails then: what was not made durable may be gone.
func TestAFetchIsWholeOrAbsentAfterAPowerCut(t *testing.T) {
	t.Parallel()
	kinds(t, []bool{false}, func(t *testing.T, keep fetch.Keep, once bool) {
		y, keepAtRandom := newTestStore(t), archive.KeepAtRandom()
		eachFault(t, every, func(t *testing.T, at int) int {
			dir := t.TempDir()
			f := &fault{at: at, once: once, disk: archive.NewPowerCutDisk(t, dir)}
			a, err := archive.OpenWith(dir, f.step)
			if err == nil {
				_, err = y.fetch(a, keep)
			}
			for _, survives := range []func() bool{archive.LoseUnsynced, keepAtRandom} {
				after := filepath.Join(t.TempDir(), "after")
				f.disk.CutPower(after, survives)
				y.checkAfterPowerCut(t, after, keep, err == nil)
			}
			return f.seen
		})
	})
}

func (y *testStore) checkAfterPowerCut(t *testing.T, dir string, keep fetch.Keep, landed bool) {
	t.Helper()
	a, err := archive.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if there := y.checkWholeOrAbsent(t, a, keep); landed && !there {
		t.Error("it had landed")
	}
	if _, err := y.fetch(a, keep); err != nil {
		t.Fatalf("the next fetch: %v", err)
	}
	y.checkWhole(t, a, keep)
}

// The same through a worker, which keeps a docket of the export: that comes
// first.
func TestAWorkersFetchIsWholeOrAbsentWhicheverStepFails(t *testing.T) {
	t.Parallel()
	worker.SetRedisLogger(nil)
	for _, once := range []bool{false, true} {
		t.Run(fmt.Sprintf("once %v", once), func(t *testing.T) {
			t.Parallel()
			y := newTestStore(t)
			eachFault(t, 20, func(t *testing.T, at int) int {
				dir, f := t.TempDir(), &fault{at: at, once: once}
				a, err := archive.OpenWith(dir, f.step)
				if err == nil {
					err = y.work(a)
				}
				y.checkCause(t, f, err)
				y.checkNext(t, dir, "", err == nil)
				return f.seen
			})
		})
	}
}

// It costs the store nothing that the disk is full.
func TestWithoutDiskSpaceNothingIsRequested(t *testing.T) {
	t.Parallel()
	y := newTestStore(t)
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
func TestWithoutDiskSpaceNothingIsUnpacked(t *testing.T) {
	t.Parallel()
	y, content := newTestStore(t), strings.Repeat("0,0\n", 1<<20)
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
	y, failed := newTestStore(t), ""
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
			y := newTestStore(t)
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
	y := newTestStore(t)
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
