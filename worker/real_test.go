package worker

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// required reports whether what a test needs must be there.
func required(name string) bool {
	return slices.Contains(strings.Split(os.Getenv("TALLYMAN_REQUIRE"), ","), name)
}

// A realRedis is a redis-server of its own, that ends with the test.
type realRedis struct {
	client redis.UniversalClient
	socket string
	path   string
	args   []string
	stop   func()
}

// startRedis starts one on a socket, with more arguments.
func startRedis(t testing.TB, args ...string) *realRedis {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil && required("redis") {
		t.Fatal("TALLYMAN_REQUIRE lists redis: ", err)
	}
	if err != nil {
		t.Skip("there is no redis-server")
	}
	dir, err := os.MkdirTemp("", "redis") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	r := &realRedis{socket: socket, path: path, args: append([]string{"--port", "0", "--unixsocket", socket, "--dir", dir,
		"--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"}, args...)}
	r.client = r.dial(t, "")
	t.Cleanup(func() { r.client.Close(); r.stop(); os.RemoveAll(dir) })
	r.start(t)
	return r
}

// dial is a client that a test can wait for. Its user is USER:PASSWORD@, or "".
func (r *realRedis) dial(t testing.TB, user string) redis.UniversalClient {
	t.Helper()
	client, err := NewRedisClient(RedisOptions{URL: "unix://" + user + r.socket + "?max_retries=3"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func (r *realRedis) start(t testing.TB) {
	t.Helper()
	var said bytes.Buffer
	cmd := exec.Command(r.path, r.args...)
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	r.stop = func() {
		cmd.Process.Kill()
		ended <- <-ended
	}
	for {
		err := r.client.Ping(context.Background()).Err()
		if err == nil || strings.HasPrefix(err.Error(), "NOAUTH") || strings.HasPrefix(err.Error(), "LOADING") {
			return
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("redis-server ended: %v: %s", err, &said)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// restart ends it, with all that it knows, and starts it anew.
func (r *realRedis) restart(t testing.TB) {
	t.Helper()
	r.stop()
	r.start(t)
}

// configure changes a setting while it runs.
func (r *realRedis) configure(t testing.TB, name, value string) {
	t.Helper()
	if err := r.client.ConfigSet(t.Context(), name, value).Err(); err != nil {
		t.Fatal(err)
	}
}

// A store is one of the two that a queue may be in.
type redisServer struct {
	client redis.UniversalClient
	dial   func() redis.UniversalClient
	flush  func() // all that it knows
}

// onEachRedis runs a test on a Redis in the process, and on a real one.
func onEachRedis(t *testing.T, do func(*testing.T, redisServer)) {
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		p := newFakeRedis(t)
		do(t, redisServer{p.client, func() redis.UniversalClient {
			c := p.dial()
			t.Cleanup(func() { c.Close() })
			return c
		}, p.FlushAll})
	})
	t.Run("real", func(t *testing.T) {
		t.Parallel()
		r := startRedis(t)
		do(t, redisServer{r.client, func() redis.UniversalClient { return r.dial(t, "") }, func() { r.client.FlushAll(context.Background()) }})
	})
}
