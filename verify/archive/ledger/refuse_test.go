package ledger

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Whatever the system refuses, the caller can tell what it was, nothing that was there is
// lost, and the next append goes well.
func TestWhatTheSystemRefusesIsTold(t *testing.T) {
	for _, op := range []string{"mkdir", "create", "lock", "write", "sync", "syncdir", "reserve"} {
		for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EACCES, syscall.EIO} {
			l := newLedger(t)
			if op != "mkdir" && op != "create" && op != "syncdir" {
				mustAppend(t, l, landed(0))
			}
			before := len(mustRead(t, l))
			l.step = func(o, path string) error {
				if o == op {
					return &fs.PathError{Op: op, Path: path, Err: errno}
				}
				return nil
			}
			change := func() error { return l.Append(landed(1)) }
			if op == "reserve" {
				change = func() error { return l.Reserve(1000) }
			}
			err := change()
			failed, ok := errors.AsType[*fs.PathError](err)
			if !ok || !errors.Is(err, errno) || !strings.Contains(failed.Path, ".ledger") && op != "syncdir" {
				t.Errorf("%s: %v: %v", op, errno, err)
			}
			if after := len(mustRead(t, l)); after != before {
				t.Errorf("%s: %v: %d lines, and %d before", op, errno, after, before)
			}
			l.step = func(string, string) error { return nil }
			mustAppend(t, l, landed(2))
			if lines := mustRead(t, l); len(lines) != before+1 || lines[before].Key != landed(2).Key {
				t.Errorf("%s: %v: then %+v", op, errno, lines)
			}
		}
	}
}

func TestALedgerThatMayNotBeWrittenIsReadAndSaysSo(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may write everything")
	}
	l := newLedger(t)
	mustAppend(t, l, landed(0))
	found, _ := l.list()
	for path, mode := range map[string]fs.FileMode{l.path(found.months[0]): 0o444, l.dir: 0o555} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	defer os.Chmod(l.dir, 0o755)
	for name, err := range map[string]error{"append": l.Append(landed(1)), "reserve": l.Reserve(1)} {
		if !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: %v", name, err)
		}
	}
	mustHaveOnce(t, l, 1)
	mustIndexAll(t, l)
}

func TestReadingMakesNothing(t *testing.T) {
	l := newLedger(t)
	mustHaveOnce(t, l, 0)
	mustIndexAll(t, l)
	mustFindAll(t, l)
	if torn, err := l.Torn(); torn != 0 || err != nil {
		t.Errorf("%d, %v", torn, err)
	}
	if _, err := os.Lstat(l.dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// What stands where the ledger or its file should be is told, and is no endless search
// for a file to lock.
func TestAnotherThingInTheLedgersPlaceIsTold(t *testing.T) {
	l := newLedger(t)
	mustAppend(t, l, landed(0))
	found, _ := l.list()
	path := l.path(found.months[0])
	if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o755)); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{"append": l.Append(landed(1)), "reserve": l.Reserve(1)} {
		if err == nil || !strings.Contains(err.Error(), filepath.Base(path)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := errors.Join(os.RemoveAll(l.dir), os.WriteFile(l.dir, nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	if err := l.Append(landed(1)); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("%v", err)
	}
}

func TestMostReservationsDoNothing(t *testing.T) {
	l := newLedger(t)
	reserved := 0
	l.step = func(op, _ string) error {
		if op == "reserve" {
			reserved++
		}
		return nil
	}
	for n := range 1000 {
		if err := l.Reserve(500); err != nil {
			t.Fatal(err)
		}
		mustAppend(t, l, landed(n))
	}
	if size := len(mustBytes(t, l)); reserved < 2 || reserved > size/minRoom {
		t.Errorf("%d reservations for %d bytes", reserved, size)
	}
	mustHaveOnce(t, l, 1000) // and the room is no part of the file
}
