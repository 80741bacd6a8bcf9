package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tallyman/fetch/sandbox"
	"tallyman/verify/archive"
)

var chaosFor = flag.Duration("chaos", 10*time.Second, "how long to kill workers and Redis")

// A fleet is workers that are started again when they end.
type fleet struct {
	mu      sync.Mutex
	workers []*process
	stopped bool
	all     sync.WaitGroup
	logs    []string
}

func newFleet(t *testing.T, n int, args ...string) *fleet {
	f := &fleet{workers: make([]*process, n)}
	for i := range n {
		f.all.Go(func() {
			for f.start(t, i, args) {
				err := f.workers[i].Wait()
				f.mu.Lock()
				f.logs = append(f.logs, f.workers[i].stderr.String())
				f.mu.Unlock()
				if code := exitOf(err); code > 0 && code != 5 { // Redis is away
					t.Errorf("a worker ended with %d\n%s", code, &f.workers[i].stderr)
				}
			}
		})
	}
	t.Cleanup(func() { f.stop(syscall.SIGKILL) })
	return f
}

func (f *fleet) start(t *testing.T, i int, args []string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped {
		return false
	}
	f.workers[i] = command(t, append([]string{"worker"}, args...)...)
	f.workers[i].start(t)
	return true
}

func (f *fleet) kill(i int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.workers[i] != nil {
		f.workers[i].Process.Kill()
	}
}

func (f *fleet) stop(how syscall.Signal) {
	f.mu.Lock()
	f.stopped = true
	for _, w := range f.workers {
		if w != nil {
			w.Process.Signal(how)
		}
	}
	f.mu.Unlock()
	f.all.Wait()
}

// Workers and Redis are killed and started again at random while 500 exports
// are on their way: each lands once, and nearly no byte is fetched twice.
func TestChaosLosesNothing(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes minutes")
	}
	const exports = 500
	redis, dir := newRedis(t), t.TempDir()
	cloud, endpoint, size := chaosCloud(t, exports)
	flags := []string{"--archive", dir, "--redis", redis.url(), "--endpoint", "sls=" + endpoint, "--allow-host", "127.0.0.1"}
	refs := t.TempDir() + "/refs"
	writeRefs(t, refs, exports)
	command(t, "enqueue", "-f", refs, "--archive", dir, "--redis", redis.url()).runs(t, 0)
	time.Sleep(1500 * time.Millisecond) // what no worker has seen is Redis's alone, and it syncs each second

	workers := newFleet(t, 3, append(flags, "--poll", "200ms")...)
	kills := havoc(t, workers, redis)
	began := time.Now()
	for landed := 0; landed < exports; landed = bags(t, dir) {
		if time.Since(began) > 5*time.Minute {
			workers.stop(syscall.SIGTERM)
			t.Fatalf("%d of %d landed\n%s", landed, exports, strings.Join(workers.logs, "\n---\n"))
		}
		time.Sleep(200 * time.Millisecond)
	}
	workers.stop(syscall.SIGTERM)
	status := command(t, "status", "--archive", dir, "--redis", redis.url())
	status.runs(t, 0)
	if said := status.stdout.String(); said != fmt.Sprintf("%d landed, 0 failed\n", exports) {
		t.Errorf("status says %s", said)
	}
	command(t, "verify", "--archive", dir, "-q").runs(t, 0)
	served := cloud.Counts().Bytes
	twice := float64(served-size) / float64(size)
	t.Logf("%d kills; %d bytes, %.2f%% of them served twice; all landed %v after the last kill", kills, size, 100*twice, time.Since(began).Round(time.Second))
	if twice > 0.02 {
		t.Errorf("%.2f%% of the bytes were served twice", 100*twice)
	}
	if left, _ := os.ReadDir(dir + "/.ingest"); len(left) > 0 {
		t.Errorf("%d ingests were left behind", len(left))
	}
}

// chaosCloud has exports of many sizes that come slowly.
func chaosCloud(t *testing.T, n int) (cloud *sandbox.Cloud, endpoint string, size int64) {
	cloud = sandbox.New(sandbox.Options{AccessKeyID: accessKeyID, AccessKeySecret: accessKeySecret})
	var files []sandbox.File
	for i, rows := range []int{100, 1000, 4000, 20000} {
		file := sandbox.File{Rows: rows, Body: sandbox.Generate(rows, "csv", uint64(i))}
		file.Faults.SlowBytesPerSecond = 400_000
		files = append(files, file)
	}
	for i := range n {
		file := files[i%len(files)]
		file.Name = fmt.Sprintf("job-%03d.csv", i)
		statuses := []string{sandbox.Succeeded}
		if i%20 == 0 { // of which few enough are not ready that each is asked by itself
			statuses = []string{sandbox.Running, sandbox.Running, sandbox.Succeeded}
		}
		cloud.AddJob(testProject, sandbox.Job{Name: fmt.Sprintf("job-%03d", i), File: file, Statuses: statuses})
		size += int64(len(file.Body))
	}
	endpoint, stop, err := cloud.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return cloud, endpoint, size
}

func writeRefs(t *testing.T, path string, n int) {
	var lines strings.Builder
	for i := range n {
		fmt.Fprintf(&lines, "sls://cn-hangzhou/%s/job-%03d\n", testProject, i)
	}
	if err := os.WriteFile(path, []byte(lines.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// havoc kills for a while, and leaves Redis running.
func havoc(t *testing.T, workers *fleet, redis *redisServer) (kills int) {
	for end := time.Now().Add(*chaosFor); time.Now().Before(end); kills++ {
		time.Sleep(time.Duration(500+rand.IntN(2500)) * time.Millisecond)
		if i := rand.IntN(4); i < 3 {
			workers.kill(i)
			continue
		}
		redis.kill()
		time.Sleep(time.Duration(rand.IntN(3000)) * time.Millisecond)
		redis.start(t)
	}
	return kills
}

// bags is how many exports have landed.
func bags(t *testing.T, dir string) (n int) {
	store, err := archive.OpenExisting(dir)
	if err != nil {
		return 0
	}
	for _, err := range store.All() {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}
