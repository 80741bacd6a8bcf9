package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tallyman/fetch/fetchtest"
	"tallyman/fetch/sandbox"
)

// aways are what may be the matter with a Redis for a while, and how commands
// that ask it meanwhile end: enqueue, status, retry, requeue and cancel.
var aways = []struct {
	name         string
	begin, cease func(*testing.T, *fetchtest.Redis)
	exits        [5]int
	says         string // by those that fail
}{
	{"gone", func(_ *testing.T, r *fetchtest.Redis) { r.Kill() }, func(t *testing.T, r *fetchtest.Redis) { restart(t, r) }, [5]int{5, 0, 5, 5, 5}, "see that Redis runs"},
	{"emptied", says("FLUSHALL"), says("PING"), [5]int{0, 0, 0, 0, 0}, ""},
	{"read-only", says("REPLICAOF 127.0.0.1 1"), says("REPLICAOF NO ONE"), [5]int{5, 0, 5, 5, 5}, "name the primary"},
	{"out of memory", says("CONFIG SET maxmemory 1"), says("CONFIG SET maxmemory 0"), [5]int{5, 0, 5, 5, 0}, "a larger maxmemory"},
	{"with another password", func(t *testing.T, r *fetchtest.Redis) {
		r.Kill()
		restart(t, r)
		says("CONFIG SET requirepass other")(t, r)
	},
		func(t *testing.T, r *fetchtest.Redis) { r.Password = "other"; says("CONFIG SET requirepass ''")(t, r) }, [5]int{2, 2, 2, 2, 2}, "it needs a password"},
	{"frozen", signals(syscall.SIGSTOP), signals(syscall.SIGCONT), [5]int{5, 0, 5, 5, 5}, "see that Redis runs"},
}

func says(command string) func(*testing.T, *fetchtest.Redis) {
	return func(t *testing.T, r *fetchtest.Redis) {
		t.Helper()
		if said := r.Send(command); said == "" || said[0] == '-' {
			t.Fatalf("redis: %s: %q", command, said)
		}
	}
}

func signals(signal syscall.Signal) func(*testing.T, *fetchtest.Redis) {
	return func(_ *testing.T, r *fetchtest.Redis) { r.Process.Signal(signal) }
}

// Whatever is the matter with Redis, who asks it is told what to do, no export
// is worse off for it, and a worker goes on by itself when it has passed.
func TestATroubleOfRedisPasses(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it takes the patience of many commands")
	}
	for _, away := range aways {
		t.Run(away.name, func(t *testing.T) {
			t.Parallel()
			q := newCluster(t, testCloud())
			names := someJobs(q.cloud, 3, sandbox.JobRunning)
			w := q.start(t, "worker", "--poll", "200ms", "-v")
			q.enqueue(t, names[:2]...)
			waitFor(t, "two exports that wait for their jobs", func() bool { return strings.Contains(q.status(t), "2 waiting, 0 failed") })
			away.begin(t, q.redis)
			q.askAll(t, names[2], names[1], away.exits, away.says)
			away.cease(t, q.redis)
			q.cloud.UpdateJob(testProject, names[0], func(j *sandbox.Job) { j.Statuses = nil })
			q.landed(t, 1)
			w.ends(t, syscall.SIGTERM, 0)
			if said := w.stderr.String(); strings.Contains(said, "attempt 1 of") || strings.Contains(said, "msg=failed") || strings.Contains(said, "panic") {
				t.Errorf("the worker says %s", said)
			}
		})
	}
}

// askAll runs each command that needs Redis.
func (q *cluster) askAll(t *testing.T, fresh, waiting string, exits [5]int, says string) {
	t.Helper()
	news, ref := strings.TrimSpace(jobRefs(fresh)), strings.TrimSpace(jobRefs(waiting))
	var all sync.WaitGroup
	for i, args := range [][]string{{"enqueue", news}, {"status"}, {"retry", ref}, {"requeue"}, {"cancel", ref}} {
		if args[0] == "cancel" { // not while it is being retried
			all.Wait()
		}
		all.Go(func() {
			p := q.command(t, args...)
			p.Env = append(p.Env, fmt.Sprintf("REDIS_URL=%s?max_retries=1&dial_timeout=1s&read_timeout=1s", q.redis.URL))
			p.start(t)
			code := exitOf(p.Wait())
			if args[0] == "status" && exits[0] == 5 && says == "see that Redis runs" && !strings.Contains(p.stderr.String(), "Redis is away") {
				t.Errorf("status does not say that Redis is away\n%s", &p.stderr)
			}
			if code != exits[i] || code != 0 && !strings.Contains(p.stderr.String(), says) {
				t.Errorf("%s: exit code %d, want %d\n%s%s", args[0], code, exits[i], &p.stdout, &p.stderr)
			}
		})
	}
	all.Wait()
}

// A worker that is left because Redis does not answer leaves nothing behind
// that still uses it.
func TestAWorkerThatRedisKeepsWaitingEndsInTime(t *testing.T) {
	t.Parallel()
	q := newLargeCluster(t, trickle)
	p := q.work(t, 1, "--drain", "1s")
	signals(syscall.SIGSTOP)(t, q.redis)
	began := time.Now()
	p.ends(t, syscall.SIGTERM, 0)
	if took := time.Since(began); took > overdue {
		t.Errorf("it took %v to end", took)
	}
	if strings.Contains(p.stderr.String(), "panic") {
		t.Errorf("it said %s", &p.stderr)
	}
}

// crashStarts is how many workers an export may kill.
const crashStarts = 10

// An export at whose first byte its worker dies kills no more than so many.
func TestAnExportThatKillsEachWorkerIsGivenUp(t *testing.T) {
	t.Parallel()
	cloud := testCloud()
	victims := make(chan *process)
	deadly := func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.URL.Path, ".csv") {
			cloud.ServeHTTP(w, r)
			return
		}
		select {
		case p := <-victims:
			p.Process.Kill()
			<-r.Context().Done()
		case <-r.Context().Done():
		}
	}
	server := httptest.NewServer(http.HandlerFunc(deadly))
	t.Cleanup(server.Close)
	q := newCluster(t, cloud)
	q.endpoint = server.URL
	names := someJobs(cloud, 2)
	cloud.UpdateJob(testProject, names[0], func(j *sandbox.Job) { j.File.Name = names[0] + ".csv" })
	cloud.UpdateJob(testProject, names[1], func(j *sandbox.Job) { j.File.Name = names[1] + ".txt" })
	q.enqueue(t, names[0])
	for range crashStarts {
		p := q.command(t, "worker")
		p.start(t)
		victims <- p
		p.exits(t, -1)
		q.redis.Send("FLUSHALL") // who had it is not waited for
	}
	q.enqueue(t, names[1])
	p := q.command(t, "worker")
	p.start(t)
	q.landed(t, 1)
	waitFor(t, "an export that is given up", func() bool { return strings.Contains(q.status(t), "1 landed, 1 failed") })
	p.ends(t, syscall.SIGTERM, 0)
	if said := q.status(t); !strings.Contains(said, "crashed") || !strings.Contains(said, "tallyman retry sls://") {
		t.Errorf("status says %s", said)
	}
}
