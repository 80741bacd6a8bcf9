package main

import (
	"bytes"
	"strings"
	"syscall"
	"testing"
	"time"

	"tallyman/fetch/sandbox"
)

const (
	largeName = "large"
	largePart = 1 << 20
	largeSize = 64 << 20
	soon      = 5 * time.Second // on a machine that is busy
)

// newLargeCluster has one large export in its queue, that comes at that pace.
func newLargeCluster(t *testing.T, bytesPerSecond int64) *cluster {
	t.Helper()
	q := newCluster(t, testCloud())
	const rows = 10000
	block := sandbox.Generate(rows, "csv", 7)
	head, rest, _ := bytes.Cut(block, []byte("\n"))
	n := largeSize/len(rest) + 1
	file := sandbox.File{Name: largeName + ".csv", Rows: n * rows, Body: append(append(head, '\n'), bytes.Repeat(rest, n)...)}
	file.Faults.SlowBytesPerSecond = bytesPerSecond
	q.cloud.AddJob(testProject, sandbox.Job{Name: largeName, File: file})
	q.enqueue(t, largeName)
	return q
}

func (q *cluster) served() int64 { return q.cloud.Counts().Jobs[testProject+"/"+largeName].Bytes }

// work starts a worker, and waits until so many bytes were served in all.
func (q *cluster) work(t *testing.T, bytes int64, args ...string) *process {
	t.Helper()
	p := q.start(t, append([]string{"worker", "--parallel", "4", "--part-size", "1MiB"}, args...)...)
	waitFor(t, "the midst of a fetch", func() bool { return q.served() >= bytes })
	return p
}

// ends is how long a worker takes to end, once it gets a signal.
func (p *process) ends(t *testing.T, signal syscall.Signal, exit int) time.Duration {
	t.Helper()
	began := time.Now()
	p.Process.Signal(signal)
	p.exits(t, exit)
	return time.Since(began)
}

// landsIt has another worker land what is left, and returns how many bytes were
// served twice.
func (q *cluster) landsIt(t *testing.T) (twice int64) {
	t.Helper()
	size := q.unthrottle()
	p := q.work(t, 0)
	q.landed(t, 1)
	p.ends(t, syscall.SIGTERM, 0)
	q.command(t, "verify").runs(t, 0)
	return q.served() - size
}

// unthrottle lets the rest of the export be sent at full speed, and returns the
// size of its file.
func (q *cluster) unthrottle() (size int64) {
	q.cloud.UpdateJob(testProject, largeName, func(j *sandbox.Job) {
		j.File.Faults.SlowBytesPerSecond = 0
		size = int64(len(j.File.Body))
	})
	return size
}

// fetchIt fetches what is left without the queue, which believes for a while
// that a worker that had no time to tell it still has the export.
func (q *cluster) fetchIt(t *testing.T) {
	t.Helper()
	q.unthrottle()
	q.command(t, "fetch", "sls://cn-hangzhou/"+testProject+"/"+largeName).runs(t, 0)
}

func TestAWorkerThatIsToStopEndsAtAPointToGoOnFrom(t *testing.T) {
	t.Parallel()
	q := newLargeCluster(t, 4<<20)
	const drain = 10 * time.Second
	p := q.work(t, largeSize/2, "--drain", drain.String())
	took := p.ends(t, syscall.SIGTERM, 0)
	twice := q.landsIt(t)
	t.Logf("it took %v to end, and %d bytes were served twice", took.Round(time.Millisecond), twice)
	if took > drain+soon || twice > 2*largePart {
		t.Errorf("it took %v to end, and %d bytes were served twice", took, twice)
	}
}

// What takes longer than --drain is cut short.
func TestAWorkerEndsWhenItsDrainIsOver(t *testing.T) {
	t.Parallel()
	q := newLargeCluster(t, 20_000) // nearly a minute for each part
	p := q.work(t, 1, "--drain", "2s")
	if took := p.ends(t, syscall.SIGTERM, 0); took > 2*time.Second+soon {
		t.Errorf("it took %v to end", took)
	}
	if !strings.Contains(p.stderr.String(), "stopped: what was received is kept") {
		t.Errorf("it said %s", &p.stderr)
	}
	q.landsIt(t)
}

func TestAnInterruptedWorkerEndsSoon(t *testing.T) {
	t.Parallel()
	for name, before := range map[string][]syscall.Signal{"at once": nil, "while it drains": {syscall.SIGTERM}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := newLargeCluster(t, 20_000)
			p := q.work(t, 1, "--drain", "1h")
			for _, signal := range before {
				p.Process.Signal(signal)
			}
			if took := p.ends(t, syscall.SIGINT, 130); took > soon {
				t.Errorf("it took %v to end", took)
			}
			q.landsIt(t)
		})
	}
}

func TestAnInterruptedWorkerDoesNotWaitForRedis(t *testing.T) {
	t.Parallel()
	q := newLargeCluster(t, 20_000)
	p := q.work(t, 1)
	q.redis.Kill()
	if took := p.ends(t, syscall.SIGINT, 130); took > soon {
		t.Errorf("it took %v to end", took)
	}
	q.fetchIt(t)
}

func TestASecondSignalEndsAWorkerAtOnce(t *testing.T) {
	t.Parallel()
	q := newLargeCluster(t, 20_000)
	p := q.work(t, 1, "--drain", "1h")
	began := time.Now()
	if state := signalUntilItEnds(p, syscall.SIGTERM); !state.Signaled() || state.Signal() != syscall.SIGTERM {
		t.Errorf("it ended with %v: %s", state, &p.stderr)
	}
	if took := time.Since(began); took > soon {
		t.Errorf("it took %v to end", took)
	}
	q.fetchIt(t)
}
