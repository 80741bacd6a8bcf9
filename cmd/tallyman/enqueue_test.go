package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestWhatManyEnqueueAtOnceIsServedOnce(t *testing.T) {
	t.Parallel()
	q := newCluster(t, testCloud())
	exports, processes := *bulkJobs, 4
	if testing.Short() {
		exports = 60
	}
	refs := jobRefs(someJobs(q.cloud, exports)...)
	worker := q.start(t, "worker")
	var all []*process
	for range processes {
		p := q.command(t, "enqueue", "-")
		p.Stdin = strings.NewReader(refs)
		p.start(t)
		all = append(all, p)
	}
	queued := 0
	for _, p := range all {
		p.exits(t, 0)
		queued += strings.Count("\n"+p.stdout.String(), "\nqueued ")
	}
	if queued < exports { // what has landed meanwhile may be queued again, to no effect
		t.Errorf("%d were enqueued, want %d", queued, exports)
	}
	q.landed(t, exports)
	waitFor(t, "all landed, none failed", func() bool { return strings.HasSuffix(q.status(t), fmt.Sprintf("\n%d landed, 0 failed\n", exports)) })
	worker.Process.Signal(syscall.SIGTERM)
	worker.exits(t, 0)
	for name, n := range q.cloud.Counts().Jobs {
		if n.Requests != 1 {
			t.Errorf("%s was served %d times", name, n.Requests)
		}
	}
}

var manyRefs = flag.Int("references", 20_000, "how many are enqueued by one command")

// pipedRefs are so many references, made as they are read.
func pipedRefs(n int) io.Reader {
	r, w := io.Pipe()
	go func() {
		lines := bufio.NewWriter(w)
		for i := range n {
			fmt.Fprintf(lines, "sls://cn-hangzhou/%s/download-%d\n", testProject, i)
		}
		lines.Flush()
		w.Close()
	}()
	return r
}

func TestMemoryDoesNotGrowWithWhatIsEnqueued(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a while")
	}
	t.Parallel()
	q := newCluster(t, testCloud())
	p := q.command(t, "enqueue", "-q", "-")
	p.Stdin = pipedRefs(*manyRefs)
	began := time.Now()
	p.start(t)
	peak := make(chan int64)
	go func() { peak <- peakMemory(p.Process.Pid) }()
	p.exits(t, 0)
	took, most := time.Since(began), <-peak
	t.Logf("%.0f references a second, at most %d KiB of memory", float64(*manyRefs)/took.Seconds(), most>>10)
	if most == 0 || most > mostMemory {
		t.Errorf("it took %d KiB of memory, want at most %d", most>>10, mostMemory>>10)
	}
	if said := q.redis.Send("LLEN asynq:{tallyman.poll}:pending"); said != fmt.Sprintf(":%d\r\n", *manyRefs) {
		t.Errorf("the queue has %s", said)
	}
}
