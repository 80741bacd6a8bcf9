package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// refusing fails each step that does so on a path that ends so.
func refusing(op, suffix string, errno syscall.Errno) func(string, string) error {
	return func(step, path string) error {
		if step == op && strings.HasSuffix(path, suffix) {
			return &fs.PathError{Op: op, Path: path, Err: errno}
		}
		return nil
	}
}

// A name that the file system does not take, as a ":" on NTFS, is the fault of the
// name and not of the disk: of a file, and of the export itself.
func TestANameThatTheFileSystemRefuses(t *testing.T) {
	for _, tt := range []struct {
		op, suffix string
		errno      syscall.Errno
	}{
		{"create", "a.csv", syscall.EINVAL},
		{"create", "a.csv", syscall.EILSEQ},
		{"mkdir", filepath.Dir(testKey), syscall.EINVAL},
		{"rename", testKey, syscall.EINVAL},
	} {
		dir := t.TempDir()
		a, err := openWith(dir, refusing(tt.op, tt.suffix, tt.errno))
		if err != nil {
			t.Fatal(err)
		}
		_, err = land(a, threeObjects())
		if !errors.Is(err, ErrName) {
			t.Errorf("%+v: %v", tt, err)
		}
		if _, isDisk := errors.AsType[*fs.PathError](err); isDisk && tt.op != "create" {
			t.Errorf("%+v: it is an error of the disk: %v", tt, err)
		}
	}
}

// Some file systems, SMB for one, sync no directory when they are asked.
func TestAFileSystemThatSyncsNoDirectoryHoldsAnArchive(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EINVAL, syscall.ENOTSUP} {
		a, err := openWith(t.TempDir(), refusing("syncdir", "", errno))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := land(a, threeObjects()); err != nil {
			t.Fatal(err)
		}
		mustHaveLanded(t, a, threeObjects())
	}
}

// Where names that differ in case are one, an export whose name another one has is told
// of, and neither is damaged.
func TestAnExportWhoseNameAnotherHasInOtherLetters(t *testing.T) {
	a, bag := mustLand(t, t.TempDir(), threeObjects())
	key := strings.Replace(testKey, "download", "Download", 1)
	if err := os.Symlink(filepath.Base(bag), a.Path(key)); err != nil && !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
	for range 2 {
		_, err := a.Landed(key)
		if !errors.Is(err, ErrName) || errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), testKey) {
			t.Errorf("%v", err)
		}
		if _, err := a.Begin(t.Context(), testRef, key); !errors.Is(err, ErrLanded) {
			t.Errorf("begin: %v", err)
		}
	}
	mustHaveLanded(t, a, threeObjects())
}

// A file system that changes the letters of names would make every bag look damaged.
func TestAFileSystemThatChangesNamesIsRefused(t *testing.T) {
	_, err := openWith(t.TempDir(), func(op, path string) error {
		if op == "sync" {
			return os.Rename(path, filepath.Join(filepath.Dir(path), strings.ToLower(filepath.Base(path))))
		}
		return nil
	})
	if !errors.Is(err, ErrFileSystem) || !strings.Contains(err.Error(), "letters of a name") {
		t.Errorf("%v", err)
	}
}

// Some file systems take no change of a mode: that a file is read-only is no promise.
func TestAFileSystemWithoutModesHoldsAKeptWire(t *testing.T) {
	a := mustOpen(t, filepath.Join(boundWith(t, "--chmod-deny"), "archive"))
	in := mustBegin(t, a)
	defer in.Close()
	p := mustPartial(t, in, "a.csv", promise("body"))
	defer p.Close()
	err := p.AddPromise(promise("body"))
	for part := range p.Missing(4, testPart) {
		err = errors.Join(err, fill(part, "body"))
	}
	p.KeepWire(func(string) string { return "a.csv" })
	if err := errors.Join(err, decode(p, "b.csv")); err != nil {
		t.Error(err)
	}
}

// Where a file that is removed while it is open leaves a hidden one until it is closed, the
// directory of a process can't be removed at once. That fails nothing, and who comes next
// removes it.
func TestADirectoryOfAProcessMayKeepAHiddenFile(t *testing.T) {
	dir := t.TempDir()
	runs := filepath.Join(dir, ingestDir, runsDir)
	keeping := func(op, path string) error {
		if op != "remove" || filepath.Dir(path) != runs {
			return nil
		}
		hidden := os.WriteFile(filepath.Join(path, ".nfs0001"), nil, 0o600)
		return errors.Join(hidden, os.Remove(filepath.Join(path, batchFile)), &fs.PathError{Op: "unlinkat", Path: path, Err: syscall.ENOTEMPTY})
	}
	for i, step := range []func(op, path string) error{keeping, keeping, func(string, string) error { return nil }} {
		a, err := openWith(dir, step)
		if err != nil {
			t.Fatal(err)
		}
		in, err := a.Begin(t.Context(), testRef, fmt.Sprint(testKey, i))
		if err != nil {
			t.Fatal(err)
		}
		if err := in.Close(); err != nil {
			t.Error(err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(runs, "*", ".nfs*")); len(left) > 0 || err != nil {
		t.Errorf("%q are left, %v", left, err)
	}
}

// A file system whose removed files stay hidden while they are open holds an archive:
// exports land in it one after another, and nothing is left.
func TestAFileSystemThatHidesRemovedFilesHoldsAnArchive(t *testing.T) {
	dir := filepath.Join(boundWith(t), "archive")
	for i := range 3 {
		a := mustOpen(t, dir)
		in, err := a.Begin(t.Context(), testRef, fmt.Sprint(testKey, i))
		if err != nil {
			t.Fatal(err)
		}
		if err := in.Close(); err != nil {
			t.Error(err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, ingestDir, runsDir, "*", "*")); len(left) > 0 || err != nil {
		t.Errorf("%q are left, %v", left, err)
	}
}

// boundWith is a directory through bindfs, for the time of the test.
func boundWith(t *testing.T, options ...string) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("bindfs", slices.Concat(options, []string{t.TempDir(), dir})...).CombinedOutput(); err != nil {
		t.Skipf("bindfs can't be used here: %v %s", err, out)
	}
	t.Cleanup(func() { exec.Command("fusermount", "-u", "-z", dir).Run() })
	return dir
}
