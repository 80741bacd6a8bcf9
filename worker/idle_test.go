package worker

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// An idle worker, that looks into its queues once an hour, is told of a task that is added.
func TestAnIdleWorkerNoticesATaskWhenItIsAdded(t *testing.T) {
	onEachRedis(t, func(t *testing.T, s redisServer) {
		a := openArchive(t)
		w, ended := newFastWorker(s, a, newFetcher(newProvider(0), a))
		w.TaskCheckInterval = time.Hour
		defer startWorker(t, w)()
		for n := range 3 {
			ref := parseRef(t, fmt.Sprint(jobRef, n))
			mustEnqueue(t, w.Queue, ref)
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			mustLand(t, a, ref)
			time.Sleep(2 * busyTime) // it is idle then
		}
	})
}

// A user of Redis that was created before workers listened for tasks still has its
// exports fetched.
func TestAUserWhoMayNotListenHasItsExportsFetched(t *testing.T) {
	t.Parallel()
	r, a, ref := startRedis(t), openArchive(t), parseRef(t, jobRef)
	setUser(t, r, "queue", strings.Replace(readmeACL, "&"+enqueuedChannel+" ", "", 1))
	w, ended := newFastWorker(redisServer{client: r.dial(t, "queue:"+canary+"@")}, a, newFetcher(newProvider(0), a))
	defer startWorker(t, w)()
	mustEnqueue(t, w.Queue, ref)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	mustLand(t, a, ref)
}
