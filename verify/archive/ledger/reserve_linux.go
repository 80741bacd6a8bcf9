package ledger

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// reserve reserves space in a file from an offset on, and leaves its size. A file system
// that can't is no error.
func reserve(f *os.File, off, n int64) error {
	for {
		err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, off, n)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, errors.ErrUnsupported):
			return nil
		}
		return err
	}
}
