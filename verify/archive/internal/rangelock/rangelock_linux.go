package rangelock

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// The locks are those of an open file description: they end when it is closed, and
// two of one process exclude each other. See fcntl(2).

// lock locks n bytes, or all from off on if n is 0. It reports whether it did.
func lock(f *os.File, off, n int64) (bool, error) {
	err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: off, Len: n})
	if err == nil || errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return err == nil, nil
	}
	return false, lockError(f, err)
}

// isLocked reports whether a lock of the byte is in the way. One of all bytes is not:
// whoever has it looks whether the file is of use, and is about to close it.
func isLocked(f *os.File, off int64) (bool, error) {
	asked := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: off, Len: 1}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &asked); err != nil {
		return false, lockError(f, err)
	}
	return asked.Type != unix.F_UNLCK && asked.Len != 0, nil
}

// lockError explains the error of a lock: this kernel, or the file system, may have none
// of that kind.
func lockError(f *os.File, err error) error {
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOLCK) {
		err = errors.Join(errors.ErrUnsupported, err)
	}
	return &fs.PathError{Op: "lock", Path: f.Name(), Err: err}
}
