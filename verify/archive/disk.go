package archive

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// readOnly is the mode of the files of a bag. Who creates a file may write to it
// all the same.
const readOnly = 0o444

// A disk makes each change that an archive makes to files, and reads what is to
// prove them. Tests set step to see, fail or cut short every one of them.
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
	if isDir(dir) {
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
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) { // another attempt may have been first
		return err
	}
	return d.syncDir(parent)
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
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

// syncUp makes the names in a directory durable, and those in the directories
// above it, up to top. That they are there does not say that they are durable:
// the attempt that made them may have been cut short.
func (d disk) syncUp(dir, top string) error {
	for ; ; dir = filepath.Dir(dir) {
		if err := d.syncDir(dir); err != nil || dir == top {
			return err
		}
	}
}

// sync makes what was written to a file durable.
func (d disk) sync(f *os.File) error {
	if err := d.begin("sync", f.Name()); err != nil {
		return err
	}
	return f.Sync()
}

// write writes a whole file, durable and read-only, in place of one that an
// attempt that was cut short may have left. Its name is not durable yet.
func (d disk) write(path string, content func(io.Writer) error) (err error) {
	if err := d.removeAll(path); err != nil {
		return err
	}
	if err := d.begin("write", path); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, readOnly)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriter(f)
	if err := errors.Join(content(w), w.Flush()); err != nil {
		return err
	}
	return d.sync(f)
}

// text writes what is there as a whole.
func text(b []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	}
}

func (d disk) writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return d.write(path, text(append(b, '\n')))
}

// replace writes a small file so that its name holds the old or the new bytes.
func (d disk) replace(path string, v any) error {
	draft := path + ".new"
	if err := d.writeJSON(draft, v); err != nil {
		return err
	}
	if err := d.rename(draft, path); err != nil {
		return err
	}
	return d.syncDir(filepath.Dir(path))
}

// swap is replace for what may be lost in a power cut.
func (d disk) swap(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	draft := path + ".new"
	if err := d.begin("write", draft); err != nil {
		return err
	}
	if err := os.WriteFile(draft, append(b, '\n'), 0o644); err != nil {
		return err
	}
	return d.rename(draft, path)
}

// rename moves a file or a directory. The new name is not durable yet.
func (d disk) rename(from, to string) error {
	if err := d.begin("rename", to); err != nil {
		return err
	}
	return os.Rename(from, to)
}

func (d disk) link(from, to string) error {
	if err := d.begin("link", to); err != nil {
		return err
	}
	return unlinkable(os.Link(from, to))
}

// unlinkable is the error of a link. Some file systems have none: FAT says that
// it is not permitted.
func unlinkable(err error) error {
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EPERM) {
		return fmt.Errorf("the archive needs a file system that has hard links: %w", err)
	}
	return err
}

func (d disk) removeAll(path string) error {
	if err := d.begin("remove", path); err != nil {
		return err
	}
	return os.RemoveAll(path)
}

// removeEmpty removes a directory unless another attempt has made something in
// it since. That it is not empty is fs.ErrExist too.
func (d disk) removeEmpty(dir string) error {
	if err := d.begin("remove", dir); err != nil {
		return err
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
