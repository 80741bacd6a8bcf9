package worker

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2/server"

	"tallyman/fetch"
	"tallyman/verify/archive"
)

// replyError answers every command with an error.
func replyError(text string) func(*server.Peer) {
	return func(c *server.Peer) { c.WriteError(text) }
}

// outages are the ways in which a Redis may fail for a while: what it answers, what
// the error of Enqueue says meanwhile, and which error that is.
var outages = map[string]struct {
	answer func(*server.Peer)
	says   string
	is     error
}{
	"gone":           {nil, "redis is not available", ErrRedis},
	"silent":         {func(c *server.Peer) { time.Sleep(20 * time.Second); c.WriteError("ERR at last") }, "redis is not available", ErrRedis},
	"read-only":      {replyError("READONLY You can't write against a read only replica."), "name the primary", ErrRedis},
	"no replicas":    {replyError("NOREPLICAS Not enough good replicas to write."), "min-replicas-to-write", ErrRedis},
	"out of memory":  {replyError("OOM command not allowed when used memory > 'maxmemory'."), "a larger maxmemory", ErrRedis},
	"no disk":        {replyError("MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk."), "see its log", ErrRedis},
	"loading":        {replyError("LOADING Redis is loading the dataset in memory"), "before it was started", ErrRedis},
	"wants password": {replyError("NOAUTH Authentication required."), "it needs a password", ErrNoRedisPassword},
	"wrong password": {replyError("WRONGPASS invalid username-password pair or user is disabled."), "password is wrong", ErrUnsuitableRedis},
	"lacks rights":   {replyError("NOPERM this user has no permissions to run the 'evalsha' command"), "lacks rights", ErrUnsuitableRedis},
	"nonsense":       {func(c *server.Peer) { c.WriteRaw("?!\r\n") }, "redis is not available", ErrRedis},
}

func TestTwoMinutesWithoutRedisUseNoAttempt(t *testing.T) {
	t.Parallel()
	for name, away := range outages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { testOutage(t, away.answer, away.says, away.is) })
		})
	}
}

func testOutage(t *testing.T, answer func(*server.Peer), says string, is error) {
	w, ref, away := &Worker{TaskCheckInterval: 2 * time.Second}, parseRef(t, jobRef), atomic.Bool{}
	p := (&scriptedFetcher{}).setUp(t, w)
	p.Server().SetPreHook(func(c *server.Peer, command string, args ...string) bool {
		if away.Load() && answer != nil && command != "PING" && command != "SUBSCRIBE" { // asynq holds a lock while it waits for these
			answer(c)
			return true
		}
		return p.answer(c, command, args...)
	})
	begun := make(chan bool, 10)
	w.Fetcher = &fakeFetcher{fetch: func(ctx context.Context, ref fetch.Ref) (*archive.Receipt, error) {
		begun <- true
		if err := fetch.Sleep(ctx, 90*time.Second); err != nil {
			return nil, err
		}
		return newFetcher(newProvider(0), w.Archive).Fetch(ctx, ref)
	}}
	ended := make(chan error, 10)
	w.OnEnd = func(_ fetch.Ref, _ *archive.Receipt, err error) { ended <- err }
	defer startWorker(t, w)()
	mustEnqueue(t, w.Queue, ref)
	<-begun
	synctest.Wait() // no script runs then: an answer that sleeps within one would keep miniredis's lock, and time would stand still
	away.Store(true)
	p.offline.Store(answer == nil)
	time.Sleep(time.Minute)
	if _, err := w.Queue.Enqueue(t.Context(), parseRef(t, jobRef+"2"), Options{}); !errors.Is(err, is) || !strings.Contains(err.Error(), says) {
		t.Errorf("meanwhile: %v", err)
	}
	time.Sleep(time.Minute)
	away.Store(false)
	p.offline.Store(false)
	if state, _, err := w.Archive.State(ref.Key()); err == nil && (state.Attempts != 0 || state.Phase != archive.Waiting) {
		t.Errorf("%+v", state)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Minute):
		t.Fatal("it did not land")
	}
	mustLand(t, w.Archive, ref)
}
