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

// A fakeRedis is a Redis in the process. It needs no port, and runs by the clock of
// a synctest bubble.
type fakeRedis struct {
	*miniredis.Miniredis
	client  redis.UniversalClient
	offline atomic.Bool // nobody listens
	silent  atomic.Bool // packets are dropped on the way to it

	mu         sync.Mutex
	infoFields map[string]string // what INFO answers
}

func newFakeRedis(t testing.TB) *fakeRedis {
	t.Helper()
	p := &fakeRedis{Miniredis: miniredis.NewMiniRedis(), infoFields: map[string]string{
		"redis_version": "7.0.15", "run_id": "1", "maxmemory_policy": "noeviction",
	}}
	p.client = p.dial()
	t.Cleanup(func() { p.client.Close(); p.Close() })
	if err := p.client.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	p.ClockTTL(true)
	p.Server().SetPreHook(p.answer)
	return p
}

func (p *fakeRedis) dial() redis.UniversalClient {
	return p.dialWith(&patience{limit: redisPatience, worker: true})
}

func (p *fakeRedis) dialWith(hook *patience) redis.UniversalClient {
	client := redis.NewClient(&redis.Options{
		Addr:            "127.0.0.1:0", // a name would be looked up
		Dialer:          func(ctx context.Context, _, _ string) (net.Conn, error) { return p.connect(ctx) },
		DisableIdentity: true, MaxRetries: -1, DialerRetries: 1,
	})
	client.AddHook(hook)
	return client
}

func (p *fakeRedis) connect(ctx context.Context) (net.Conn, error) {
	if p.silent.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if p.offline.Load() {
		return nil, syscall.ECONNREFUSED
	}
	conn, err := p.Dial()
	return &fakeConn{conn, p}, err
}

// A fakeConn is a connection that breaks when its Redis is offline. If packets are
// dropped, it stays open: go-redis would connect for its subscriptions anew, under a
// lock, and in a synctest bubble time stands still while others wait for that.
type fakeConn struct {
	net.Conn
	redis *fakeRedis
}

func (w *fakeConn) Write(b []byte) (int, error) {
	if w.redis.offline.Load() {
		w.Close()
		return 0, syscall.ECONNRESET
	}
	if w.redis.silent.Load() {
		return len(b), nil
	}
	return w.Conn.Write(b)
}

// answer answers INFO, which miniredis hardly does, and what asynq asks all the time of
// queues in which there is nothing.
func (p *fakeRedis) answer(c *server.Peer, command string, args ...string) bool {
	switch {
	case command == "INFO":
		p.answerInfo(c)
	case command == "EVALSHA" && len(args) > 2 && args[0] == dequeueScript && !p.Exists(args[2]):
		c.WriteNull()
	case command == "EVALSHA" && len(args) > 2 && args[0] == forwardScript && !p.Exists(args[2]):
		c.WriteInt(0)
	default:
		return false
	}
	return true
}

// The scripts by which asynq takes a task from a queue, and moves what is due into it. Each
// keeps its tasks under its first key. Without tasks they change nothing, and miniredis
// makes an interpreter for each call, which would be two thirds of what the tests take.
const (
	dequeueScript = "a8153319360adc71cdc370107f8ab9786f204765"
	forwardScript = "522b1a6ae66fe79ea2f24a9af58798ab71879035"
)

func (p *fakeRedis) answerInfo(c *server.Peer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var said strings.Builder
	for _, name := range slices.Sorted(maps.Keys(p.infoFields)) {
		said.WriteString(name + ":" + p.infoFields[name] + "\r\n")
	}
	c.WriteBulk(said.String())
}

func (p *fakeRedis) setInfo(name, value string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.infoFields[name] = value
}
