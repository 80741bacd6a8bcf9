package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A file system without locks is told from one that is bad.
func TestAFileSystemThatLacksWhatItNeedsIsNamed(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.ENOLCK, syscall.EOPNOTSUPP, syscall.ENOSYS} {
		err := unlockable("/a/lock", fmt.Errorf("flock: %w", errno))
		if _, onPath := errors.AsType[*fs.PathError](err); !onPath || !errors.Is(err, errno) ||
			!strings.Contains(err.Error(), "/a/lock") || !strings.Contains(err.Error(), "that can lock files") {
			t.Errorf("%v", err)
		}
		linked := unlinkable(&os.LinkError{Op: "link", Old: "/a", New: "/b", Err: errno})
		if needs := strings.Contains(linked.Error(), "that has hard links"); needs != (errno != syscall.ENOLCK) {
			t.Errorf("%v", linked)
		}
	}
	if err := unlockable("/a/lock", syscall.EIO); strings.Contains(err.Error(), "needs") || !errors.Is(err, syscall.EIO) {
		t.Errorf("%v", err)
	}
	in := &fs.PathError{Op: "open", Path: "/a/lock", Err: syscall.EROFS}
	if err := unlockable("/a/lock", in); !errors.Is(err, in) {
		t.Errorf("%v", err)
	}
}

// That a file can't be opened just now says nothing of what is in it.
func TestWhatIsDoneIsNotReceivedAgainForWantOfAFile(t *testing.T) {
	for _, errno := range []error{syscall.EMFILE, syscall.ENFILE} {
		dir := t.TempDir()
		in := mustBegin(t, mustOpen(t, dir))
		if err := errors.Join(receive(in, "a.csv", rows(100)), in.Close()); err != nil {
			t.Fatal(err)
		}
		a, err := openWith(dir, func(op, path string) error {
			if op == "read" && filepath.Base(path) == "a.csv" {
				return &fs.PathError{Op: "open", Path: path, Err: errno}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Begin(t.Context(), testRef, testKey); !errors.Is(err, errno) {
			t.Fatalf("%v, want %v", err, errno)
		}
		in = mustBegin(t, mustOpen(t, dir))
		if !in.Done("a.csv", promise(rows(100))) {
			t.Error("it is to be received again")
		}
		in.Close()
	}
}
