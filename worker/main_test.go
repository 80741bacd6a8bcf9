package worker

import (
	"os"
	"runtime/debug"
	"testing"

	lua "github.com/yuin/gopher-lua"
	"go.uber.org/goleak"

	_ "tallyman/fetch/dbs"
	_ "tallyman/fetch/dms"
	_ "tallyman/fetch/oss"
	_ "tallyman/fetch/sls"
	_ "tallyman/fetch/web"
)

func TestMain(m *testing.M) {
	if _, err := os.Stat("/dev/shm"); err == nil && os.Getenv("TMPDIR") == "" { // the tests sync thousands of files
		os.Setenv("TMPDIR", "/dev/shm")
	}
	debug.SetGCPercent(1000)                      // the heap is a few MB, and a Redis in the process fills it many times a second
	lua.RegistrySize, lua.CallStackSize = 512, 64 // that Redis makes an interpreter for each script, and they are small
	SetRedisLogger(nil)
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial")) // it ends within a second of its pool
}
