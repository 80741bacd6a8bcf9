package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// A redisServer is a real one, with its files in a directory of the test.
type redisServer struct {
	dir  string
	port int
	cmd  *exec.Cmd
}

// newRedis starts one that outlives being killed by no more than its last
// second.
func newRedis(t *testing.T) *redisServer {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if required("redis") {
			t.Fatal("TALLYMAN_REQUIRE lists redis: ", err)
		}
		t.Skip("there is no redis-server: ", err)
	}
	r := &redisServer{dir: t.TempDir(), port: freePort(t)}
	r.start(t)
	t.Cleanup(r.kill)
	return r
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func (r *redisServer) url() string { return fmt.Sprintf("redis://127.0.0.1:%d", r.port) }

func (r *redisServer) start(t *testing.T) {
	t.Helper()
	r.cmd = exec.Command("redis-server", "--bind", "127.0.0.1", "--port", fmt.Sprint(r.port), "--dir", r.dir,
		"--save", "", "--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction", "--logfile", "log")
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); !strings.Contains(r.say("PING"), "PONG"); {
		if time.Now().After(end) {
			t.Fatalf("redis-server does not answer: %s", r.say("PING"))
		}
		time.Sleep(10 * time.Millisecond)
	}
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
	fmt.Fprintf(conn, "%s\r\n", command)
	answer := make([]byte, 4096)
	n, _ := conn.Read(answer)
	return string(answer[:n])
}

// memory is all that it holds, as it would be written to disk.
func (r *redisServer) memory(t *testing.T) string {
	t.Helper()
	if said := r.say("SAVE"); !strings.HasPrefix(said, "+OK") {
		t.Fatalf("redis does not save: %s", said)
	}
	var all strings.Builder
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range append(entries, appendOnly(r.dir)...) {
		b, _ := os.ReadFile(r.dir + "/" + e.Name())
		all.Write(b)
		b, _ = os.ReadFile(r.dir + "/appendonlydir/" + e.Name())
		all.Write(b)
	}
	return all.String()
}

func appendOnly(dir string) []os.DirEntry {
	entries, _ := os.ReadDir(dir + "/appendonlydir")
	return entries
}
