package main

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"tallyman/fetch/sandbox"
)

// The jobs of a place go into the queue by one pipe: each once, however often,
// and none that has landed.
func TestWhatIsDiscoveredIsEnqueuedAndLandsOnce(t *testing.T) {
	t.Parallel()
	const jobs = 30 // of DBS and DIS; the pages hold ten
	cloud := testCloud()
	cloud.AddInstance("rm-1", sandbox.Instance{PageSize: 10})
	dump := sandbox.DumpTask{ID: "task-1", Bucket: "dumps", Prefix: "logs"}
	body := sandbox.Generate(2, "csv", 1)
	for i := range jobs {
		cloud.AddTask("rm-1", sandbox.Task{ID: fmt.Sprintf("dt-%03d", i), File: sandbox.File{Rows: 2, Body: body}})
		made := time.Now().Add(-time.Duration(i) * time.Minute)
		dump.Deliveries = append(dump.Deliveries, sandbox.Delivery{Number: i, Start: made, End: made, File: sandbox.File{Rows: 2}})
	}
	cloud.AddDumpTask(dump)
	const pages = 250 // jobs of SLS, whose pages hold a hundred
	someJobs(cloud, pages, sandbox.JobSucceeded)
	q := newCluster(t, cloud)
	for _, name := range []string{"DBS", "DIS", "OSS", "OBS"} {
		q.env = append(q.env, "TALLYMAN_ENDPOINT_"+name+"="+q.endpoint)
	}
	q.env = append(q.env, "HUAWEICLOUD_SDK_AK="+accessKeyID, "HUAWEICLOUD_SDK_SK="+accessKeySecret)
	for place, n := range map[string]int{"sls://cn-hangzhou/" + testProject + "/": pages, "dbs://cn-hangzhou/rm-1/": jobs, "dis://cn-north-4/task-1/": jobs} {
		lines := q.discovered(t, place)
		if strings.Count(lines, "\n") != n {
			t.Errorf("%s: %d of %d jobs were discovered", place, strings.Count(lines, "\n"), n)
		}
		q.enqueued(t, lines, fmt.Sprintf("%d queued, 0 known, 0 landed before,", n))
		q.enqueued(t, lines, fmt.Sprintf("0 queued, %d known, 0 landed before,", n))
	}
	worker := q.start(t, "worker", "-q")
	q.landed(t, pages+2*jobs)
	worker.Process.Signal(syscall.SIGTERM)
	worker.exits(t, 0)
	q.enqueued(t, q.discovered(t, "dbs://cn-hangzhou/rm-1/"), fmt.Sprintf("0 queued, 0 known, %d landed before,", jobs))
	for job, asked := range cloud.Counts().Jobs {
		if asked.Requests != 1 {
			t.Errorf("%s was fetched %d times", job, asked.Requests)
		}
	}
}

func (q *cluster) discovered(t *testing.T, place string) string {
	t.Helper()
	p := q.command(t, "discover", place, "--since", "30d")
	p.runs(t, 0)
	return p.stdout.String()
}

func (q *cluster) enqueued(t *testing.T, lines, want string) {
	t.Helper()
	p := q.command(t, "enqueue", "-")
	p.Stdin = strings.NewReader(lines)
	p.runs(t, 0)
	if !strings.HasPrefix(p.stderr.String(), want) {
		t.Errorf("enqueue said %s, want %s", &p.stderr, want)
	}
}
