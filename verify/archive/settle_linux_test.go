package archive

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// settleAsOther settles an archive as a user who owns no file of it. Only the thread
// becomes that user, and it ends with its goroutine.
func settleAsOther(t *testing.T, dir string) (unwritten, err error) {
	t.Helper()
	for _, up := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(up, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if err = syscall.Setfsuid(65534); err != nil {
			return
		}
		a, failed := OpenExisting(dir)
		if err = failed; err == nil {
			_, unwritten, err = a.Settle(t.Context())
		}
	}()
	<-done
	return unwritten, err
}

// Another user can look at an archive while a process writes to it, one of an earlier
// version too, whose batch that user may not read.
func TestSettleOfAnotherUserWhileAProcessRuns(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can become another user")
	}
	a, _ := mustLand(t, t.TempDir(), oneObject)
	in, err := a.Begin(t.Context(), testRef, testKey+"-other")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if unwritten, err := settleAsOther(t, a.dir); unwritten != nil || err != nil {
		t.Errorf("of a process that runs: %v, %v", unwritten, err)
	}
	if err := os.Chmod(filepath.Join(a.run.dir, batchFile), 0o600); err != nil {
		t.Fatal(err)
	}
	if unwritten, err := settleAsOther(t, a.dir); !errors.Is(unwritten, fs.ErrPermission) || err != nil {
		t.Errorf("of one whose batch can't be read: %v, %v", unwritten, err)
	}
}
