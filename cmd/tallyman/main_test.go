package main

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"tallyman/fetch/fetchtest"
)

// TestMain makes the test binary the command too, when it is called by that
// name. Most tests wait for processes most of the time, so more of them run at
// once than there are processors.
func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", "8")
	testscript.Main(m, map[string]func(){"tallyman": main, "bench": benchMain})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Files:              scripts(t),
		RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			for name, value := range environment(e.WorkDir) {
				e.Setenv(name, value)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"cloud": cloudCommand, "exits": exitsCommand, "files": filesCommand, "flipbit": flipCommand, "jsonlines": jsonCommand, "metrics": metricsCommand, "port": portCommand, "redis": redisCommand,
			"serve": serveCommand, "terminate": terminateCommand, "until": untilCommand,
		},
		Condition: func(name string) (bool, error) {
			return name == "root" && os.Getuid() == 0 || name == "redis" && fetchtest.HasRedis(), nil
		},
	})
}

// concurrent are the scripts that a short run has: those in which several
// goroutines or processes have to do with one export.
var concurrent = []string{"cancel", "interrupted_transfer", "many", "retry_queue", "waiting", "worker"}

func scripts(t *testing.T) []string {
	t.Helper()
	all, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil || len(all) == 0 {
		t.Fatal("no scripts: ", err)
	}
	if testing.Short() {
		all = slices.DeleteFunc(all, func(path string) bool {
			return !slices.Contains(concurrent, strings.TrimSuffix(filepath.Base(path), ".txtar"))
		})
	}
	return all
}

// startsManyProcesses leaves a test out of a short run, which has the race
// detector: these processes run one after the other, and what each does has
// tests in the packages that do it. .ci/nightly runs them with the detector.
func startsManyProcesses(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("it starts many processes")
	}
}

// environment keeps a command from what is outside its test.
func environment(dir string) map[string]string {
	return map[string]string{
		"HOME":                                dir,
		"ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true",
		"ALIBABA_CLOUD_ACCESS_KEY_ID":         accessKeyID,
		"ALIBABA_CLOUD_ACCESS_KEY_SECRET":     accessKeySecret,
		"TALLYMAN_POLL":                       "10ms",
		"TALLYMAN_API_RATE":                   "0",
		"GORACE":                              "atexit_sleep_ms=0",
	}
}

// exitsCommand is "exits CODE COMMAND ARGS...".
func exitsCommand(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	if code := exitOf(err); code != want {
		ts.Fatalf("exit code %d, want %d: %v", code, want, err)
	}
}

// exitOf is the exit code behind what Run or Wait of a command returned; -1 if
// it was not started, or ended by a signal.
func exitOf(err error) int {
	if err == nil {
		return 0
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	return -1
}

// flipCommand is "flipbit FILE": it damages a file as a disk does.
func flipCommand(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	b, err := os.ReadFile(path)
	ts.Check(err)
	b[len(b)/2] ^= 1
	ts.Check(os.Remove(path))
	ts.Check(os.WriteFile(path, b, 0o444))
}

// jsonCommand is "jsonlines FILE [stateless]": each of its lines is an object
// that names its schema, and a state.
func jsonCommand(ts *testscript.TestScript, _ bool, args []string) {
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		var object struct{ Schema, State string }
		ts.Check(json.Unmarshal([]byte(line), &object))
		if object.Schema == "" || object.State == "" && len(args) < 2 {
			ts.Fatalf("no schema or state: %s", line)
		}
	}
}

// untilCommand is "until PATTERN COMMAND ARGS...": the command is run until its
// stdout matches.
func untilCommand(ts *testscript.TestScript, _ bool, args []string) {
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	pause := 50 * time.Millisecond // to look takes a process, so it looks less and less often
	for end := time.Now().Add(time.Minute); ; pause = min(pause*3/2, 400*time.Millisecond) {
		time.Sleep(pause)
		err := ts.Exec(args[1], args[2:]...)
		switch said := ts.ReadFile("stdout"); {
		case pattern.MatchString(said):
			return
		case time.Now().After(end):
			ts.Fatalf("it says %s%s: %v", said, ts.ReadFile("stderr"), err)
		}
	}
}

// terminateCommand is "terminate": it sends SIGTERM to what runs in the
// background, which is waited for by "wait".
func terminateCommand(ts *testscript.TestScript, _ bool, _ []string) {
	for _, cmd := range ts.BackgroundCmds() {
		ts.Check(cmd.Process.Signal(syscall.SIGTERM))
	}
}
