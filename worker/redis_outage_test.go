package worker

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

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
