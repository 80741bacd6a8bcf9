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

// lock locks n bytes, or all from off on if n is 0.
func lock(f *os.File, off, n int64) (bool, error) {
	err := control(f, unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: off, Len: n})
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return false, nil
	}
	return err == nil, err
}

// isLocked reports whether a lock of the byte is in the way. One of all bytes is not:
// whoever has it looks whether the file is of use, and is about to close it.
func isLocked(f *os.File, off int64) (bool, error) {
	asked := unix.Flock_t{Type: unix.F_WRLCK, Whence: io.SeekStart, Start: off, Len: 1}
	err := control(f, unix.F_OFD_GETLK, &asked)
	return err == nil && asked.Type != unix.F_UNLCK && asked.Len != 0, err
}

func control(f *os.File, command int, lock *unix.Flock_t) error {
	err := unix.FcntlFlock(f.Fd(), command, lock)
	if err == nil || errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return err
	}
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOLCK) { // no such locks in this kernel, or in this file system
		err = errors.Join(errors.ErrUnsupported, err)
	}
	return &fs.PathError{Op: "lock", Path: f.Name(), Err: err}
}
