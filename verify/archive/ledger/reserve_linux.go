package ledger

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// reserve reserves space in a file from an offset on, and leaves its size. A file system
// that can't is no error.
func reserve(path string, off, n int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, off, n)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err == nil || errors.Is(err, errors.ErrUnsupported):
			return nil
		}
		return &fs.PathError{Op: "reserve", Path: path, Err: err}
	}
}
