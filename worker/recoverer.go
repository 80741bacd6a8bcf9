package worker

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// queues are all that there are.
var queues = []string{pollQueue, fetchQueue, discoverQueue}

// quarantineKey names, by their IDs, the messages in a queue that were no tasks at
// all, and what was wrong with each.
func quarantineKey(queue string) string { return "tallyman:{" + queue + "}:aside" }

// stale is how long after its lease has ended a task should have been given to
// another worker: the queue looks each minute, half a minute later.
const orphanedAfter = 3 * time.Minute

// quarantineUnreadable sees to the tasks that the queue would never give to anyone again. One
// of them that can't be read would keep it from finding all others whose worker
// has died.
func (w *Worker) quarantineUnreadable(ctx context.Context) {
	for _, queue := range queues {
		running, err := w.Queue.activeTasks(ctx, queue)
		if err != nil {
			continue // Redis is away, and the next look is soon
		}
		for _, task := range running {
			why := task.unreadable(w.Queue)
			if why == "" {
				continue
			}
			if w.Queue.quarantine(ctx, task, why) {
				w.warn("a task can't be read and is set aside", "cause", "bad-task", "queue", queue, "id", sanitize(task.id), "error", why)
			}
		}
	}
}

// An active is a task that runs, or should, and what is behind its ID.
type activeTask struct{ queue, id, kind string }

// The kinds of running tasks.
const (
	leased    = "leased"
	orphaned  = "orphaned"   // its lease ended long ago
	missing   = "missing"    // there is nothing behind its ID
	wrongType = "wrong-type" // what is there is no hash
)

// look is one step of Redis, since tasks end at every moment: what one sees of
// them in two may never have been. A task without a lease gets one that has
// ended, for the queue to see.
var listActiveScript = redis.NewScript(`
local found = {}
for _, id in ipairs(redis.call("LRANGE", KEYS[1], 0, -1)) do
	local stored, ends = redis.call("TYPE", ARGV[1] .. id).ok, redis.call("ZSCORE", KEYS[2], id)
	local kind = "leased"
	if stored ~= "hash" and stored ~= "none" then
		kind = "wrong-type"
	elseif stored == "none" or (redis.call("HGET", ARGV[1] .. id, "msg") or "") == "" then
		kind = "missing"
	elseif not ends then
		redis.call("ZADD", KEYS[2], 1, id)
		kind = "orphaned"
	elseif tonumber(ends) < tonumber(ARGV[2]) then
		kind = "orphaned"
	end
	table.insert(found, id)
	table.insert(found, kind)
end
return found`)

// activeTasks lists the tasks that run.
func (q *Queue) activeTasks(ctx context.Context, queue string) ([]activeTask, error) {
	if n, err := q.redis.LLen(ctx, activeKey(queue)).Result(); err != nil || n == 0 {
		return nil, err
	}
	since := time.Now().Add(-orphanedAfter).Unix()
	found, err := listActiveScript.Run(ctx, q.redis, []string{activeKey(queue), leaseKey(queue)}, taskKey(queue, ""), since).StringSlice()
	if err != nil {
		return nil, err
	}
	var all []activeTask
	for pair := range slices.Chunk(found, 2) {
		all = append(all, activeTask{queue, pair[0], pair[1]})
	}
	return all, nil
}

// unreadable is why the queue can't read a task, or "".
func (a activeTask) unreadable(q *Queue) string {
	switch a.kind {
	case missing:
		return "there is nothing behind its ID"
	case wrongType:
		return "it is not stored as tasks are"
	}
	task, err := q.inspector.GetTaskInfo(a.queue, a.id)
	switch {
	case err != nil && strings.Contains(err.Error(), "could not decode"):
		return "its message can't be decoded"
	case a.kind == orphaned && err == nil && task.ID != a.id:
		return fmt.Sprintf("it is stored as another task: %q", sanitize(task.ID))
	}
	return "" // it may have ended at this moment, and be gone
}

func activeKey(queue string) string   { return "asynq:{" + queue + "}:active" }
func leaseKey(queue string) string    { return "asynq:{" + queue + "}:lease" }
func taskKey(queue, id string) string { return "asynq:{" + queue + "}:t:" + id }

// putAside takes a message out of the queue's sight, and keeps what there is of
// it, unless it is there no more, or a task has come where none was.
var quarantineScript = redis.NewScript(`
local stored = redis.call("TYPE", KEYS[3]).ok
if ARGV[2] == "missing" and stored == "hash" and (redis.call("HGET", KEYS[3], "msg") or "") ~= "" then
	return 0
end
if redis.call("LREM", KEYS[1], 0, ARGV[1]) == 0 then
	return 0
end
redis.call("ZREM", KEYS[2], ARGV[1])
if stored ~= "none" then
	redis.call("RENAME", KEYS[3], KEYS[4])
end
redis.call("HSET", KEYS[5], ARGV[1], ARGV[3])
return 1`)

// quarantine sets a message aside. It reports whether it did: one that is no
// longer there needs it no more, and without Redis it is done at the next look.
func (q *Queue) quarantine(ctx context.Context, a activeTask, why string) bool {
	keys := []string{activeKey(a.queue), leaseKey(a.queue), taskKey(a.queue, a.id), "asynq:{" + a.queue + "}:aside:" + a.id, quarantineKey(a.queue)}
	done, err := quarantineScript.Run(ctx, q.redis, keys, a.id, a.kind, why).Bool()
	return done && err == nil
}

// quarantined yields what sweep has set aside.
func (q *Queue) quarantined(ctx context.Context) iter.Seq2[QueuedTask, error] {
	return func(yield func(QueuedTask, error) bool) {
		for _, queue := range queues {
			all, err := q.redis.HGetAll(ctx, quarantineKey(queue)).Result()
			if err != nil {
				yield(QueuedTask{}, fmt.Errorf("list the queue: %w", wrapRedisError(ctx, err)))
				return
			}
			for id, why := range all {
				if !yield(QueuedTask{ID: sanitize(id), Quarantined: true, Why: "bad-task: " + sanitize(why)}, nil) {
					return
				}
			}
		}
	}
}
