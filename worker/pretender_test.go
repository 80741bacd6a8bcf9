package worker

import (
	"context"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"
)

// A pretender is a Redis in the process, that needs no port and keeps the time
// of a bubble.
type pretender struct {
	*miniredis.Miniredis
	client redis.UniversalClient
	gone   atomic.Bool

	mu    sync.Mutex
	facts map[string]string // that INFO tells
}

func pretend(t testing.TB) *pretender {
	t.Helper()
	p := &pretender{Miniredis: miniredis.NewMiniRedis(), facts: map[string]string{
		"redis_version": "7.0.15", "run_id": "1", "maxmemory_policy": "noeviction",
	}}
	p.client = p.dial()
	t.Cleanup(func() { p.client.Close(); p.Close() })
	if err := p.client.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	p.ClockTTL(true)
	p.Server().SetPreHook(p.info)
	return p
}

func (p *pretender) dial() redis.UniversalClient {
	client := redis.NewClient(&redis.Options{
		Addr:            "127.0.0.1:0", // a name would be looked up
		Dialer:          func(context.Context, string, string) (net.Conn, error) { return p.reach() },
		DisableIdentity: true,
	})
	client.AddHook(unhurried{})
	return client
}

func (p *pretender) reach() (net.Conn, error) {
	if p.gone.Load() {
		return nil, syscall.ECONNREFUSED
	}
	conn, err := p.Dial()
	return &wire{conn, &p.gone}, err
}

// A wire is a connection that ends when the other side is gone.
type wire struct {
	net.Conn
	gone *atomic.Bool
}

func (w *wire) Write(b []byte) (int, error) {
	if w.gone.Load() {
		w.Close()
		return 0, syscall.ECONNRESET
	}
	return w.Conn.Write(b)
}

// info answers INFO, of which miniredis knows little.
func (p *pretender) info(c *server.Peer, command string, _ ...string) bool {
	if command != "INFO" {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var said strings.Builder
	for _, name := range slices.Sorted(maps.Keys(p.facts)) {
		said.WriteString(name + ":" + p.facts[name] + "\r\n")
	}
	c.WriteBulk(said.String())
	return true
}

func (p *pretender) tell(name, value string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.facts[name] = value
}
