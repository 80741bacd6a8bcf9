package archive

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// readOnly is the mode of the files of a bag. The process that creates a file
// may write to it all the same.
const readOnly = 0o444

// A disk makes each change that an archive makes to files, and announces each
// read that proves something.
type disk struct {
	// step is told each of them before, by its name and the path. It does nothing,
	// but in tests, which see, fail or cut short each of them.
	step func(op, path string) error
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
	if err := d.step("mkdir", dir); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) { // another attempt may have been first
		return err
	}
	return d.syncDir(parent)
}

// syncDir makes the names in a directory durable.
func (d disk) syncDir(dir string) error {
	if err := d.step("syncdir", dir); err != nil {
		return err
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// syncParents makes the names in a directory durable, and those in each
// directory above it, up to top. A name that exists may still not be durable: the
// attempt that made it may have been cut short.
func (d disk) syncParents(dir, top string) error {
	for ; ; dir = filepath.Dir(dir) {
		if err := d.syncDir(dir); err != nil || dir == top {
			return err
		}
	}
}

// sync makes what was written to a file durable.
func (d disk) sync(f *os.File) error {
	if err := d.step("sync", f.Name()); err != nil {
		return err
	}
	return f.Sync()
}

// create writes a file, read-only, and replaces one that an attempt that was cut
// short may have left. The bytes go to the hashes, too. Neither they nor the name are
// durable yet. The caller closes the file.
func (d disk) create(path string, content io.WriterTo, hashes ...io.Writer) (f *os.File, err error) {
	if err := d.step("write", path); err != nil {
		return nil, err
	}
	f, err = os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, readOnly)
	if errors.Is(err, fs.ErrExist) {
		if err := d.removeAll(path); err != nil {
			return nil, err
		}
		f, err = os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, readOnly)
	}
	if err != nil {
		return nil, err
	}
	w := bufio.NewWriter(f)
	_, err = content.WriteTo(io.MultiWriter(append(hashes, w)...))
	if err := errors.Join(err, w.Flush()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// writeJSON writes a value as indented JSON. The bytes are durable, and the name is
// not yet.
func (d disk) writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	f, err := d.create(path, bytes.NewReader(append(b, '\n')))
	if err != nil {
		return err
	}
	return errors.Join(d.sync(f), f.Close())
}

// rename moves a file or a directory. The new name is not durable yet.
func (d disk) rename(from, to string) error {
	if err := d.step("rename", to); err != nil {
		return err
	}
	return os.Rename(from, to)
}

// ErrFileSystem is of a file system that lacks what an archive needs: hard links, or
// locks that hold for all who use it.
var ErrFileSystem = errors.New("the archive needs a file system")

// link gives a file a second name, which is not durable yet. FAT, which has no
// hard links, says that they are not permitted.
func (d disk) link(from, to string) error {
	err := d.step("link", to)
	if err == nil {
		err = os.Link(from, to)
	}
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EPERM) {
		return fmt.Errorf("%w that has hard links: %w", ErrFileSystem, err)
	}
	return err
}

func (d disk) removeAll(path string) error {
	if err := d.step("remove", path); err != nil {
		return err
	}
	return os.RemoveAll(path)
}
