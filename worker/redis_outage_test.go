package worker

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2/server"

	"tallyman/fetch"
)

// Two hours without Redis cost no export an attempt, whether one can't connect,
// packets are dropped, or Redis refuses. A worker says so when it begins, hourly,
// and when it is over, and then lands all.
func TestTwoHoursWithoutRedisAreToldAndPass(t *testing.T) {
	if testing.Short() {
		t.Skip("two hours are many tries")
	}
	t.Parallel()
	for name, away := range map[string]func(p *fakeRedis, away bool){
		"refused": func(p *fakeRedis, away bool) { p.offline.Store(away) },
		"dropped": func(p *fakeRedis, away bool) { p.silent.Store(away) },
		"full": func(p *fakeRedis, away bool) {
			p.SetError(map[bool]string{true: "OOM command not allowed when used memory > 'maxmemory'."}[away])
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, w := &scriptedFetcher{}, &Worker{TaskCheckInterval: 10 * time.Second}
				p := s.setUp(t, w)
				outage, told := newOutage("redis")
				client := p.dialWith(&patience{limit: redisPatience, outage: outage, worker: true})
				defer client.Close()
				w.Queue, w.Fetcher = NewQueue(client), newFetcher(newProvider(0), w.Archive)
				defer startWorker(t, w)()
				time.Sleep(time.Minute)
				refs := []fetch.Ref{parseRef(t, jobRef+"1"), parseRef(t, jobRef+"2"), parseRef(t, jobRef+"3")}
				for _, ref := range refs {
					mustEnqueue(t, NewQueue(p.client), ref)
				}
				away(p, true)
				time.Sleep(2*time.Hour - time.Minute)
				if n := len(told.said); n != 2 {
					t.Errorf("in two hours it said %d things: %q", n, told.said)
				}
				for _, ref := range refs {
					if state, _, err := w.Archive.State(ref.Key()); err == nil && state.Attempts != 0 {
						t.Errorf("%s: %d attempts", ref, state.Attempts)
					}
				}
				away(p, false)
				time.Sleep(10 * time.Minute)
				mustLand(t, w.Archive, refs...)
				if n := len(told.said); n != 3 || !strings.Contains(told.said[1], "still waiting") || !strings.Contains(told.said[n-1], "it is over") {
					t.Errorf("it said %q", told.said)
				}
			})
		})
	}
}

// A Redis that answers what is read, and refuses what is written, is not back
// whenever something is read.
func TestARefusalIsToldOnceWhileOtherCommandsAreAnswered(t *testing.T) {
	t.Parallel()
	writes := []string{"RPOPLPUSH", "ZADD", "SADD", "SET", "SETEX", "HSET", "LREM", "LPUSH", "DEL", "EXPIRE", "INCR", "ZREM"}
	for answer, refused := range map[string][]string{
		"READONLY You can't write against a read only replica.":             writes,
		"NOREPLICAS Not enough good replicas to write.":                     writes,
		"OOM command not allowed when used memory > 'maxmemory'.":           writes,
		"WRONGTYPE Operation against a key holding the wrong kind of value": {"RPOPLPUSH"},
	} {
		t.Run(strings.Fields(answer)[0], func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, w, away := &scriptedFetcher{}, &Worker{}, atomic.Bool{}
				p := s.setUp(t, w)
				p.Server().SetPreHook(func(c *server.Peer, command string, args ...string) bool { // also of what scripts do
					if away.Load() && slices.Contains(refused, command) {
						c.WriteError(answer)
						return true
					}
					return p.answer(c, command, args...)
				})
				outage, told := newOutage("redis")
				client := p.dialWith(&patience{limit: redisPatience, outage: outage, worker: true})
				defer client.Close()
				ref := parseRef(t, jobRef)
				w.Queue, w.Fetcher = NewQueue(client), newFetcher(newProvider(0), w.Archive)
				defer startWorker(t, w)()
				time.Sleep(time.Minute)
				mustEnqueue(t, NewQueue(p.client), ref)
				away.Store(true)
				time.Sleep(5 * time.Minute)
				if len(told.said) != 1 {
					t.Errorf("meanwhile it said %q", told.said)
				}
				away.Store(false)
				time.Sleep(5 * time.Minute)
				mustLand(t, w.Archive, ref)
				if n := len(told.said); n != 2 || !strings.Contains(told.said[n-1], "it is over") {
					t.Errorf("it said %q", told.said)
				}
			})
		})
	}
}
