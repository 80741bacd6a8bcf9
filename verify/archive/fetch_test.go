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
	"tallyman/verify/archive/internal/powercut"
	"tallyman/worker"
)

// A fault fails the n-th step of a disk, and all later ones unless once is set. A
// step is a change, or a read that proves something.
type fault struct {
	at   int
	once bool
	disk *powercut.Disk // that the other steps are told to, or nil

	mu    sync.Mutex
	seen  int
	first fs.PathError // the first failure
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

// errnoOf is the error of a bad disk, or of a full one if the step needs space.
func errnoOf(op string) error {
	if op == "read" || op == "sync" || op == "syncdir" || op == "lock" {
		return syscall.EIO
	}
	return syscall.ENOSPC
}

var causes = map[error]worker.Cause{syscall.EIO: "disk", syscall.ENOSPC: "disk-full"}

// eachFault calls run with a failure at the first step, at the second, and so on,
// until a run has fewer steps. After dense steps, or one with -short, it tries every
// eleventh only.
func eachFault(t *testing.T, dense int, run func(t *testing.T, at int) (seen int)) {
	defaultIndexEvery := 1
	if testing.Short() {
		dense = 0
	}
	for at := 1; ; at += defaultIndexEvery {
		if at > dense {
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

// every is more steps than a run has.
const every = 2000

// kinds runs a test for each kind of fetch and of fault.
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

// If any step of a fetch fails, the export is whole or absent, the error has the
// cause "disk" or "disk-full", and the next fetch requests nothing that was kept.
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

// checkCause checks that the error of a fetch has the cause of the step that failed.
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

// checkNext checks what a fetch with a sound disk finds and requests.
func (y *testStore) checkNext(t *testing.T, dir string, keep fetch.Keep, landed bool) {
	t.Helper()
	a, err := archive.Open(dir, "", archive.SiteEmpty)
	if err != nil {
		t.Fatal(err)
	}
	there := y.checkWholeOrAbsent(t, a, keep)
	if landed && !there {
		t.Error("it had landed")
	}
	key := y.key(t)
	kept, _ := a.Received(key)
	before := y.asked.Load()
	if there {
		kept = y.total
	}
	if _, err := y.fetch(a, keep); err != nil {
		t.Fatalf("the next fetch: %v", err)
	}
	if asked := y.asked.Load() - before; asked > y.total-kept {
		t.Errorf("%d bytes of %d were kept, and %d were requested", kept, y.total, asked)
	}
	y.checkWhole(t, a, keep)
}

// The same if the power fails at that step: bytes that were not made durable may
// be gone.
func TestAFetchIsWholeOrAbsentAfterAPowerCut(t *testing.T) {
	t.Parallel()
	kinds(t, []bool{false}, func(t *testing.T, keep fetch.Keep, once bool) {
		y, keepAtRandom := newTestStore(t), powercut.KeepAtRandom()
		eachFault(t, every, func(t *testing.T, at int) int {
			dir := t.TempDir()
			f := &fault{at: at, once: once, disk: powercut.New(t, dir)}
			a, err := archive.OpenWith(dir, f.step)
			if err == nil {
				_, err = y.fetch(a, keep)
			}
			for _, survives := range []func() bool{powercut.LoseUnsynced, keepAtRandom} {
				after := filepath.Join(t.TempDir(), "after")
				f.disk.Cut(after, survives)
				y.checkAfterPowerCut(t, after, keep, err == nil)
			}
			return f.seen
		})
	})
}

func (y *testStore) checkAfterPowerCut(t *testing.T, dir string, keep fetch.Keep, landed bool) {
	t.Helper()
	a, err := archive.Open(dir, "", archive.SiteEmpty)
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

// The same through a worker, which opens the export's record first.
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

// With a full disk, no request goes to the store.
func TestWithoutDiskSpaceNothingIsRequested(t *testing.T) {
	t.Parallel()
	y := newTestStore(t)
	a, err := archive.Open(t.TempDir(), "", archive.SiteEmpty)
	if err != nil {
		t.Fatal(err)
	}
	a.SetSpace(1<<40, 3000+64<<20, verify.Unknown, 255) // enough for all but a.csv, which needs space for its bytes and for its content
	_, err = y.fetch(a, "")
	if got := worker.Classify(err); got.Cause != "disk-full" || got.Exit != worker.ExitDisk || !strings.Contains(err.Error(), "a.csv") {
		t.Errorf("%s, exit %d: %v", got.Cause, got.Exit, err)
	}
	if asked := y.asked.Load(); asked > y.total-int64(len(y.bodies["a.csv"])) {
		t.Errorf("%d bytes were requested", asked)
	}
	a.SetSpace(1<<40, 1<<30, verify.Unknown, 255)
	if _, err := y.fetch(a, ""); err != nil {
		t.Fatal(err)
	}
	y.checkWhole(t, a, "")
}

// The directory of a zip says how much it unpacks to.
func TestWithoutDiskSpaceNothingIsUnpacked(t *testing.T) {
	t.Parallel()
	y, content := newTestStore(t), strings.Repeat("0,0\n", 1<<20)
	y.bodies = map[string][]byte{"z.zip": zipOf(t, map[string]string{"z.csv": content})}
	a, err := archive.Open(t.TempDir(), "", archive.SiteEmpty)
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

// After a failed fsync the bytes may be lost although they can be read, and a second
// fsync would not say so.
func TestBytesThatFailedToSyncAreReceivedAgain(t *testing.T) {
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
			if kept, _ := a.Received(key); kept > y.total-int64(len(y.bodies[name])) {
				t.Errorf("Received is %d of %d bytes", kept, y.total)
			}
		}
	}
	y.checkNext(t, dir, fetch.KeepBoth, false)
}

// An object whose name is too long is refused before it is requested.
func TestNamesTooLongForTheDiskAreRefusedBeforeTheTransfer(t *testing.T) {
	if testing.Short() {
		t.Skip("it writes long paths")
	}
	t.Parallel()
	for name, tt := range map[string]struct {
		object  string
		longest int // bytes of an element that the file system takes
		path    int // bytes of the archive's own path
		lands   int // of the two objects; the other one is left out
	}{
		"long elements are cut":                    {strings.Repeat("e", 1000) + ".csv", 255, 0, 2},
		"eCryptfs takes less than they are cut to": {strings.Repeat("e", 1000) + ".csv", 143, 0, 1},
		"eCryptfs takes short elements":            {strings.Repeat("e", 100) + ".csv", 143, 0, 2},
		"many elements":                            {strings.Repeat("d/", 1100) + "e.csv", 255, 0, 1},
		"many elements, but not that many":         {strings.Repeat("d/", 1000) + "e.csv", 255, 0, 2},
		"a path that is too long with data/ in it": {"e.csv", 255, 4020, 0},
		"a path that is short enough":              {"e.csv", 255, 3800, 2},
	} {
		t.Run(name, func(t *testing.T) {
			y := newTestStore(t)
			y.bodies = map[string][]byte{"first.csv": lines(10), tt.object: lines(100)}
			dir := t.TempDir()
			a, err := archive.Open(filepath.Join(dir, strings.Repeat("deep/", max(0, tt.path-len(dir))/5)), "", archive.SiteRemote)
			if err != nil {
				t.Fatal(err)
			}
			a.SetSpace(1<<40, 1<<30, verify.Unknown, tt.longest)
			receipt, err := y.fetch(a, "")
			if tt.lands > 0 {
				if key := y.key(t); err != nil || a.Recheck(context.Background(), key, nil) != nil || len(receipt.Objects) != tt.lands || len(receipt.Doubts) != 2-tt.lands {
					t.Errorf("%+v: %v", receipt, err)
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
	a, err := archive.Open(t.TempDir(), "", archive.SiteEmpty)
	if err != nil {
		t.Fatal(err)
	}
	a.SetSpace(1<<40, 1<<30, verify.Unknown, 143)
	ref, err := fetch.ParseRef("oss://bucket/" + strings.Repeat("long/", 100))
	if err != nil {
		t.Fatal(err)
	}
	_, err = y.fetcher(a, "").Fetch(t.Context(), ref)
	if got := worker.Classify(err); got.Cause != "unsafe-name" || y.asked.Load() > 0 {
		t.Errorf("%s: %v", got.Cause, err)
	}
}
