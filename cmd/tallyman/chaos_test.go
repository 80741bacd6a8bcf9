package main

import (
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/sandbox"
	"tallyman/verify/archive"
)

var (
	chaosFor  = flag.Duration("chaos", 10*time.Second, "how long to kill workers and Redis; from a minute on, worse is done to them too")
	chaosSeed = flag.Uint64("chaos-seed", rand.Uint64(), "what decides who is killed when")
	underWay  = flag.Int("chaos-exports", 60, "how many exports are under way at once; more than twice as many land")
)

const chaosDrain = 5 * time.Second

// Workers and Redis are killed and started again at random while exports are
// under way: each lands once, whole from the first moment on, and nearly no byte
// is fetched twice.
func TestChaosLosesNothing(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes minutes")
	}
	c := newChaos(t)
	began := time.Now()
	c.injectFaults(t)
	quiet := time.Now()
	c.settle(t)
	t.Logf("seed %d: %v of %s", *chaosSeed, quiet.Sub(began).Round(time.Second), c.done())
	c.judge(t)
	t.Logf("%d exports, all landed %v after the last fault", len(c.exports), time.Since(quiet).Round(time.Second))
}

// chaos is a cluster into which faults are injected.
type chaos struct {
	*cluster
	random   *rand.Rand
	workers  *supervisor
	watch    *watch
	store    *flakyStore
	files    []sandbox.File
	injected map[string]int

	feeding sync.WaitGroup
	calm    chan struct{} // closed after the last fault

	mu      sync.Mutex
	exports []fetch.Ref
	size    int64
}

func newChaos(t *testing.T) *chaos {
	cloud := testCloud()
	store := &flakyStore{Cloud: cloud}
	server := httptest.NewServer(store)
	t.Cleanup(server.Close)
	c := &chaos{
		cluster: &cluster{redis: startRedis(t), cloud: cloud, endpoint: server.URL, archive: t.TempDir()}, store: store,
		random: rand.New(rand.NewPCG(*chaosSeed, 0)), injected: map[string]int{}, calm: make(chan struct{}), files: chaosFiles(),
	}
	c.watch = newWatch(t, c.archive, c.sha)
	c.workers = newSupervisor(t, 4, chaosDrain, func() *process {
		return c.command(t, "worker", "--poll", "200ms", "--parallel", "3", "--part-size", "64KiB", "--drain", chaosDrain.String())
	})
	c.feeding.Go(func() { c.feed(t) })
	t.Cleanup(c.feeding.Wait)
	return c
}

// flakyStore is a cloud that answers 503 to everything while it is down.
type flakyStore struct {
	*sandbox.Cloud
	down atomic.Bool
}

func (s *flakyStore) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.down.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	s.Cloud.ServeHTTP(w, r)
}

// chaosFiles returns files of several sizes that are sent slowly.
func chaosFiles() (files []sandbox.File) {
	for i, rows := range []int{100, 1000, 6000, 20000} {
		file := sandbox.File{Rows: rows, Body: sandbox.Generate(rows, "csv", uint64(i))}
		file.Faults.SlowBytesPerSecond = 300_000
		files = append(files, file)
	}
	return files
}

// sha is that of what the store serves for a job.
func (c *chaos) sha(job string) (sum [32]byte, ok bool) {
	var i int
	if _, err := fmt.Sscanf(job, "job-%d", &i); err != nil || job != nameOf(i) {
		return sum, false
	}
	return sha256.Sum256(c.files[i%len(c.files)].Body), true
}

func nameOf(i int) string { return fmt.Sprintf("job-%06d", i) }

// feed keeps so many exports under way until the faults are over, and enqueues
// again what Redis alone knew of and may have lost.
func (c *chaos) feed(t *testing.T) {
	for again := 0; ; again++ {
		over := isOver(c.calm) && c.enough()
		if over && c.watch.landed() == len(c.exports) || t.Failed() {
			return
		}
		var refs []fetch.Ref
		if n := c.watch.landed() + *underWay - len(c.exports); !over && n > 0 {
			refs = c.add(t, n)
		}
		if again%50 == 0 {
			refs = append(refs, c.unknown(t)...)
		}
		c.ask(t, refs)
		time.Sleep(200 * time.Millisecond)
	}
}

// enough reports whether so many exports were made that workers were killed at
// each step of some.
func (c *chaos) enough() bool { return len(c.exports) >= *underWay*5/2 }

