package worker

import (
	"os"
	"runtime/debug"
	"testing"

	"go.uber.org/goleak"

	_ "tallyman/fetch/dbs"
	_ "tallyman/fetch/dms"
	_ "tallyman/fetch/oss"
	_ "tallyman/fetch/sls"
	_ "tallyman/fetch/web"
)

func TestMain(m *testing.M) {
	if _, err := os.Stat("/dev/shm"); err == nil && os.Getenv("TMPDIR") == "" { // thousands of fsyncs that tell nothing of a real disk
		os.Setenv("TMPDIR", "/dev/shm")
	}
	debug.SetGCPercent(1000) // of a few MB, which a Redis in the process fills many times a second
	SetRedisLogger(nil)
	goleak.VerifyTestMain(m)
}
