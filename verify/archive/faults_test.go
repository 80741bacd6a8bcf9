package archive_test

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"tallyman/fetch"
	"tallyman/verify/archive"
	"tallyman/worker"
)

// A fault fails the n-th of all changes to a disk, and what is read to prove
// something: it alone, or all from it on.
type fault struct {
	at      int
	once    bool
	platter *archive.Platter // what is durable meanwhile, or nil

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
	if f.platter != nil {
		return f.platter.Step(op, path)
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
	stride := 1
	if testing.Short() {
		most = 0
	}
	for at := 1; ; at += stride {
		if at > most {
			stride = 11
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
		y := newYard(t)
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
func (y *yard) checkCause(t *testing.T, f *fault, err error) {
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
func (y *yard) checkNext(t *testing.T, dir string, keep fetch.Keep, landed bool) {
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
		y, gamble := newYard(t), archive.Gamble()
		eachFault(t, every, func(t *testing.T, at int) int {
			dir := t.TempDir()
			f := &fault{at: at, once: once, platter: archive.NewPlatter(t, dir)}
			a, err := archive.OpenWith(dir, f.step)
			if err == nil {
				_, err = y.fetch(a, keep)
			}
			for _, lucky := range []func() bool{archive.NoLuck, gamble} {
				after := filepath.Join(t.TempDir(), "after")
				f.platter.CutPower(after, lucky)
				y.checkAfterPowerCut(t, after, keep, err == nil)
			}
			return f.seen
		})
	})
}

func (y *yard) checkAfterPowerCut(t *testing.T, dir string, keep fetch.Keep, landed bool) {
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
			y := newYard(t)
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
