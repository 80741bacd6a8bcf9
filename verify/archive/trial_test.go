package archive

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What a file system lacks is found by trying it, and a trial leaves nothing behind.
func TestATrialFindsWhatAFileSystemLacks(t *testing.T) {
	t.Parallel()
	refuse := func(op, name string) func(string, string) error {
		return func(did, path string) error {
			if did == op && strings.Contains(path, name) {
				return &os.PathError{Op: op, Path: path, Err: syscall.EPERM}
			}
			return nil
		}
	}
	for name, test := range map[string]struct {
		step func(op, path string) error
		held func(string) (bool, error)
		want string // the trial that fails, or ""
	}{
		"all is well":              {nil, IsTrialHeld, ""},
		"read-only":                {refuse("mkdir", "trial-"), IsTrialHeld, "write"},
		"no rename":                {refuse("rename", "landed"), IsTrialHeld, "rename"},
		"no hard links":            {refuse("link", "link"), IsTrialHeld, "hard links"},
		"no locks":                 {refuse("lock", "lock"), IsTrialHeld, "locks"},
		"locks of a machine alone": {nil, func(string) (bool, error) { return false, nil }, "locks between processes"},
		"locks that never end":     {nil, func(string) (bool, error) { return true, nil }, "locks between processes"},
		"no other process":         {nil, func(string) (bool, error) { return false, errors.New("no process") }, "locks between processes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, err := Open(filepath.Join(t.TempDir(), "archive"), "", SiteAbsent)
			if err != nil {
				t.Fatal(err)
			}
			if test.step != nil {
				a.step = test.step
			}
			failed, names := "", []string{}
			for _, trial := range a.Try(test.held) {
				if names = append(names, trial.Name); trial.Err != nil {
					failed += trial.Name
				}
			}
			if failed != test.want {
				t.Errorf("%q failed, want %q", failed, test.want)
			}
			if want := []string{"write", "rename", "hard links", "locks", "locks between processes"}; test.want == "" && !cmp.Equal(names, want) {
				t.Errorf("tried %q, want %q", names, want)
			}
			if left, err := os.ReadDir(filepath.Join(a.dir, ingestDir)); err != nil || len(left) > 0 {
				t.Errorf("it left %v, %v", left, err)
			}
		})
	}
}

// What a trial that was killed left behind goes with the next.
func TestATrialClearsUpAfterOneThatWasKilled(t *testing.T) {
	t.Parallel()
	a, err := Open(filepath.Join(t.TempDir(), "archive"), "", SiteAbsent)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(a.dir, ingestDir, trialPrefix+"DEAD")
	if err := a.tryWrite(dir); err != nil {
		t.Fatal(err)
	}
	if release, err := a.tryLocks(dir); err != nil {
		t.Fatal(err)
	} else {
		release()
	}
	a.Try(nil)
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}
