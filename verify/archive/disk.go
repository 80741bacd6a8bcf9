package archive

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// A disk makes each change that an archive makes to files. Tests set step to
// see, fail or cut short every one of them.
type disk struct {
	step func(op, path string) error
}

func (d disk) begin(op, path string) error {
	if d.step == nil {
		return nil
	}
	return d.step(op, path)
}

// mkdirs makes a directory and its parents, each durable in its own parent.
func (d disk) mkdirs(dir string) error {
	dir = filepath.Clean(dir)
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := d.mkdirs(parent); err != nil {
			return err
		}
	}
	if err := d.begin("mkdir", dir); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return d.syncDir(parent)
}

// syncDir makes the names in a directory durable.
func (d disk) syncDir(dir string) error {
	if err := d.begin("syncdir", dir); err != nil {
		return err
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// syncTree makes all names below a directory durable.
func (d disk) syncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return err
		}
		return d.syncDir(path)
	})
}

// sync makes what was written to a file durable.
func (d disk) sync(f *os.File) error {
	if err := d.begin("sync", f.Name()); err != nil {
		return err
	}
	return f.Sync()
}

// write writes a whole small file, durably. Its name is not durable yet.
func (d disk) write(path string, b []byte) (err error) {
	if err := d.begin("write", path); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Write(b); err != nil {
		return err
	}
	return d.sync(f)
}

func (d disk) writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return d.write(path, append(b, '\n'))
}

// replace writes a small file so that its name holds the old or the new bytes.
func (d disk) replace(path string, v any) error {
	draft := path + ".new"
	if err := d.writeJSON(draft, v); err != nil {
		return err
	}
	return d.rename(draft, path)
}

// rename moves a file or a directory, durably where both names are in one
// directory or the old one does not matter.
func (d disk) rename(from, to string) error {
	if err := d.begin("rename", to); err != nil {
		return err
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return d.syncDir(filepath.Dir(to))
}

func (d disk) readOnly(path string) error {
	if err := d.begin("chmod", path); err != nil {
		return err
	}
	return os.Chmod(path, 0o444)
}

func (d disk) removeAll(path string) error {
	if err := d.begin("remove", path); err != nil {
		return err
	}
	return os.RemoveAll(path)
}
