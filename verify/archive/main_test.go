package archive

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"go.uber.org/goleak"
)

// childVar makes the test binary run child with the archive in that directory.
const childVar = "ARCHIVE_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childVar); dir != "" {
		fmt.Print(child(dir))
		return
	}
	if _, err := os.Stat("/dev/shm"); err == nil && os.Getenv("TMPDIR") == "" { // the tests make thousands of fsyncs
		os.Setenv("TMPDIR", "/dev/shm")
	}
	goleak.VerifyTestMain(m)
}

// child opens the archive, tries to begin the export of the tests, and returns what
// happened.
func child(dir string) string {
	a, err := Open(dir, "", SiteOccupied)
	if err != nil {
		return err.Error()
	}
	in, err := a.Begin(context.Background(), testRef, testKey)
	switch {
	case errors.Is(err, ErrBusy):
		return a.ID() + " busy"
	case errors.Is(err, ErrLanded):
		return a.ID() + " landed"
	case err != nil:
		return err.Error()
	}
	return fmt.Sprint(a.ID(), " begun", in.Close())
}

func inAnotherProcess(dir string) (string, error) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVar+"="+dir)
	out, err := cmd.Output()
	return string(out), err
}
