package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// faults are injected into workers, Redis and the store. Those that take long are
// for long runs only.
var faults = []struct {
	name   string
	weight int
	long   bool
	inject func(*chaos, *testing.T) bool
}{
	{"worker killed", 12, false, func(c *chaos, _ *testing.T) bool { return c.workers.signal(c.anyone(), syscall.SIGKILL) }},
	{"worker terminated", 3, false, func(c *chaos, _ *testing.T) bool { return c.workers.terminate(c.anyone()) }},
	{"worker frozen past its lease", 2, true, func(c *chaos, _ *testing.T) bool {
		return c.workers.freeze(c.anyone(), 35*time.Second+c.upTo(75*time.Second))
	}},
	{"worker frozen with the ledger's lock", 2, true, (*chaos).freezeLedger},
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

// injectFaults injects one fault after the other for the duration of -chaos.
func (c *chaos) injectFaults(t *testing.T) {
	for end := time.Now().Add(*chaosFor); time.Now().Before(end) && !t.Failed(); {
		time.Sleep(500*time.Millisecond + c.upTo(2500*time.Millisecond))
		if fault := faults[c.pickFault()]; fault.inject(c, t) {
			c.injected[fault.name]++
		}
	}
}

// pickFault returns the index of a random fault, by their weights.
func (c *chaos) pickFault() int {
	sum := 0
	for _, fault := range faults {
		sum += fault.weight
	}
	for {
		n := c.random.IntN(sum)
		i := 0
		for ; n >= faults[i].weight; i++ {
			n -= faults[i].weight
		}
		if *chaosFor >= time.Minute || !faults[i].long {
			return i
		}
	}
}

func (c *chaos) anyone() int { return c.random.IntN(len(c.workers.workers)) }

// freezeLedger freezes a worker while it holds the lock of the ledger, for longer than
// the others wait for that.
func (c *chaos) freezeLedger(*testing.T) bool {
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		i := c.anyone()
		if !c.hasLedger(i) || !c.workers.signal(i, syscall.SIGSTOP) {
			continue
		}
		if c.hasLedger(i) { // still
			return c.workers.freeze(i, 6*time.Second+c.upTo(20*time.Second))
		}
		c.workers.signal(i, syscall.SIGCONT)
	}
	return false
}

// hasLedger reports whether a worker holds the lock of the ledger, by what the system
// says of all locks.
func (c *chaos) hasLedger(i int) bool {
	months, _ := filepath.Glob(filepath.Join(c.archive, ".ledger", "*.jsonl"))
	locks, err := os.ReadFile("/proc/locks")
	pid := c.workers.pid(i)
	return err == nil && pid > 0 && slices.ContainsFunc(months, func(month string) bool {
		info, err := os.Stat(month)
		return err == nil && regexp.MustCompile(fmt.Sprintf(`FLOCK +ADVISORY +WRITE %d [0-9a-f]+:[0-9a-f]+:%d `, pid, info.Sys().(*syscall.Stat_t).Ino)).Match(locks)
	})
}

// without kills Redis, and starts it again after a while with everything but what
// it heard in its last second.
func (c *chaos) without(t *testing.T, long time.Duration) bool {
	c.redis.Kill()
	time.Sleep(long)
	restart(t, c.redis)
	return true
}

// empty empties Redis. The archive still knows what was begun.
func (c *chaos) empty(t *testing.T) bool {
	c.must(t, "FLUSHALL")
	c.mayFail(t, c.command(t, "requeue"))
	return true
}

// pause lets Redis answer nobody for a while, not even the one who paused it.
func (c *chaos) pause(t *testing.T, long time.Duration) bool {
	c.listens(t)
	c.redis.Send(fmt.Sprintf("CLIENT PAUSE %d", long.Milliseconds()))
	return true
}

// meanwhile sends Redis a command, and another one after a while.
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

// freezeRedis stops Redis for a while: its connections stay open, unanswered.
func (c *chaos) freezeRedis(*testing.T) bool {
	c.redis.Process.Signal(syscall.SIGSTOP)
	time.Sleep(c.upTo(20 * time.Second))
	c.redis.Process.Signal(syscall.SIGCONT)
	return true
}

// refuse lets the store and the API answer 503 to everything for a while.
func (c *chaos) refuse(*testing.T) bool {
	c.store.down.Store(true)
	time.Sleep(c.upTo(5 * time.Second))
	c.store.down.Store(false)
	return true
}
