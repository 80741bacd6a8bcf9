package worker

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// events are what an Outage told, and when.
type events struct {
	began time.Time
	mu    sync.Mutex
	said  []string
	after []time.Duration
}

func newOutage(what string) (*Outage, *events) {
	e := &events{began: time.Now()}
	return &Outage{What: what, Tell: func(event OutageEvent) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.said, e.after = append(e.said, event.String()), append(e.after, time.Since(e.began))
	}}, e
}

// A command waits for its Redis for so long and no longer, whether that refuses
// each connection or never answers one, and says soon what it waits for.
func TestACommandWaitsForRedisForTwentySeconds(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		away   func(*fakeRedis, bool)
		reason string
		said   time.Duration
	}{
		"refused": {func(p *fakeRedis, away bool) { p.offline.Store(away) }, "connection refused", 3 * time.Second},
		"dropped": {func(p *fakeRedis, away bool) { p.silent.Store(away) }, "timeout", redisTimeout + time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p, ref := newFakeRedis(t), parseRef(t, jobRef)
				outage, told := newOutage("redis")
				client := p.dialWith(&patience{limit: redisPatience, outage: outage})
				defer client.Close()
				q := NewQueue(client)
				if err := q.CheckRedis(t.Context()); err != nil {
					t.Fatal(err)
				}
				test.away(p, true)
				_, err := q.Enqueue(t.Context(), ref, Options{})
				if took := time.Since(told.began); !errors.Is(err, ErrRedis) || took < redisPatience || took > redisPatience+redisTimeout+lastPause {
					t.Errorf("after %v: %v", took, err)
				}
				test.away(p, false)
				time.Sleep(5 * time.Second) // a pool that often failed to connect looks again each second
				if _, err := q.Enqueue(t.Context(), ref, Options{}); err != nil {
					t.Error(err)
				}
				if len(told.said) != 2 || !strings.Contains(told.said[0], test.reason) || told.after[0] > test.said || !strings.Contains(told.said[1], "it is over") {
					t.Errorf("it said %q after %v", told.said, told.after)
				}
			})
		})
	}
}

// What no waiting mends is told at once, and a worker that runs on tells it once.
func TestACommandDoesNotWaitForWhatDoesNotPass(t *testing.T) {
	t.Parallel()
	for _, worker := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p := newFakeRedis(t)
			outage, told := newOutage("redis")
			client := p.dialWith(&patience{limit: redisPatience, outage: outage, worker: worker})
			defer client.Close()
			q := NewQueue(client)
			if err := q.CheckRedis(t.Context()); err != nil {
				t.Fatal(err)
			}
			p.SetError("OOM command not allowed when used memory > 'maxmemory'.")
			for range 10 {
				if _, err := q.Enqueue(t.Context(), parseRef(t, jobRef), Options{}); !errors.Is(err, ErrRedis) {
					t.Error(err)
				}
			}
			if took := time.Since(told.began); took > 10*time.Second || len(told.said) != map[bool]int{true: 1}[worker] {
				t.Errorf("worker %v: it said %q in %v", worker, told.said, took)
			}
		})
	}
}
