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
	largeSize = 16 << 20
	trickle   = 2000 // bytes a second, of each response: nearly ten minutes for each part

	// overdue is what no worker takes to end after its time, however busy the
	// machine is. One that waits for a Redis that is away takes longer.
	overdue = time.Minute
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

// ends sends a worker a signal, and waits until it has ended.
func (p *process) ends(t *testing.T, signal syscall.Signal, exit int) {
	t.Helper()
	p.Process.Signal(signal)
	p.exits(t, exit)
}

// endedWell fails the test if a worker warned of anything, though all that it was told is to
// stop, or did not say that it has.
func endedWell(t *testing.T, p *process) {
	t.Helper()
	if said := p.stderr.String(); strings.Contains(said, "level=WARN") || !strings.Contains(said, `level=INFO msg="stopped: what was received is kept"`) {
		t.Errorf("it said %s", said)
	}
}

// endsWithinAPart is ends, of a worker whose store trickles. It must not wait
// for the parts that it is receiving.
func (q *cluster) endsWithinAPart(t *testing.T, p *process, signal syscall.Signal, exit int) {
	t.Helper()
	p.ends(t, signal, exit)
	if served := q.served(); served >= largePart {
		t.Errorf("it ended after %d bytes, which is a whole part or more", served)
	}
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
	q := newLargeCluster(t, 512<<10)
	p := q.work(t, largeSize/4, "--drain", "1h")
	p.ends(t, syscall.SIGTERM, 0)
	endedWell(t, p)
	if q.served() >= largeSize {
		t.Error("it ended with the export, not with the parts that it was receiving")
	}
	if twice := q.landsIt(t); twice > 2*largePart {
		t.Errorf("%d bytes were served twice", twice)
	}
}

// What takes longer than --drain is cut short.
func TestAWorkerEndsWhenItsDrainIsOver(t *testing.T) {
	t.Parallel()
	q := newLargeCluster(t, trickle)
	p := q.work(t, 1, "--drain", "2s")
	q.endsWithinAPart(t, p, syscall.SIGTERM, 0)
	endedWell(t, p)
	q.landsIt(t)
}

func TestAnInterruptedWorkerEndsSoon(t *testing.T) {
	t.Parallel()
	for name, drains := range map[string]bool{"at once": false, "while it drains": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := newLargeCluster(t, trickle)
			p := q.work(t, 1, "--drain", "1h")
			if drains { // of two signals that are pending, the kernel might deliver the second one first
				p.Process.Signal(syscall.SIGTERM)
				waitFor(t, "a worker that drains", func() bool { return strings.Contains(p.stderr.String(), `msg="stopping`) })
			}
			q.endsWithinAPart(t, p, syscall.SIGINT, 130)
			q.landsIt(t)
		})
	}
}

func TestAnInterruptedWorkerDoesNotWaitForRedis(t *testing.T) {
	t.Parallel()
	q := newLargeCluster(t, trickle)
	p := q.work(t, 1)
	q.redis.Kill()
	q.endsWithinAPart(t, p, syscall.SIGINT, 130)
	q.fetchIt(t)
}

func TestASecondSignalEndsAWorkerAtOnce(t *testing.T) {
	t.Parallel()
	q := newLargeCluster(t, trickle)
	p := q.work(t, 1, "--drain", "1h")
	if state := signalUntilItEnds(p, syscall.SIGTERM); !state.Signaled() || state.Signal() != syscall.SIGTERM {
		t.Errorf("it ended with %v: %s", state, &p.stderr)
	}
	q.fetchIt(t)
}
