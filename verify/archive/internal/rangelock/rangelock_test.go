package rangelock

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

func mustLock(t *testing.T, path string, off int64, want bool) *Lock {
	t.Helper()
	lock, err := TryLock(path, off)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	t.Cleanup(func() { runtime.KeepAlive(lock) })
	if err != nil || (lock != nil) != want {
		t.Errorf("lock %d: %v, %v, want %v", off, lock, err, want)
	}
	return lock
}

func TestALockExcludesEveryOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "locks")
	const off = 1<<62 + 7
	one := mustLock(t, path, off, true)
	mustLock(t, path, off, false)
	next := mustLock(t, path, off+1, true)
	if locked, err := IsLocked(path, off); err != nil || !locked {
		t.Errorf("locked: %v, %v", locked, err)
	}
	if err := one.Close(); err != nil {
		t.Error(err)
	}
	if locked, err := IsLocked(path, off); err != nil || locked {
		t.Errorf("unlocked: %v, %v", locked, err)
	}
	mustLock(t, path, off+1, false)
	for _, lock := range []*Lock{mustLock(t, path, off, true), next} {
		if err := lock.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Lstat(filepath.Dir(path)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("once nothing is locked: %v", err)
	}
}

func TestOfManyOneHasTheLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "locks")
	var holders, locks atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for n := 0; n < 50; {
				lock, err := TryLock(path, 3)
				if err != nil {
					t.Error(err)
					return
				}
				if lock == nil {
					continue
				}
				if holders.Add(1) != 1 {
					t.Error("two have the lock")
				}
				n++
				locks.Add(1)
				holders.Add(-1)
				if err := lock.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n := locks.Load(); n != 8*50 {
		t.Errorf("%d locks", n)
	}
}

// A file that is removed under its holder is made anew, so that later locks count.
func TestALockIsOnTheFileThatOthersFind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "locks")
	first := mustLock(t, path, 1, true)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	mustLock(t, path, 2, true)
	if err := first.Close(); err != nil { // it removes no file of others
		t.Error(err)
	}
	mustLock(t, path, 2, false)
}

// A lock ends with the process that has it, however that ends.
func TestALockEndsWithItsProcess(t *testing.T) {
	if path := os.Getenv("RANGELOCK_HELPER"); path != "" {
		lock, err := TryLock(path, 1)
		os.Stdout.WriteString(strconv.FormatBool(lock != nil && err == nil) + "\n")
		select {}
	}
	path := filepath.Join(t.TempDir(), "run", "locks")
	helper := exec.Command(os.Args[0], "-test.run=TestALockEndsWithItsProcess")
	helper.Env = append(os.Environ(), "RANGELOCK_HELPER="+path)
	out, err := helper.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := helper.Start(); err != nil {
		t.Fatal(err)
	}
	if said, err := bufio.NewReader(out).ReadString('\n'); err != nil || said != "true\n" {
		t.Fatalf("%q, %v", said, err)
	}
	mustLock(t, path, 1, false)
	if err := helper.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = helper.Wait()
	mustLock(t, path, 1, true)
}
