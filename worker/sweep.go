package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// asideKey names, by their queues and IDs, the messages that were no tasks at
// all, and what was wrong with each.
const asideKey = "tallyman:aside"

// stale is how long after its lease has ended a task should have been given to
// another worker: the queue looks each minute, half a minute later.
const stale = 3 * time.Minute

// sweep sees to the tasks that the queue would never give to anyone again. One
// of them that can't be read would keep it from finding all others whose worker
// has died.
func (w *Worker) sweep(ctx context.Context) {
	for _, queue := range []string{pollQueue, fetchQueue, discoverQueue} {
		running, err := w.Queue.running(ctx, queue)
		if err != nil {
			continue // Redis is away, and the next look is soon
		}
		for id, stranded := range running {
			if why := w.Queue.unreadable(ctx, queue, id, stranded); why != "" && w.Queue.setAside(ctx, queue, id, why) == nil {
				w.log("a task can't be read and is set aside", "cause", "bad-task", "queue", queue, "id", plain(id), "error", why)
			}
		}
	}
}

// running are the tasks that run, and whether their leases have ended long ago.
// One that has none gets one that has ended, for the queue to see.
func (q *Queue) running(ctx context.Context, queue string) (map[string]bool, error) {
	ids, err := q.redis.LRange(ctx, "asynq:{"+queue+"}:active", 0, -1).Result()
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	leases := "asynq:{" + queue + "}:lease"
	ends, err := q.redis.ZMScore(ctx, leases, ids...).Result()
	if err != nil {
		return nil, err
	}
	running := map[string]bool{}
	for i, id := range ids {
		running[id] = time.Unix(int64(ends[i]), 0).Before(time.Now().Add(-stale))
		if ends[i] == 0 { // it has none
			err = errors.Join(err, q.redis.ZAddNX(ctx, leases, redis.Z{Score: 1, Member: id}).Err())
		}
	}
	return running, err
}

// unreadable is why the queue can't read a task, or "". One that is not
// stranded may be ending at this moment, and be gone.
func (q *Queue) unreadable(ctx context.Context, queue, id string, stranded bool) string {
	switch message, err := q.redis.HGet(ctx, taskKey(queue, id), "msg").Result(); {
	case err != nil && strings.HasPrefix(err.Error(), "WRONGTYPE"):
		return "it is not stored as tasks are"
	case stranded && (errors.Is(err, redis.Nil) || err == nil && message == ""):
		return "there is nothing behind its ID"
	case err != nil:
		return ""
	}
	task, err := q.inspector.GetTaskInfo(queue, id)
	switch {
	case err != nil && strings.Contains(err.Error(), "could not decode"):
		return "its message can't be decoded"
	case stranded && err == nil && task.ID != id:
		return fmt.Sprintf("it is stored as another task: %q", plain(task.ID))
	}
	return ""
}

func taskKey(queue, id string) string { return "asynq:{" + queue + "}:t:" + id }

// setAside takes a message out of the queue's sight, and keeps it. Cut short,
// it is done again.
func (q *Queue) setAside(ctx context.Context, queue, id, why string) error {
	if err := q.redis.HSet(ctx, asideKey, queue+" "+id, why).Err(); err != nil {
		return err
	}
	_, err := q.redis.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.Rename(ctx, taskKey(queue, id), "asynq:{"+queue+"}:aside:"+id) // if there is one
		p.ZRem(ctx, "asynq:{"+queue+"}:lease", id)
		p.LRem(ctx, "asynq:{"+queue+"}:active", 0, id)
		return nil
	})
	if err != nil && strings.Contains(err.Error(), "no such key") {
		return nil
	}
	return err
}

// aside yields what sweep has set aside.
func (q *Queue) aside(ctx context.Context) iter.Seq2[Queued, error] {
	return func(yield func(Queued, error) bool) {
		all, err := q.redis.HGetAll(ctx, asideKey).Result()
		if err != nil {
			yield(Queued{}, fmt.Errorf("list the queue: %w", unqueued(ctx, err)))
			return
		}
		for name, why := range all {
			_, id, _ := strings.Cut(name, " ")
			if !yield(Queued{ID: plain(cmp.Or(id, name)), SetAside: true, Why: "bad-task: " + plain(why)}, nil) {
				return
			}
		}
	}
}
