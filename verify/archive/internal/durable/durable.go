// Package durable makes the changes of an archive to files and directories, each announced
// before, and makes durable what was written. It also reads what may have been cut short.
package durable

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
	"sync"
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

// ReadOnly is the mode of the files of a bag. The process that creates a file
// may write to it all the same.
const ReadOnly = 0o444

// Mkdirs makes a directory and its parents, each durable in its own parent.
func (step Step) Mkdirs(dir string) error {
	dir = filepath.Clean(dir)
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := step.Mkdirs(parent); err != nil {
			return err
		}
	}
	if err := step("mkdir", dir); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) { // another attempt may have been first
		return err
	}
	return step.SyncDir(parent)
}

// SyncParents makes the names in a directory durable, and those in each
// directory above it, up to top. A name that exists may still not be durable: the
// attempt that made it may have been cut short. done has the fs.FileInfo of directories
// above of which this process has made the names durable, by their paths, and gets the
// others; nil knows none.
func (step Step) SyncParents(dir, top string, done *sync.Map) error {
	if err := step.SyncDir(dir); err != nil || dir == top {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if done != nil {
		if known, ok := done.Load(dir); ok && os.SameFile(known.(fs.FileInfo), info) {
			return nil
		}
	}
	err = step.SyncParents(filepath.Dir(dir), top, done)
	if err == nil && done != nil {
		done.Store(dir, info)
	}
	return err
}

// Create writes a file, read-only, and replaces one that an attempt that was cut
// short may have left. The bytes go to the hashes, too. Neither they nor the name are
// durable yet. The caller closes the file.
func (step Step) Create(path string, content io.WriterTo, hashes ...io.Writer) (f *os.File, err error) {
	if err := step("write", path); err != nil {
		return nil, err
	}
	f, err = os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, ReadOnly)
	if errors.Is(err, fs.ErrExist) {
		if err := step.RemoveAll(path); err != nil {
			return nil, err
		}
		f, err = os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, ReadOnly)
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

// WriteJSON writes a value as indented JSON. The bytes are durable, and the name is
// not yet.
func (step Step) WriteJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	f, err := step.Create(path, bytes.NewReader(append(b, '\n')))
	if err != nil {
		return err
	}
	return errors.Join(step.Sync(f), f.Close())
}

// maxJSON is more bytes than a file has that ReadJSON is for. It reads no further, and what it
// then has is not valid JSON.
const maxJSON = 1 << 20

// ReadJSON reads a small file of JSON. What is not valid is the zero value.
func ReadJSON[T any](path string) (v T, err error) {
	f, err := os.Open(path)
	if err != nil {
		return v, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxJSON+1))
	if err != nil || json.Unmarshal(b, &v) != nil {
		return *new(T), err
	}
	return v, nil
}

// Rename moves a file or a directory. The new name is not durable yet.
func (step Step) Rename(from, to string) error {
	if err := step("rename", to); err != nil {
		return err
	}
	return os.Rename(from, to)
}

// ErrFileSystem is of a file system that lacks what an archive needs: hard links, or
// locks that hold for all who use it.
var ErrFileSystem = errors.New("the archive needs a file system")

// Link gives a file a second name, which is not durable yet. It fails with ErrFileSystem
// where the file system has no hard links: FAT says that they are not permitted.
func (step Step) Link(from, to string) error {
	err := step("link", to)
	if err == nil {
		err = os.Link(from, to)
	}
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EPERM) {
		return fmt.Errorf("%w that has hard links: %w", ErrFileSystem, err)
	}
	return err
}

// RemoveAll removes a file, or a directory with all that is in it, if it is there. That
// it is gone is not durable yet.
func (step Step) RemoveAll(path string) error {
	if err := step("remove", path); err != nil {
		return err
	}
	return os.RemoveAll(path)
}
