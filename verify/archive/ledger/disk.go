package ledger

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// create makes an empty file of a month, durable with its name, and the directory if
// it lacks. Another writer may be first.
func (l *Ledger) create(month string) error {
	if _, err := os.Lstat(l.dir); errors.Is(err, fs.ErrNotExist) {
		if err := l.step("mkdir", l.dir); err != nil {
			return err
		}
		err := os.Mkdir(l.dir, 0o755)
		if err == nil {
			err = giveAway(l.dir)
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	path := l.path(month)
	if err := l.step("create", path); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, fs.ErrExist) {
		if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
			return &fs.PathError{Op: "open", Path: path, Err: fmt.Errorf("it is %s, not a regular file", info.Mode().Type())}
		}
		return nil
	}
	if err != nil {
		return err
	}
	if err = giveAway(path); err == nil {
		err = l.step.Sync(f)
	}
	return errors.Join(err, f.Close(), l.step.SyncDir(l.dir), l.step.SyncDir(filepath.Dir(l.dir)))
}

// writeFile makes a file of a new name, durable with that name: it is written under a
// name that does not count.
func (l *Ledger) writeFile(name, temporary string, content io.Reader) (err error) {
	path := l.path(temporary)
	if err := l.step("create", path); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if err = l.step("write", path); err == nil {
		_, err = io.Copy(f, content)
	}
	if err == nil {
		err = giveAway(path)
	}
	if err == nil {
		err = l.step.Sync(f)
	}
	if err = errors.Join(err, f.Close()); err == nil && name != temporary {
		err = l.rename(temporary, name)
	}
	if err == nil {
		err = l.step.SyncDir(l.dir)
	}
	return err
}

func (l *Ledger) rename(from, to string) error {
	if err := l.step("rename", l.path(to)); err != nil {
		return err
	}
	return os.Rename(l.path(from), l.path(to))
}

func (l *Ledger) remove(name string) error {
	if err := l.step("remove", l.path(name)); err != nil {
		return err
	}
	return os.Remove(l.path(name))
}
