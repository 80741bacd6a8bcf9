package rangelock

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

func mustLock(t *testing.T, f *File, off int64, want bool) {
	t.Helper()
	locked, err := f.TryLock(off)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	if err != nil || locked != want {
		t.Errorf("lock %d: %v, %v, want %v", off, locked, err, want)
	}
}

func TestALockExcludesEveryOther(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "locks")
	f, other := New(path), New(path)
	const off = 1<<62 + 7
	mustLock(t, f, off, true)
	mustLock(t, f, off, false)
	mustLock(t, other, off, false)
	mustLock(t, other, off+1, true)
	for name, file := range map[string]*File{"the one": f, "another": other} {
		if locked, err := file.Locked(off); err != nil || !locked {
			t.Errorf("%s: %v, %v", name, locked, err)
		}
	}
	if err := f.Unlock(off); err != nil {
		t.Error(err)
	}
	if locked, err := f.Locked(off); err != nil || locked {
		t.Errorf("unlocked: %v, %v", locked, err)
	}
	mustLock(t, other, off, true)
	for _, err := range []error{other.Unlock(off), other.Unlock(off + 1)} {
		if err != nil {
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
	for range 4 {
		f := New(path)
		for range 2 {
			all.Go(func() {
				for n := 0; n < 50; {
					locked, err := f.TryLock(3)
					if err != nil {
						t.Error(err)
						return
					}
					if !locked {
						continue
					}
					if holders.Add(1) != 1 {
						t.Error("two have the lock")
					}
					n++
					locks.Add(1)
					holders.Add(-1)
					if err := f.Unlock(3); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	all.Wait()
	if n := locks.Load(); n != 8*50 {
		t.Errorf("%d locks", n)
	}
}

// A file that is removed under its holder is made anew, so that later locks count.
func TestALockIsOnTheFileThatOthersFind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "locks")
	f := New(path)
	mustLock(t, f, 1, true)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	mustLock(t, f, 2, true)
	mustLock(t, f, 1, false)
	mustLock(t, New(path), 2, false)
}

// A lock ends with the process that has it, however that ends.
func TestALockEndsWithItsProcess(t *testing.T) {
	if path := os.Getenv("RANGELOCK_HELPER"); path != "" {
		locked, err := New(path).TryLock(1)
		os.Stdout.WriteString(strconv.FormatBool(locked && err == nil) + "\n")
		select {}
	}
	path := filepath.Join(t.TempDir(), "run", "locks")
	f := New(path)
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
	mustLock(t, f, 1, false)
	if err := helper.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = helper.Wait()
	mustLock(t, f, 1, true)
}
