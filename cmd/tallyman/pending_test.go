package main

import (
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tallyman/fetch/sandbox"
)

var (
	pendingJobs  = flag.Int("pending", 0, "how many jobs are waited for at once; 0 skips it")
	pendingPolls = flag.Int("polls", 6, "how often each of them is not ready; each takes half as long again as the one before")
)

// A clock notes when each job of a cloud was asked, and its file asked for.
type clock struct {
	cloud *sandbox.Cloud
	mu    sync.Mutex
	asked map[string][]time.Time // by the job
	began map[string]time.Time   // the first request of its file
}

func newClock(cloud *sandbox.Cloud) *clock {
	return &clock{cloud: cloud, asked: map[string][]time.Time{}, began: map[string]time.Time{}}
}

func (c *clock) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.note(r.URL.Path, time.Now())
	c.cloud.ServeHTTP(w, r)
}

func (c *clock) note(at string, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if job, ok := strings.CutPrefix(at, "/downloadjobs/"); ok {
		c.asked[job] = append(c.asked[job], now)
		return
	}
	if job := path.Base(path.Dir(at)); c.began[job].IsZero() {
		c.began[job] = now
	}
}

// times are the gaps between two questions after one job, and the waits from a
// job's being found ready to the first request of its file.
func (c *clock) times() (gaps, waits []time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for job, asked := range c.asked {
		for i := 1; i < min(len(asked), *pendingPolls+1); i++ {
			gaps = append(gaps, asked[i].Sub(asked[i-1]))
		}
		if len(asked) > *pendingPolls {
			waits = append(waits, c.began[job].Sub(asked[*pendingPolls]))
		}
	}
	return gaps, waits
}

func p95(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)*95/100]
}

// Many jobs are waited for by one worker: to wait is no failure, and whoever
// becomes ready does not wait behind those that are not.
func TestAWaitForThousandsOfJobsCostsNoAttempt(t *testing.T) {
	if *pendingJobs == 0 {
		t.Skip("wants -pending: jobs that are listed instead of asked one by one never become ready in the sandbox")
	}
	t.Parallel()
	q := newQuay(t, quayCloud())
	clock := newClock(q.cloud)
	server := httptest.NewServer(clock)
	t.Cleanup(server.Close)
	q.endpoint = server.URL
	statuses := append(slices.Repeat([]string{sandbox.Running}, *pendingPolls), sandbox.Succeeded)
	q.enqueue(t, someJobs(q.cloud, *pendingJobs, statuses...)...)
	began := time.Now()
	p := q.start(t, "worker", "-q", "--poll", "10ms")
	waitFor(t, "polls of all jobs", func() bool { return q.cloud.Counts().Calls["GetDownloadJob"] > 3**pendingJobs })
	q.burntNone(t)
	q.landed(t, *pendingJobs)
	took := time.Since(began)
	gaps, waits := clock.times()
	gap, wait := p95(gaps), p95(waits)
	t.Logf("%d jobs, asked %d times each, landed in %v; p95 of the gap between two questions %v, from ready to started %v",
		*pendingJobs, *pendingPolls+1, took.Round(time.Second/10), gap.Round(time.Millisecond), wait.Round(time.Millisecond))
	if len(waits) != *pendingJobs || wait > gap {
		t.Errorf("%d jobs were fetched, 95%% of them within %v of being ready, want %v", len(waits), wait, gap)
	}
	waitFor(t, "all landed, none failed", func() bool { return q.status(t) == fmt.Sprintf("%d landed, 0 failed\n", *pendingJobs) })
	p.Process.Signal(syscall.SIGTERM)
	p.exits(t, 0)
	if said := p.stderr.String(); said != "" {
		t.Errorf("the worker said %s", said)
	}
}

// burntNone fails if an attempt is on the books of what only waits.
func (q *quay) burntNone(t *testing.T) {
	t.Helper()
	said := q.status(t, "--json")
	if !strings.Contains(said, `"failed":0,"idle":0,`) || strings.Contains(said, `"attempts"`) {
		t.Errorf("an attempt was counted: %s", said[max(0, len(said)-1000):])
	}
	hiddenBelow(t, q.archive, []string{`"failures"`, `"cause"`})
}
