package main

import (
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// A redisServer is a real one, with its files in a directory of the test.
type redisServer struct {
	dir  string
	port int
	cmd  *exec.Cmd

	password string // of the default user, for say
}

// newRedis starts one that outlives being killed by no more than its last
// second.
func newRedis(t *testing.T) *redisServer {
	t.Helper()
	if !hasRedis() {
		t.Skip("there is no redis-server")
	}
	r, err := launchRedis(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.kill)
	return r
}

// hasRedis reports whether tests may ask for one. Where one is required, its
// absence is theirs to find.
func hasRedis() bool {
	_, err := exec.LookPath("redis-server")
	return err == nil || required("redis")
}

func launchRedis(dir string) (*redisServer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l.Close()
	r := &redisServer{dir: dir, port: l.Addr().(*net.TCPAddr).Port}
	return r, r.launch()
}

func (r *redisServer) url() string { return fmt.Sprintf("redis://127.0.0.1:%d", r.port) }

func (r *redisServer) start(t *testing.T) {
	t.Helper()
	if err := r.launch(); err != nil {
		t.Fatal(err)
	}
}

func (r *redisServer) launch() error {
	r.cmd = exec.Command("redis-server", "--bind", "127.0.0.1", "--port", fmt.Sprint(r.port), "--dir", r.dir,
		"--save", "", "--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction", "--logfile", "log")
	if err := r.cmd.Start(); err != nil {
		return err
	}
	for end := time.Now().Add(20 * time.Second); !strings.Contains(r.say("PING"), "PONG"); {
		if time.Now().After(end) {
			r.kill()
			return fmt.Errorf("redis-server does not answer: %s", r.say("PING"))
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil
}

func (r *redisServer) kill() {
	r.cmd.Process.Kill()
	r.cmd.Wait()
}

// say sends one command and returns the beginning of the answer, or "".
func (r *redisServer) say(command string) string {
	conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", r.port), time.Second)
	if err != nil {
		return ""
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	if r.password != "" {
		command = "AUTH " + r.password + "\r\n" + command
	}
	fmt.Fprintf(conn, "%s\r\nQUIT\r\n", command)
	answer, _ := io.ReadAll(conn)
	text := strings.TrimSuffix(string(answer), "+OK\r\n") // to QUIT
	if r.password != "" {
		text = strings.TrimPrefix(text, "+OK\r\n")
	}
	return text
}

// memory is all that it holds, as it is written to disk, and all that it was
// told to change since it began.
func (r *redisServer) memory() (string, error) {
	if said := r.say("CONFIG SET rdbcompression no") + r.say("SAVE"); strings.Count(said, "+OK") != 2 {
		return "", fmt.Errorf("redis does not save: %s", said)
	}
	var all strings.Builder
	err := filepath.WalkDir(r.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		all.Write(b)
		return err
	})
	return all.String(), err
}

// redises are those of the scripts that run, by the directory of each.
var redises sync.Map

// redisCommand drives the Redis of a script:
//
//	redis start                sets REDIS_URL, and REDIS_HOST to its host and port
//	redis stop, redis again    as a crash, and what comes after it
//	redis flush                it forgets all
//	redis say COMMAND...       which is to be done
//	redis password PASSWORD    that it wants from now on
//	redis memory FILE          writes all that it holds, and was told, to a file
func redisCommand(ts *testscript.TestScript, _ bool, args []string) {
	if args[0] == "start" {
		startRedis(ts)
		return
	}
	stored, _ := redises.Load(ts.Getenv("WORK"))
	r := stored.(*redisServer)
	switch args[0] {
	case "stop":
		r.kill()
	case "again":
		ts.Check(r.launch())
	case "flush":
		r.mustSay(ts, "FLUSHALL")
	case "say":
		r.mustSay(ts, strings.Join(args[1:], " "))
	case "password":
		r.mustSay(ts, "CONFIG SET requirepass "+args[1])
		r.password = args[1]
	case "memory":
		all, err := r.memory()
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(all), 0o644))
	default:
		ts.Fatalf("redis %s: no such thing", args[0])
	}
}

func startRedis(ts *testscript.TestScript) {
	dir := ts.MkAbs("redis")
	ts.Check(os.Mkdir(dir, 0o755))
	r, err := launchRedis(dir)
	ts.Check(err)
	ts.Defer(r.kill)
	redises.Store(ts.Getenv("WORK"), r)
	ts.Setenv("REDIS_URL", r.url())
	ts.Setenv("REDIS_HOST", strings.TrimPrefix(r.url(), "redis://"))
}

func (r *redisServer) mustSay(ts *testscript.TestScript, command string) {
	if answer := r.say(command); answer == "" || answer[0] == '-' {
		ts.Fatalf("redis: %s: %q", command, answer)
	}
}
