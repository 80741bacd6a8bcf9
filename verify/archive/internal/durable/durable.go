// Package durable makes durable what was written to files and directories, and announces
// that before.
package durable

import (
	"errors"
	"os"
	"syscall"
)

// A Step is told of each change to files before it is made, by its name and the path. An
// error of it is that of the change. It does nothing, but in tests, which see, fail or
// cut short each change.
type Step func(op, path string) error

// Sync makes what was written to a file durable.
func (step Step) Sync(f *os.File) error {
	if err := step("sync", f.Name()); err != nil {
		return err
	}
	return f.Sync()
}

// SyncDir makes the names in a directory durable, where its file system does so when it
// is asked: some, such as SMB, sync no directories, which is no error.
func (step Step) SyncDir(dir string) error {
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
