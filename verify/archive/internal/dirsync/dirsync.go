// Package dirsync makes the names in a directory durable.
package dirsync

import (
	"errors"
	"os"
	"syscall"
)

// Sync makes the names in a directory durable, where its file system does so when it is
// asked: some, such as SMB, sync no directories, which is no error. step is told of it
// before it is done, and an error of it is that of the sync.
func Sync(step func(op, path string) error, dir string) error {
	err := step("syncdir", dir)
	if err == nil {
		var f *os.File
		if f, err = os.Open(dir); err != nil {
			return err
		}
		defer f.Close()
		err = f.Sync()
	}
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}
