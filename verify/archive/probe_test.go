package archive

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"testing"
)

// A probe leaves nothing behind, and finds what would keep attempts from beginning.
func TestAProbeTriesWhatAttemptsNeed(t *testing.T) {
	a := mustOpen(t, t.TempDir())
	if err := a.Probe(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(a.runsPath()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it leaves %s: %v", a.runsPath(), err)
	}
	a.step = func(step, _ string) error {
		if step == "lock" {
			return syscall.EROFS
		}
		return nil
	}
	if err := a.Probe(); !errors.Is(err, syscall.EROFS) {
		t.Errorf("Probe = %v, want %v", err, syscall.EROFS)
	}
}
