package worker

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if _, err := os.Stat("/dev/shm"); err == nil && os.Getenv("TMPDIR") == "" { // thousands of fsyncs that tell nothing of a real disk
		os.Setenv("TMPDIR", "/dev/shm")
	}
	LogRedis(nil)
	goleak.VerifyTestMain(m)
}
