package worker

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// recoverInterval is how often a worker looks what Redis has lost.
const recoverInterval = 5 * time.Second

// recoverTasks brings back what is missing from the queue until ctx ends: at
// first, and whenever Redis was restarted or emptied, the exports that the
// archive knows of. It quarantines what can't be read. It fails with
// ErrOtherArchive if Redis serves another archive by then.
func (w *Worker) recoverTasks(ctx context.Context) error {
	tick := time.NewTicker(recoverInterval)
	defer tick.Stop()
	for lastID := ""; ; {
		id, err := w.Queue.identity(ctx)
		if err == nil && (id == "" || id != lastID) {
			if err = w.Queue.Register(ctx, w.Archive.ID()); err == nil {
				id, err = w.Queue.identity(ctx) // with the marks that Register has set
			}
			var n int
			if err == nil && id != "" { // else it was emptied at this moment
				n, err = w.Queue.Requeue(ctx, w.Archive)
			}
			if n > 0 {
				w.Log.Warn("exports that the archive knows of were enqueued", "exports", n)
			}
		}
		if errors.Is(err, ErrOtherArchive) {
			return err
		}
		if err == nil {
			lastID = id
			w.quarantineUnreadable(ctx)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// orphanedAfter is how long after the end of its lease a task should have been
// given to another worker: asynq looks each minute, half a minute later.
const orphanedAfter = 3 * time.Minute

// An activeTask is an entry in asynq's list of the tasks that run, and what is
// stored under its ID.
type activeTask struct{ queue, id, kind string }

// The kinds of active tasks.
const (
	leased    = "leased"
	orphaned  = "orphaned"   // its lease ended long ago
	missing   = "missing"    // no message is stored under its ID
	wrongType = "wrong-type" // what is stored is no hash
)

// listActiveScript lists the active tasks and their kinds in one step of Redis,
// since tasks end at every moment, and what is seen in two steps may never have
// been. It gives a task without a lease one that has ended, for asynq to see.
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

// unreadable is why asynq can't read a task, or "".
func (a activeTask) unreadable(q *Queue) string {
	switch a.kind {
	case missing:
		return "no message is stored under its ID"
	case wrongType:
		return "what is stored under its ID is not a task"
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

// asynqKey is a key among those of asynq: "active" and "lease" hold the tasks that
// run, and "t:" with an ID behind it a task. "aside:" with an ID behind it is ours:
// what was stored under that ID when it was quarantined.
func asynqKey(queue, name string) string { return "asynq:{" + queue + "}:" + name }

// quarantineKey holds the IDs of what was quarantined in a queue since it was no
// task at all, and why.
func quarantineKey(queue string) string { return "tallyman:{" + queue + "}:aside" }

// quarantineScript takes an entry out of asynq's sight, and keeps what is stored
// under its ID. It does nothing if the entry is gone, or if a message is there by
// now where none was.
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

// quarantineUnreadable quarantines the active tasks that asynq would never give
// to a worker again. One that can't be read would keep asynq from finding all
// others whose worker has died. If Redis is away, the next look is soon.
func (w *Worker) quarantineUnreadable(ctx context.Context) {
	q := w.Queue
	for _, queue := range queues {
		if n, err := q.redis.LLen(ctx, asynqKey(queue, "active")).Result(); err != nil || n == 0 {
			continue
		}
		since := time.Now().Add(-orphanedAfter).Unix()
		found, err := listActiveScript.Run(ctx, q.redis, []string{asynqKey(queue, "active"), asynqKey(queue, "lease")}, asynqKey(queue, "t:"), since).StringSlice()
		if err != nil {
			continue
		}
		for pair := range slices.Chunk(found, 2) {
			task := activeTask{queue, pair[0], pair[1]}
			why := task.unreadable(q)
			if why == "" {
				continue
			}
			keys := []string{asynqKey(queue, "active"), asynqKey(queue, "lease"), asynqKey(queue, "t:"+task.id), asynqKey(queue, "aside:"+task.id), quarantineKey(queue)}
			done, err := quarantineScript.Run(ctx, q.redis, keys, task.id, task.kind, why).Bool()
			if done && err == nil { // else the task is gone
				w.Log.Warn("a task can't be read and is quarantined", "cause", "bad-task", "queue", queue, "id", sanitize(task.id), "error", why)
			}
		}
	}
}

// quarantined yields what quarantineUnreadable has taken out of the queues.
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
