package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"tallyman/verify/archive/internal/durable"
)

func TestOneAttemptAtATime(t *testing.T) {
	a := mustOpen(t, t.TempDir())
	in := mustBegin(t, a)
	for range 2 {
		if _, err := a.Begin(context.Background(), testRef, testKey); !errors.Is(err, ErrBusy) {
			t.Errorf("a second one: %v", err)
		}
	}
	if _, err := mustOpen(t, a.dir).Begin(context.Background(), testRef, testKey); !errors.Is(err, ErrBusy) {
		t.Errorf("through another Archive: %v", err)
	}
	other, err := a.Begin(context.Background(), testRef+"4", testKey+"4")
	if err != nil {
		t.Fatalf("at another export: %v", err)
	}
	other.Close()
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	mustBegin(t, a).Close()
}

func TestOneAttemptAtATimeAcrossProcesses(t *testing.T) {
	a := mustOpen(t, t.TempDir())
	report := func(want string) {
		t.Helper()
		if got, err := inAnotherProcess(a.dir); err != nil || !strings.HasPrefix(got, a.ID()+" "+want) {
			t.Errorf("another process: %q, %v, want %s", got, err, want)
		}
	}
	in := mustBegin(t, a)
	report("busy")
	in.Close()
	report("begun")
	mustBegin(t, a).Close()
	if _, err := land(a, threeObjects()); err != nil {
		t.Fatal(err)
	}
	report("landed")
	mustHaveLanded(t, a, threeObjects())
}

// The attempt that commits removes the lock's file while others have it open and
// wait for the lock.
func TestOfManyAttemptsOneCommits(t *testing.T) {
	const attempts = 8
	for range 10 {
		a := mustOpen(t, t.TempDir())
		var commits, landed atomic.Int32
		var all sync.WaitGroup
		for range attempts {
			all.Go(func() {
				if attempt(t, a) {
					commits.Add(1)
				} else {
					landed.Add(1)
				}
			})
		}
		all.Wait()
		if commits.Load() != 1 || landed.Load() != attempts-1 {
			t.Fatalf("%d of %d attempts committed, %d found it landed", commits.Load(), attempts, landed.Load())
		}
		mustHaveLanded(t, a, threeObjects())
	}
}

// attempt tries until the export has landed, and reports whether it committed the
// export itself.
func attempt(t *testing.T, a *Archive) bool {
	e := threeObjects()
	for {
		in, err := a.Begin(context.Background(), testRef, testKey)
		if errors.Is(err, ErrBusy) {
			continue
		}
		if err != nil {
			if !errors.Is(err, ErrLanded) {
				t.Error(err)
			}
			return false
		}
		for name, body := range e {
			err = errors.Join(err, receive(in, name, body))
		}
		_, commit := in.Commit(Summary{Reference: testRef})
		if err := errors.Join(err, commit, in.Close()); err != nil {
			t.Error(err)
		}
		return true
	}
}

func TestALockWhoseFileIsRemovedIsStillExclusive(t *testing.T) {
	a := mustOpen(t, t.TempDir())
	dir := filepath.Join(a.dir, ingestDir, testHash)
	var holders atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for n := 0; n < 20; {
				lock, err := a.lockFile(filepath.Join(dir, lockFile))
				if errors.Is(err, ErrBusy) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if holders.Add(1) != 1 {
					t.Error("two have the lock")
				}
				n++
				time.Sleep(50 * time.Microsecond)
				holders.Add(-1)
				os.Remove(filepath.Join(dir, lockFile)) // from here on another may have the lock
				os.Remove(dir)
				lock.Close()
			}
		})
	}
	all.Wait()
}

func TestALockOnARemovedFileDoesNotCount(t *testing.T) {
	a := mustOpen(t, t.TempDir())
	in := mustPersist(t, a)
	defer in.Close()
	for range 2 { // the second time another file is there
		if err := os.Remove(in.path(lockFile)); err != nil {
			t.Fatal(err)
		}
		lock, err := a.lockFile(in.path(lockFile))
		if err != nil {
			t.Fatalf("its file is gone: %v", err)
		}
		if _, err := a.lockFile(in.path(lockFile)); !errors.Is(err, ErrBusy) {
			t.Errorf("another has it: %v", err)
		}
		lock.Close()
	}
}

