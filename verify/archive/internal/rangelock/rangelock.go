// Package rangelock locks bytes of one file, so that many things have a lock each
// without a file each. The bytes need not be in the file.
package rangelock

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// A Lock is one byte that is locked against every other Lock, in this process and in
// others. It ends with the process.
type Lock struct {
	file *os.File // opened for this lock alone, whose end is that of the lock
}

// maxTries is how often TryLock tries while others only look whether the file is of
// use: one of them may be stopped.
const maxTries = 1000

// TryLock locks the byte at off of the file at path, which it makes if it is not there,
// and its directory. It returns nil if the byte is locked. It fails with
// errors.ErrUnsupported where locks of bytes belong to processes and not to open files.
func TryLock(path string, off int64) (*Lock, error) {
	for tries := 0; ; tries++ {
		file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
		if errors.Is(err, fs.ErrNotExist) {
			if err = os.Mkdir(filepath.Dir(path), 0o755); err == nil || errors.Is(err, fs.ErrExist) {
				continue // another may remove it at this moment
			}
		}
		if err != nil {
			return nil, err
		}
		locked, err := lock(file, off, 1)
		busy := false
		switch {
		case err != nil:
		case !locked:
			busy, err = isLocked(file, off)
		case isAt(file, path): // else it was removed meanwhile, and a lock on it keeps nobody out
			return &Lock{file}, nil
		}
		err = errors.Join(err, file.Close())
		if busy || err != nil || tries >= maxTries {
			return nil, err
		}
		time.Sleep(time.Duration(min(tries, 10)) * 100 * time.Microsecond)
	}
}

// isAt reports whether a file is the one that others find at the path.
func isAt(file *os.File, path string) bool {
	mine, err := file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(path)
	return err == nil && os.SameFile(mine, there)
}

// Close unlocks the byte, and removes the file and its directory if nothing else is
// locked.
func (l *Lock) Close() error {
	if free, err := lock(l.file, 0, 0); free && err == nil && isAt(l.file, l.file.Name()) {
		_ = os.Remove(l.file.Name()) // who has it open sees that it is gone
		_ = os.Remove(filepath.Dir(l.file.Name()))
	}
	return l.file.Close()
}

// IsLocked reports whether the byte at off of the file at path is locked, by this process
// or another.
func IsLocked(path string, off int64) (bool, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	return isLocked(file, off)
}
