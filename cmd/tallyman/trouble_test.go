package main

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// troubles are what befalls workers, Redis and the store. Those that take long
// are for long runs only.
var troubles = []struct {
	name   string
	weight int
	long   bool
	strike func(*chaos, *testing.T) bool
}{
	{"worker killed", 12, false, func(c *chaos, _ *testing.T) bool { return c.workers.signal(c.anyone(), syscall.SIGKILL) }},
	{"worker terminated", 3, false, func(c *chaos, _ *testing.T) bool { return c.workers.terminate(c.anyone()) }},
	{"worker frozen past its lease", 2, true, func(c *chaos, _ *testing.T) bool {
		return c.workers.freeze(c.anyone(), 35*time.Second+c.upTo(75*time.Second))
	}},
	{"redis killed", 4, false, func(c *chaos, t *testing.T) bool { return c.without(t, c.upTo(3*time.Second)) }},
	{"redis gone for a minute", 1, true, func(c *chaos, t *testing.T) bool { return c.without(t, time.Minute) }},
	{"redis emptied", 2, false, (*chaos).empty},
	{"redis read-only", 2, false, func(c *chaos, t *testing.T) bool {
		return c.meanwhile(t, "REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", c.upTo(5*time.Second))
	}},
	{"redis out of memory", 1, false, func(c *chaos, t *testing.T) bool {
		return c.meanwhile(t, "CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", c.upTo(5*time.Second))
	}},
	{"redis paused", 1, false, func(c *chaos, t *testing.T) bool { return c.pause(t, c.upTo(4*time.Second)) }},
	{"redis paused for 20 s", 1, true, func(c *chaos, t *testing.T) bool { return c.pause(t, 20*time.Second) }},
	{"redis frozen", 1, true, (*chaos).freezeRedis},
	{"store refuses", 1, false, (*chaos).refuse},
}

// trouble makes it for as long as it is to last.
func (c *chaos) trouble(t *testing.T) {
	for end := time.Now().Add(*chaosFor); time.Now().Before(end) && !t.Failed(); {
		time.Sleep(500*time.Millisecond + c.upTo(2500*time.Millisecond))
		if trouble := troubles[c.next()]; trouble.strike(c, t) {
			c.strikes[trouble.name]++
		}
	}
}

// next picks one of the troubles, by their weights.
func (c *chaos) next() int {
	sum := 0
	for _, trouble := range troubles {
		sum += trouble.weight
	}
	for {
		n := c.random.IntN(sum)
		i := 0
		for ; n >= troubles[i].weight; i++ {
			n -= troubles[i].weight
		}
		if *chaosFor >= time.Minute || !troubles[i].long {
			return i
		}
	}
}

func (c *chaos) anyone() int { return c.random.IntN(len(c.workers.workers)) }

// without is Redis killed, and back after a while with all but its last second.
func (c *chaos) without(t *testing.T, long time.Duration) bool {
	c.redis.Kill()
	time.Sleep(long)
	restart(t, c.redis)
	return true
}

// empty has Redis forget all, of which the archive knows what was begun.
func (c *chaos) empty(t *testing.T) bool {
	c.must(t, "FLUSHALL")
	c.mayFail(t, c.command(t, "requeue"))
	return true
}

// pause has Redis answer nobody for a while, not even that it will.
func (c *chaos) pause(t *testing.T, long time.Duration) bool {
	c.listens(t)
	c.redis.Send(fmt.Sprintf("CLIENT PAUSE %d", long.Milliseconds()))
	return true
}

// meanwhile says something to Redis, and after a while something else.
func (c *chaos) meanwhile(t *testing.T, first, then string, long time.Duration) bool {
	c.must(t, first)
	time.Sleep(long)
	c.must(t, then)
	return true
}

func (c *chaos) must(t *testing.T, command string) {
	c.listens(t)
	if said := c.redis.Send(command); !strings.Contains(said, "+OK") {
		t.Errorf("redis: %s: %s", command, said)
	}
}

func (c *chaos) listens(t *testing.T) {
	waitFor(t, "an answer of Redis", func() bool { return strings.Contains(c.redis.Send("PING"), "PONG") })
}

// freezeRedis leaves its connections open and unanswered.
func (c *chaos) freezeRedis(*testing.T) bool {
	c.redis.Process.Signal(syscall.SIGSTOP)
	time.Sleep(c.upTo(20 * time.Second))
	c.redis.Process.Signal(syscall.SIGCONT)
	return true
}

// refuse has the store and the API answer 503 to all.
func (c *chaos) refuse(*testing.T) bool {
	c.store.unwell.Store(true)
	time.Sleep(c.upTo(5 * time.Second))
	c.store.unwell.Store(false)
	return true
}
