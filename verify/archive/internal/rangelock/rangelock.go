// Package rangelock locks bytes of one file, so that many things have a lock each
// without a file each. The bytes need not be in the file.
package rangelock

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// A File is the file whose bytes are locked. Its locks exclude those of every other
// File of the same path, in this process and in others. They end with the process.
// Its methods may be called by many goroutines at once. The file and its directory are
// there while anything is locked; the one above that is always.
type File struct {
	path string

	mu   sync.Mutex
	file *os.File // nil while this File has no locks
	held map[int64]bool
}

// New returns the File at path.
func New(path string) *File { return &File{path: path, held: map[int64]bool{}} }

// TryLock locks the byte at off, unless it is locked. It reports whether it did. It
// fails with errors.ErrUnsupported where locks of bytes belong to processes and not to
// open files.
func (f *File) TryLock(off int64) (locked bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for tries := 0; !f.held[off]; tries++ {
		if err := f.open(); err != nil {
			return false, err
		}
		locked, err := lock(f.file, off, 1)
		busy := false
		switch {
		case err != nil:
		case locked && f.isCurrent():
			f.held[off] = true
			return true, nil
		case locked: // on a file that was removed meanwhile, which keeps nobody out
			err = unlock(f.file, off)
		default:
			busy, err = isLocked(f.file, off)
		}
		if busy || err != nil || tries == maxTries {
			return false, errors.Join(err, f.closeUnused())
		}
		time.Sleep(time.Duration(min(tries, 10)) * 100 * time.Microsecond)
	}
	return false, nil
}

// maxTries is how often TryLock tries while others only look whether the file is of
// use: one of them may be stopped.
const maxTries = 1000

// open opens the file that is at the path now, and makes it if it is not there.
func (f *File) open() error {
	if f.file != nil && f.isCurrent() {
		return nil
	}
	for {
		file, err := os.OpenFile(f.path, os.O_CREATE|os.O_RDWR, 0o644)
		if errors.Is(err, fs.ErrNotExist) {
			err = os.Mkdir(filepath.Dir(f.path), 0o755)
			if err == nil || errors.Is(err, fs.ErrExist) { // else another may remove it at this moment
				continue
			}
		}
		if err != nil {
			return err
		}
		if f.file != nil && len(f.held) == 0 {
			f.file.Close() // else it keeps its locks until the process ends
		}
		f.file = file
		return nil
	}
}

// isCurrent reports whether the file is the one that others find at the path.
func (f *File) isCurrent() bool {
	mine, err := f.file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(f.path)
	return err == nil && os.SameFile(mine, there)
}

// Unlock unlocks a byte that TryLock has locked.
func (f *File) Unlock(off int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.held, off)
	if len(f.held) > 0 {
		return unlock(f.file, off)
	}
	return f.closeUnused()
}

// closeUnused closes the file, which unlocks it, if nothing is locked by this File, and
// removes it and its directory if nothing is by any.
func (f *File) closeUnused() error {
	if len(f.held) > 0 {
		return nil
	}
	if free, err := lock(f.file, 0, 0); free && err == nil && f.isCurrent() {
		_ = os.Remove(f.path) // who has it open sees that it is gone
		_ = os.Remove(filepath.Dir(f.path))
	}
	err := f.file.Close()
	f.file = nil
	return err
}

// Locked reports whether the byte at off is locked, by this File or another.
func (f *File) Locked(off int64) (bool, error) {
	f.mu.Lock()
	held := f.held[off]
	f.mu.Unlock()
	if held {
		return true, nil
	}
	file, err := os.OpenFile(f.path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	return isLocked(file, off)
}
