package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
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
	pendingJobs  = flag.Int("pending", 300, "how many jobs are waited for at once")
	pendingPolls = flag.Int("polls", 5, "how often each of them is not ready; each takes half as long again as the one before")
)

// A clock notes when jobs of a cloud were found ready, and their files asked
// for.
type clock struct {
	cloud *sandbox.Cloud
	mu    sync.Mutex
	ready time.Time            // when all of them became so
	asked map[string]time.Time // first after that, by the job
	began map[string]time.Time // the first request of its file
}

func newClock(cloud *sandbox.Cloud) *clock {
	return &clock{cloud: cloud, asked: map[string]time.Time{}, began: map[string]time.Time{}}
}

func (c *clock) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.note(r.URL.Path, time.Now())
	c.cloud.ServeHTTP(w, r)
}

func (c *clock) note(at string, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	times, job := c.began, path.Base(path.Dir(at))
	if name, ok := strings.CutPrefix(at, "/downloadjobs/"); ok {
		times, job = c.asked, name
	}
	if !c.ready.IsZero() && times[job].IsZero() {
		times[job] = now
	}
}

// let makes jobs ready.
func (c *clock) let(jobs int) {
	for i := range jobs {
		c.cloud.UpdateJob(testProject, fmt.Sprintf("job-%05d", i), func(j *sandbox.Job) { j.Statuses = []string{sandbox.JobSucceeded} })
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ready = time.Now()
}

// waits are those from a job's being ready to its being found so, and from there
// to the first request of its file.
func (c *clock) waits() (found, started []time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for job, began := range c.began {
		if asked, ok := c.asked[job]; ok {
			found = append(found, asked.Sub(c.ready))
			started = append(started, began.Sub(asked))
		}
	}
	return found, started
}

func p95(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)*95/100]
}

// Many jobs are waited for by one worker: to wait is no failure, and whoever
// becomes ready does not wait behind those that are not.
func TestAWaitForManyJobsCostsNoAttempt(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	t.Parallel()
	q := newCluster(t, testCloud())
	clock := newClock(q.cloud)
	server := httptest.NewServer(clock)
	t.Cleanup(server.Close)
	q.endpoint = server.URL
	q.enqueue(t, someJobs(q.cloud, *pendingJobs, sandbox.JobRunning)...)
	p := q.start(t, "worker", "-q", "--poll", "10ms")
	waitFor(t, "polls of all jobs", func() bool { return q.polls(t) >= *pendingPolls })
	q.burntNone(t)
	calls, lists, ready := q.cloud.Counts().Calls["GetDownloadJob"], q.cloud.Counts().Calls["ListDownloadJobs"], *pendingJobs/10
	clock.let(ready)
	q.landed(t, ready)
	found, started := clock.waits()
	t.Logf("%d jobs, found not ready %d times each or more by %d calls and %d listings; of %d that became ready then, p95: found so after %v, fetched %v later",
		*pendingJobs, *pendingPolls, calls, lists, ready, p95(found).Round(time.Millisecond), p95(started).Round(time.Millisecond))
	if len(started) != ready || p95(started) > p95(found) {
		t.Errorf("%d jobs were fetched, 95%% of them within %v of being found ready", len(started), p95(started))
	}
	waitFor(t, "a status", func() bool {
		return strings.HasSuffix(q.status(t), fmt.Sprintf("%d landed, %d waiting, 0 failed\n", ready, *pendingJobs-ready))
	})
	p.Process.Signal(syscall.SIGTERM)
	p.exits(t, 0)
	if said := p.stderr.String(); said != "" {
		t.Errorf("the worker said %s", said)
	}
}

// polls is how often the job was found not ready that was found so the least.
func (q *cluster) polls(t *testing.T) int {
	t.Helper()
	seen, least := 0, math.MaxInt
	for line := range strings.Lines(q.status(t, "--json")) {
		var export struct {
			Reference string
			Polls     int
		}
		if err := json.Unmarshal([]byte(line), &export); err != nil {
			t.Fatal(err)
		}
		if export.Reference != "" {
			seen, least = seen+1, min(least, export.Polls)
		}
	}
	if seen < *pendingJobs {
		return 0
	}
	return least
}

// burntNone fails if an attempt is on the books of what only waits.
func (q *cluster) burntNone(t *testing.T) {
	t.Helper()
	said := q.status(t, "--json")
	if !strings.Contains(said, `"failed":0,"idle":0,`) || strings.Contains(said, `"attempts"`) {
		t.Errorf("an attempt was counted: %s", said[max(0, len(said)-1000):])
	}
	hiddenBelow(t, q.archive, []string{`"failures"`, `"cause"`})
}
