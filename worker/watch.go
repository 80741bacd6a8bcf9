package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hibiken/asynq"

	"tallyman/fetch"
)

// A QueueSize says how many tasks of a queue are in which state.
type QueueSize struct {
	Queue   string         // "poll", "fetch", "place" or "discover"
	Tasks   map[string]int // by state: "pending", "active", "scheduled", "retry", "failed"
	Latency time.Duration  // how long the oldest pending task has waited
	Paused  bool
}

// Sizes counts the tasks of each queue that there is, and the exports that wait for their
// jobs without a task.
func (q *Queue) Sizes(ctx context.Context) (sizes []QueueSize, waiting int64, err error) {
	if waiting, err = q.redis.HLen(ctx, membersKey).Result(); err != nil {
		return nil, 0, fmt.Errorf("count the queue: %w", wrapRedisError(ctx, err))
	}
	known, err := q.inspector.Queues()
	for _, queue := range queues {
		if err != nil || !slices.Contains(known, queue) {
			continue
		}
		var info *asynq.QueueInfo
		if info, err = q.inspector.GetQueueInfo(queue); err != nil {
			break
		}
		sizes = append(sizes, QueueSize{strings.TrimPrefix(queue, "tallyman."), map[string]int{
			"pending": info.Pending, "active": info.Active, "scheduled": info.Scheduled, "retry": info.Retry, "failed": info.Archived,
		}, info.Latency, info.Paused})
	}
	if err != nil {
		return nil, 0, fmt.Errorf("count the queue: %w", wrapRedisError(ctx, err))
	}
	return sizes, waiting, nil
}

// Running returns the exports at which workers make an attempt now, or did less than a
// lease ago, but at most a thousand.
func (q *Queue) Running(ctx context.Context) (refs []fetch.Ref, err error) {
	for _, queue := range []string{fetchQueue, pollQueue} {
		tasks, err := q.inspector.ListActiveTasks(queue, asynq.PageSize(listPageSize))
		if err != nil && !errors.Is(err, asynq.ErrQueueNotFound) {
			return nil, fmt.Errorf("list the queue: %w", wrapRedisError(ctx, err))
		}
		for _, task := range tasks {
			if t := newQueuedTask(task); t.Ref.Scheme() != "" {
				refs = append(refs, t.Ref)
			}
		}
	}
	return refs, nil
}
