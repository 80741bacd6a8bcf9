package main

import (
	"fmt"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"tallyman/fetch/fetchtest"
	"tallyman/fetch/sandbox"
	"tallyman/verify/archive"
)

// A cluster is a cloud, a Redis and an archive, for workers and commands in
// processes of their own.
type cluster struct {
	redis    *fetchtest.Redis
	cloud    *sandbox.Cloud
	endpoint string
	archive  string
	env      []string // of its processes, beside
	hook     hook     // that its workers tell what happens, if it is asked for
}

func newCluster(t *testing.T, cloud *sandbox.Cloud) *cluster {
	t.Helper()
	server := httptest.NewServer(cloud)
	t.Cleanup(server.Close)
	q := &cluster{redis: startRedis(t), cloud: cloud, endpoint: server.URL, archive: quickDir(t)}
	if _, err := archive.Open(q.archive, "", archive.SiteEmpty); err != nil {
		t.Fatal(err)
	}
	return q
}

func testCloud() *sandbox.Cloud {
	cloud := sandbox.New(sandbox.Options{AccessKeyID: accessKeyID, AccessKeySecret: accessKeySecret})
	cloud.AddProject(testProject)
	return cloud
}

// quickDir is a directory where thousands of fsyncs keep nobody waiting.
func quickDir(t *testing.T) string {
	t.Helper()
	if _, err := os.Stat("/dev/shm"); err != nil {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp("/dev/shm", "tallyman-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (q *cluster) command(t *testing.T, args ...string) *process {
	t.Helper()
	p := command(t, args...)
	p.Env = append(p.Env, "TALLYMAN_ARCHIVE="+q.archive, "REDIS_URL="+q.redis.URL,
		"TALLYMAN_ENDPOINT_SLS="+q.endpoint, "TALLYMAN_ALLOW_HOST=127.0.0.1")
	p.Env = append(p.Env, q.env...)
	return p
}

// start starts a process that ends no later than its test, and is heard if that
// fails.
func (q *cluster) start(t *testing.T, args ...string) *process {
	t.Helper()
	p := q.command(t, args...)
	p.start(t)
	t.Cleanup(func() {
		p.Process.Kill()
		if p.Wait(); t.Failed() {
			t.Logf("%s\n%s", p, &p.stderr)
		}
	})
	return p
}

// enqueue enqueues jobs by their names.
func (q *cluster) enqueue(t *testing.T, names ...string) {
	t.Helper()
	p := q.command(t, "enqueue", "-q", "-")
	p.Stdin = strings.NewReader(jobRefs(names...))
	p.runs(t, 0)
}

func jobRefs(names ...string) string {
	var lines strings.Builder
	for _, name := range names {
		fmt.Fprintf(&lines, "sls://cn-hangzhou/%s/%s\n", testProject, name)
	}
	return lines.String()
}

// status is what the command says.
func (q *cluster) status(t *testing.T, args ...string) string {
	t.Helper()
	p := q.command(t, append([]string{"status"}, args...)...)
	p.runs(t, 0)
	return p.stdout.String()
}

// waitFor waits until it is so, or the time for all tests is nearly over. It
// looks less and less often: to look may take a process.
func waitFor(t *testing.T, what string, so func() bool) {
	t.Helper()
	end, limited := t.Deadline()
	for pause := 20 * time.Millisecond; !so(); pause = min(pause*3/2, 500*time.Millisecond) {
		time.Sleep(pause)
		if limited && time.Until(end) < 10*time.Second {
			t.Fatalf("there never was: %s", what)
		}
	}
}

// landed waits until so many exports are in the archive.
func (q *cluster) landed(t *testing.T, n int) {
	t.Helper()
	waitFor(t, fmt.Sprintf("%d exports landed", n), func() bool { return bags(t, q.archive) >= n })
}

// someJobs adds so many small jobs and returns their names.
func someJobs(cloud *sandbox.Cloud, n int, statuses ...string) (names []string) {
	body := sandbox.Generate(2, "csv", 1)
	for i := range n {
		name := fmt.Sprintf("job-%05d", i)
		cloud.AddJob(testProject, sandbox.Job{Name: name, Statuses: statuses, File: sandbox.File{Rows: 2, Body: body}})
		names = append(names, name)
	}
	return names
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