func TestObjectsAreReceivedManyAtOnce(t *testing.T) {
	a := mustOpen(t, t.TempDir())
	in := mustBegin(t, a)
	defer in.Close()
	e := export{}
	for i := range 20 {
		e[fmt.Sprintf("logs/%02d.csv", i)] = rows(50 * i)
	}
	var all sync.WaitGroup
	for name, body := range e {
		all.Go(func() {
			if in.Done(name, promise(body)) {
				t.Errorf("%s is done", name)
			}
			if err := receive(in, name, body); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if _, err := in.Commit(Summary{Reference: testRef}); err != nil {
		t.Fatal(err)
	}
	mustHaveLanded(t, a, e)
}

func TestAKeyIsAPathInTheArchive(t *testing.T) {
	a := mustOpen(t, filepath.Join(t.TempDir(), "archive"))
	for _, key := range []string{"", ".", "..", "../x", "/etc/x", "sls/../../x", "sls//x", "sls/x/"} {
		if _, err := a.Begin(context.Background(), testRef, key); !errors.Is(err, errKey) {
			t.Errorf("begin %q: %v, want %v", key, err, errKey)
		}
	}
}

// A file system that has no locks or no hard links is not taken for a bad disk.
func TestTheErrorSaysWhatTheFileSystemLacks(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.ENOLCK, syscall.EOPNOTSUPP, syscall.ENOSYS} {
		err := lockError("/a/lock", fmt.Errorf("flock: %w", errno))
		if _, onPath := errors.AsType[*fs.PathError](err); !onPath || !errors.Is(err, errno) ||
			!strings.Contains(err.Error(), "/a/lock") || !strings.Contains(err.Error(), "that can lock files") {
			t.Errorf("%v", err)
		}
		linked := durable.Step(func(op, to string) error {
			return &os.LinkError{Op: op, Old: "/a", New: to, Err: errno}
		}).Link("/a", "/b")
		if needs := strings.Contains(linked.Error(), "that has hard links"); needs != (errno != syscall.ENOLCK) {
			t.Errorf("%v", linked)
		}
	}
	if err := lockError("/a/lock", syscall.EIO); strings.Contains(err.Error(), "needs") || !errors.Is(err, syscall.EIO) {
		t.Errorf("%v", err)
	}
	in := &fs.PathError{Op: "open", Path: "/a/lock", Err: syscall.EROFS}
	if err := lockError("/a/lock", in); !errors.Is(err, in) {
		t.Errorf("%v", err)
	}
}

// A file that can't be opened now, for want of file descriptors, may be as it was.
func TestRunningOutOfFileDescriptorsDropsNoObject(t *testing.T) {
	for _, errno := range []error{syscall.EMFILE, syscall.ENFILE} {
		dir := t.TempDir()
		in := mustBegin(t, mustOpen(t, dir))
		if err := errors.Join(receive(in, "a.csv", rows(100)), in.Close()); err != nil {
			t.Fatal(err)
		}
		a, err := openWith(dir, func(op, path string) error {
			if op == "read" && filepath.Base(path) == "a.csv" {
				return &fs.PathError{Op: "open", Path: path, Err: errno}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Begin(t.Context(), testRef, testKey); !errors.Is(err, errno) {
			t.Fatalf("%v, want %v", err, errno)
		}
		in = mustBegin(t, mustOpen(t, dir))
		if !in.Done("a.csv", promise(rows(100))) {
			t.Error("the object is not done any more")
		}
		in.Close()
	}
}

// On some file systems a file that is removed while it is open leaves a hidden one
// until it is closed. The ingest of what has landed goes then, or when the exports
// are next listed.
func TestAnIngestGoesWhenItsLockIsClosed(t *testing.T) {
	a := mustOpen(t, filepath.Join(t.TempDir(), "archive"))
	hidden := func(l exportLock) string { return l.path(".nfs0001") }
	l, _, err := a.lockExport(testRef, "sls/a")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(hidden(l), nil, 0o600), l.removeExcept(lockFile, ".nfs0001"), a.step.RemoveAll(l.path(lockFile))); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(hidden(l)), l.close()); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(l.dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after the close: %v", err)
	}
	if err := os.Mkdir(l.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for state, err := range a.States() {
		t.Errorf("there is %v, %v", state, err)
	}
	if _, err := os.Lstat(l.dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after a listing: %v", err)
	}
}

// Some network file systems have locks of their own on each machine. The attempt that
// began first lands nothing then and leaves alone what the second has; the second lands.
func TestAnAttemptLandsNothingOnceAnotherHasItsLock(t *testing.T) {
	a := mustOpen(t, t.TempDir())
	first := mustPersist(t, a)
	if err := receive(first, "a.csv", rows(100)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{first.path(lockFile), a.runsPath(locksFile)} { // so that the second locks other files
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	second := mustPersist(t, mustOpen(t, a.dir))
	p := mustPartial(t, second, "b.csv", promise(rows(30)))
	if err := create(p, "b.csv", []byte(rows(30))); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Commit(Summary{Reference: testRef}); !errors.Is(err, ErrFileSystem) || !strings.Contains(err.Error(), "another attempt has begun") {
		t.Errorf("the first: %v", err)
	}
	first.cleanOnClose = true // as if it had failed before its commit
	first.Close()
	if _, err := os.Stat(second.path(bagDir, dataDir, "b.csv")); err != nil {
		t.Errorf("of the second: %v", err)
	}
	p.Close()
	second.Close()
	if _, err := land(a, threeObjects()); err != nil {
		t.Fatal(err)
	}
	mustHaveLanded(t, a, threeObjects())
}

// A file system without hard links is refused before there is an archive on it, and
// by what was copied to it, and keeps nothing of that.
func TestAFileSystemWithoutHardLinksKeepsNothing(t *testing.T) {
	none := durable.Step(func(op, to string) error {
		if op == "link" {
			return &os.LinkError{Op: op, Old: "a", New: to, Err: syscall.EPERM}
		}
		return nil
	})
	for _, inside := range []bool{false, true} {
		parent := t.TempDir()
		a := &Archive{dir: filepath.Join(parent, "archive"), step: none}
		if inside {
			a.dir = parent
		}
		if err := a.makeWithin("1", SiteEmpty); !errors.Is(err, ErrFileSystem) {
			t.Errorf("inside %v: %v", inside, err)
		}
		if entries, err := os.ReadDir(parent); len(entries) > 0 || err != nil {
			t.Errorf("inside %v: %v is left, %v", inside, entries, err)
		}
	}
	a := mustOpen(t, filepath.Join(t.TempDir(), "archive"))
	a.step = none
	in := mustBegin(t, a)
	if _, err := in.Partial(t.Context(), "a.csv", promise("")); !errors.Is(err, ErrFileSystem) {
		t.Errorf("receive: %v", err)
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	if entries, err := os.ReadDir(filepath.Join(a.dir, ingestDir)); len(entries) > 0 || err != nil {
		t.Errorf("%v is left, %v", entries, err)
	}
}