// add adds so many jobs to the cloud.
func (c *chaos) add(t *testing.T, n int) (refs []fetch.Ref) {
	for i := range n {
		i += len(c.exports)
		file := c.files[i%len(c.files)]
		file.Name = nameOf(i) + ".csv"
		statuses := []string{sandbox.JobSucceeded}
		if i%20 == 0 { // of which few enough are not ready that each is asked by itself
			statuses = []string{sandbox.JobRunning, sandbox.JobRunning, sandbox.JobSucceeded}
		}
		c.cloud.AddJob(testProject, sandbox.Job{Name: nameOf(i), File: file, Statuses: statuses})
		ref, err := fetch.ParseRef("sls://cn-hangzhou/" + testProject + "/" + nameOf(i))
		if err != nil {
			t.Error(err)
		}
		refs = append(refs, ref)
		c.size += int64(len(file.Body))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.exports = append(c.exports, refs...)
	return refs
}

// unknown are the exports that the archive knows nothing of.
func (c *chaos) unknown(t *testing.T) (refs []fetch.Ref) {
	store, err := archive.OpenExisting(c.archive)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) { // no worker has made it yet
			t.Error(err)
		}
		return c.exports
	}
	for _, ref := range c.exports {
		if c.watch.has(filepath.Base(ref.Key())) {
			continue
		}
		if _, _, err := store.State(ref.Key()); err != nil {
			refs = append(refs, ref)
		}
	}
	return refs
}

func (c *chaos) ask(t *testing.T, refs []fetch.Ref) {
	if len(refs) == 0 {
		return
	}
	var lines strings.Builder
	for _, ref := range refs {
		fmt.Fprintln(&lines, ref)
	}
	p := c.command(t, "enqueue", "-q", "-")
	p.Stdin = strings.NewReader(lines.String())
	c.mayFail(t, p)
}

// mayFail runs a command for which Redis may be away.
func (c *chaos) mayFail(t *testing.T, p *process) {
	p.start(t)
	if code := exitOf(p.Wait()); !slices.Contains([]int{0, 3, 5}, code) {
		t.Errorf("%s: exit code %d\n%s", p, code, &p.stderr)
	}
}

// settle waits until all has landed.
func (c *chaos) settle(t *testing.T) {
	t.Helper()
	close(c.calm)
	for end := time.Now().Add(10 * time.Minute); !c.allLanded(); time.Sleep(200 * time.Millisecond) {
		if t.Failed() || time.Now().After(end) {
			c.workers.stop(syscall.SIGTERM)
			t.Fatalf("%d of %d landed\n%s", c.watch.landed(), len(c.exports), strings.Join(c.workers.logs, "\n---\n"))
		}
	}
	c.feeding.Wait()
	// What a worker left that was killed between the rename and its line is finished once
	// its task comes back, after its lease.
	for end := time.Now().Add(3 * time.Minute); len(c.left()) > 0 && time.Now().Before(end); {
		time.Sleep(200 * time.Millisecond)
	}
	c.workers.stop(syscall.SIGTERM)
}

// left is what is in .ingest.
func (c *chaos) left() []string {
	left, _ := filepath.Glob(c.archive + "/.ingest/*")
	more, _ := filepath.Glob(c.archive + "/.ingest/*/*")
	return append(left, more...)
}

func (c *chaos) allLanded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.enough() && c.watch.landed() == len(c.exports)
}

// judge holds what there is to the promise.
func (c *chaos) judge(t *testing.T) {
	t.Helper()
	if said := c.status(t); !strings.HasSuffix(said, fmt.Sprintf("\n%d landed, 0 failed\n", len(c.exports))) {
		t.Errorf("status says %s", said)
	}
	c.command(t, "verify", "-q").runs(t, 0)
	c.watch.stayed(t)
	c.landedOnce(t)
	served := c.cloud.Counts().Bytes
	twice := float64(served-c.size) / float64(c.size)
	t.Logf("%d bytes, %.2f%% of them served twice", c.size, 100*twice)
	if twice > 0.02 {
		t.Errorf("%.2f%% of the bytes were served twice", 100*twice)
	}
	if left := c.left(); len(left) > 0 {
		t.Errorf("ingests were left behind: %q", left)
	}
}

// landedOnce fails if two workers say of the same export that they landed it,
// or one that it failed.
func (c *chaos) landedOnce(t *testing.T) {
	t.Helper()
	landed := map[string]int{}
	for line := range strings.Lines(strings.Join(c.workers.logs, "\n")) {
		switch _, ref, _ := strings.Cut(line, " ref="); {
		case strings.Contains(line, " msg=landed "):
			ref, _, _ = strings.Cut(ref, " ")
			if landed[ref]++; landed[ref] > 1 {
				t.Errorf("landed twice: %s", line)
			}
		case strings.Contains(line, " msg=failed "), strings.Contains(line, "panic"), strings.Contains(line, "DATA RACE"):
			t.Error(line)
		}
	}
}

// done is how often each thing was done.
func (c *chaos) done() string {
	var said []string
	for _, name := range slices.Sorted(maps.Keys(c.injected)) {
		said = append(said, fmt.Sprintf("%s %d×", name, c.injected[name]))
	}
	return strings.Join(said, ", ")
}

// upTo is a random time.
func (c *chaos) upTo(longest time.Duration) time.Duration {
	return time.Duration(c.random.Int64N(int64(longest)))
}
