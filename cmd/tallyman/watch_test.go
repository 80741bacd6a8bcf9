package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"tallyman/verify/archive"
)

// watch looks into an archive all the time. Whatever appears under a final name
// must be complete from its first moment on, be what the store serves, and stay.
type watch struct {
	dir  string                                   // of the bags
	key  string                                   // of dir
	want func(job string) (sha [32]byte, ok bool) // of the bytes of a job's file
	over chan struct{}
	all  sync.WaitGroup

	mu   sync.Mutex
	seen map[string]uint64 // the inode of each bag
}

// newWatch watches the bags of one project.
func newWatch(t *testing.T, dir string, want func(string) ([32]byte, bool)) *watch {
	key := "sls/cn-hangzhou/" + testProject
	w := &watch{dir: filepath.Join(dir, filepath.FromSlash(key)), key: key, want: want, over: make(chan struct{}), seen: map[string]uint64{}}
	w.all.Go(func() {
		for !isOver(w.over) {
			w.walk(t)
			time.Sleep(50 * time.Millisecond)
		}
	})
	t.Cleanup(sync.OnceFunc(func() { close(w.over); w.all.Wait() }))
	return w
}

func isOver(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func (w *watch) walk(t *testing.T) {
	dir, err := os.Open(w.dir)
	if err != nil {
		return // nothing has landed
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		t.Error(err)
	}
	for _, name := range names {
		if !w.has(name) {
			w.meet(t, name)
		}
	}
}

func (w *watch) has(name string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, has := w.seen[name]
	return has
}

// landed is how many bags have been met.
func (w *watch) landed() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.seen)
}

// meet proves a bag that has just appeared.
func (w *watch) meet(t *testing.T, name string) {
	inode, err := inodeOf(filepath.Join(w.dir, name))
	if err == nil {
		err = w.check(t, name)
	}
	if err != nil {
		t.Errorf("%s is not whole where it has landed: %v", name, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen[name] = inode
}

func (w *watch) check(t *testing.T, name string) error {
	want, ok := w.want(name)
	if !ok {
		return fmt.Errorf("there is no such job")
	}
	data, err := os.ReadFile(filepath.Join(w.dir, name, "data", name+".csv"))
	if err != nil {
		return err
	}
	if sha256.Sum256(data) != want {
		return fmt.Errorf("its %d bytes are not those that the store serves", len(data))
	}
	// Its line in the ledger may be about to be written, so the bag proves itself.
	key, err := archive.RecheckBag(t.Context(), filepath.Join(w.dir, name), nil)
	if err == nil && key != w.key+"/"+name {
		err = fmt.Errorf("it is the bag of %s", key)
	}
	return err
}

// stayed fails unless each bag still is the one that appeared first.
func (w *watch) stayed(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, inode := range w.seen {
		if now, err := inodeOf(filepath.Join(w.dir, name)); err != nil || now != inode {
			t.Errorf("%s landed more than once: %v", name, err)
		}
	}
}

func inodeOf(path string) (uint64, error) {
	found, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return found.Sys().(*syscall.Stat_t).Ino, nil
}
