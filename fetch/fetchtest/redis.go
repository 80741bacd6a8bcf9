package fetchtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Required reports whether TALLYMAN_REQUIRE, a list with commas, names
// something that tests may need: where it does, a test fails if that is not
// there, instead of being skipped.
func Required(name string) bool {
	return slices.Contains(strings.Split(os.Getenv("TALLYMAN_REQUIRE"), ","), name)
}

// A Redis is a redis-server in a process of its own, that serves a port of
// 127.0.0.1 and a socket. It keeps its data in memory alone unless its arguments
// say otherwise. It is for one goroutine, but Send may be called by many.
type Redis struct {
	URL      string // redis://127.0.0.1:PORT
	Socket   string
	Dir      string      // of its files
	Password string      // of the default user, for Send; the server is told by CONFIG SET
	Process  *os.Process // of the server that was started last
	args     []string
	ended    chan struct{} // closed when it has ended
}

// HasRedis reports whether a test may ask for a Redis: there is one, or it is
// required, and its absence is a failure.
func HasRedis() bool {
	_, err := exec.LookPath("redis-server")
	return err == nil || Required("redis")
}

// StartRedis starts a Redis that ends with the test, with more arguments of
// redis-server. The test is skipped if there is none and none is required.
func StartRedis(t testing.TB, args ...string) *Redis {
	t.Helper()
	if !HasRedis() {
		t.Skip("there is no redis-server")
	}
	r, err := NewRedis(t.TempDir(), args...)
	if err == nil {
		t.Cleanup(r.Close)
		err = r.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// NewRedis returns a Redis that has not been started, with its files in that
// directory.
func NewRedis(dir string, args ...string) (*Redis, error) {
	addr, err := freeAddress()
	if err != nil {
		return nil, err
	}
	short, err := os.MkdirTemp("", "redis") // the path of a socket is short
	if err != nil {
		return nil, err
	}
	r := &Redis{URL: "redis://" + addr, Socket: filepath.Join(short, "s"), Dir: dir}
	r.args = append([]string{"--bind", "127.0.0.1", "--port", strings.TrimPrefix(addr, "127.0.0.1:"), "--unixsocket", r.Socket,
		"--dir", dir, "--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"}, args...)
	return r, nil
}

// NewSentinel returns a Sentinel that has not been started, with its files in that
// directory and such lines of configuration. It is a redis-server, too.
func NewSentinel(dir string, lines ...string) (*Redis, error) {
	r, err := NewRedis(dir)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "sentinel.conf") // which it writes to
	lines = append(lines, "unixsocket "+r.Socket, "dir "+dir, `save ""`)
	r.args = []string{file, "--sentinel"}
	return r, os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600)
}

// Start starts the server, and waits until it answers. After a Kill it has what
// its files have.
func (r *Redis) Start() error {
	var said bytes.Buffer
	cmd := exec.CommandContext(context.Background(), "redis-server", r.args...)
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		return err
	}
	r.Process, r.ended = cmd.Process, make(chan struct{})
	ended := r.ended
	go func() {
		defer close(ended)
		cmd.Wait()
	}()
	for end := time.Now().Add(2 * time.Minute); ; { // it may have much to load
		answer := r.Send("PING")
		if strings.Contains(answer, "PONG") || strings.Contains(answer, "NOAUTH") {
			return nil
		}
		if time.Now().After(end) {
			r.Kill()
			return fmt.Errorf("redis-server does not answer: %s", answer)
		}
		select {
		case <-ended:
			return fmt.Errorf("redis-server ended: %s", &said)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Kill ends the server as a crash does, and waits for its end.
func (r *Redis) Kill() {
	if r.Process != nil {
		r.Process.Kill()
		<-r.ended
	}
}

// Close ends the server and removes its socket.
func (r *Redis) Close() {
	r.Kill()
	os.RemoveAll(filepath.Dir(r.Socket))
}

// Send sends one command, and returns the beginning of the answer as it came
// over the wire, or "" if there was none.
func (r *Redis) Send(command string) string {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(context.Background(), "unix", r.Socket)
	if err != nil {
		return ""
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	if r.Password != "" {
		command = "AUTH " + r.Password + "\r\n" + command
	}
	// Sentinel knows no QUIT, and who must not PING gets no end.
	const end = "$3\r\nend\r\n"
	fmt.Fprintf(conn, "%s\r\nPING end\r\nQUIT\r\n", command)
	text, whole := "", false
	for b, err := make([]byte, 4096), error(nil); err == nil && !whole; {
		var n int
		n, err = conn.Read(b)
		text, _, whole = strings.Cut(text+string(b[:n]), end)
	}
	if !whole {
		text = strings.TrimSuffix(text, "+OK\r\n") // to QUIT
	}
	if r.Password != "" {
		text = strings.TrimPrefix(text, "+OK\r\n")
	}
	return text
}

// Must is Send of a command that has to succeed.
func (r *Redis) Must(command string) error {
	if answer := r.Send(command); answer == "" || answer[0] == '-' {
		return fmt.Errorf("redis: %s: %q", command, answer)
	}
	return nil
}

// Memory returns all that the server holds, as it is written to disk, and all
// that it was told to change since it began, if it keeps a file of that.
func (r *Redis) Memory() (string, error) {
	if err := errors.Join(r.Must("CONFIG SET rdbcompression no"), r.Must("SAVE")); err != nil {
		return "", err
	}
	var all strings.Builder
	err := filepath.WalkDir(r.Dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		all.Write(b)
		return err
	})
	return all.String(), err
}

// freeAddress returns a port of 127.0.0.1 that nobody listened to just now.
func freeAddress() (string, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
