//go:build unix

package ledger

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestWhatRootMakesBelongsToTheOwnerOfTheArchive(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	l := newLedger(t)
	const user, group = 12345, 54321
	if err := os.Chown(filepath.Dir(l.dir), user, group); err != nil {
		t.Skip(err) // in a container whose root may not
	}
	mustAppend(t, l, landed(1))
	defer hold(t, l)()
	l.frozen = true
	mustAppend(t, l, landed(2))
	paths, _ := filepath.Glob(filepath.Join(l.dir, "*"))
	for _, path := range append(paths, l.dir) {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if s := info.Sys().(*syscall.Stat_t); s.Uid != user || s.Gid != group {
			t.Errorf("%s is of %d:%d", path, s.Uid, s.Gid)
		}
	}
	if len(paths) != 2 {
		t.Errorf("%q", paths)
	}
}
