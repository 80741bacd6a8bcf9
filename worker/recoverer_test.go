package worker

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tallyman/fetch"
	"tallyman/verify/archive"
)

// unreadableMessages are what Redis may hold where a task should be, and what the
// reason of the quarantine says.
var unreadableMessages = map[string]struct {
	plant func(p *fakeRedis, queue, id string)
	says  string
}{
	"no message": {func(p *fakeRedis, queue, id string) {
		p.HSet(asynqKey(queue, "t:"+id), "msg", "\xff\xff\x1b[2J", "state", "pending")
	}, "can't be decoded"},
	"empty":   {func(p *fakeRedis, queue, id string) { p.HSet(asynqKey(queue, "t:"+id), "state", "pending") }, "no message is stored"},
	"missing": {func(*fakeRedis, string, string) {}, "no message is stored"},
	"text":    {func(p *fakeRedis, queue, id string) { _ = p.Set(asynqKey(queue, "t:"+id), "a task") }, "is not a task"},
	"alias": {func(p *fakeRedis, queue, id string) {
		p.HSet(asynqKey(queue, "t:"+id), "msg", p.HGet(asynqKey(queue, "t:true"), "msg"))
	}, "stored as another task: \"true\""},
	"\x1b[2J\u202ename": {func(p *fakeRedis, queue, id string) { p.HSet(asynqKey(queue, "t:"+id), "msg", "\xff") }, "can't be decoded"},
}

// A message that is no task would keep asynq from seeing the tasks whose workers
// have died. It is quarantined, and Tasks yields it.
func TestMessagesThatAreNoTasksBlockNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("one task after another")
	}
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, w := &scriptedFetcher{ends: []error{nil}}, &Worker{TaskCheckInterval: 5 * time.Second}
		p := s.setUp(t, w)
		for _, queue := range []string{pollQueue, fetchQueue} {
			addRaw(t, w.Queue, queue, "true", "export:erase", "{}")
			for id, bad := range unreadableMessages {
				bad.plant(p, queue, id)
				_, _ = p.Lpush("asynq:{"+queue+"}:pending", id)
			}
		}
		ref := parseRef(t, jobRef)
		addOrphanedTask(t, p, w.Queue, ref)
		if err := fetchByWorker(t, w, ref); err != nil || time.Since(s.began) > 10*time.Minute {
			t.Errorf("the orphan: %v after %v", err, time.Since(s.began))
		}
		stop := startWorker(t, w)
		time.Sleep(10 * time.Minute)
		stop()
		for _, queue := range []string{pollQueue, fetchQueue} {
			if left, _ := p.List("asynq:{" + queue + "}:active"); len(left) > 0 {
				t.Errorf("%s: %q are still there", queue, left)
			}
			for id, bad := range unreadableMessages {
				if why := p.HGet(quarantineKey(queue), id); !strings.Contains(why, bad.says) {
					t.Errorf("%s %q: %q, want it to say %s", queue, id, why, bad.says)
				}
			}
		}
		checkQuarantinedCount(t, w.Queue, 2*len(unreadableMessages)+2) // and the two tasks of an unknown type
	})
}

// addOrphanedTask adds a task whose worker has died.
func addOrphanedTask(t testing.TB, p *fakeRedis, q *Queue, ref fetch.Ref) {
	t.Helper()
	id := taskID(typeFetch, ref.Hash())
	addRaw(t, q, fetchQueue, id, typeFetch, string(payloadOf(newTask(ref, Options{}))))
	key := "asynq:{" + fetchQueue + "}:"
	q.redis.LRem(t.Context(), key+"pending", 0, id)
	_, _ = p.Lpush(key+"active", id)
	p.HSet(asynqKey(fetchQueue, "t:"+id), "state", "active")
	_, _ = p.ZAdd(key+"lease", float64(time.Now().Unix()), id)
}

// asynq never gives a task that runs without a lease to another worker.
func TestATaskWithoutALeaseGoesToAnotherWorker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, w, ref := &scriptedFetcher{ends: []error{nil}}, &Worker{}, parseRef(t, jobRef)
		p := s.setUp(t, w)
		addOrphanedTask(t, p, w.Queue, ref)
		p.Del("asynq:{" + fetchQueue + "}:lease")
		if err := fetchByWorker(t, w, ref); err != nil {
			t.Error(err)
		}
	})
}

func TestATaskThatRunsLongerThanItsLeaseIsLeftAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, ref := &Worker{TaskCheckInterval: 5 * time.Second}, parseRef(t, jobRef)
		s := &scriptedFetcher{ends: []error{nil}}
		s.setUp(t, w)
		w.Fetcher = &fakeFetcher{fetch: func(ctx context.Context, ref fetch.Ref) (*archive.Receipt, error) {
			time.Sleep(3 * orphanedAfter)
			return s.Fetch(ctx, ref)
		}}
		if err := fetchByWorker(t, w, ref); err != nil || len(s.times) != 1 {
			t.Errorf("%v after %d attempts", err, len(s.times))
		}
	})
}
