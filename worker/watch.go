package worker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
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

// Running returns the tasks of exports at which workers make an attempt now, or did less than
// a lease ago, but at most a thousand of each kind.
func (q *Queue) Running(ctx context.Context) ([]QueuedTask, error) {
	running, _, err := q.listExports(ctx, (*asynq.Inspector).ListActiveTasks, listPageSize)
	return running, err
}

// Retrying returns the tasks of exports that wait to be tried again, those that are due first
// at the beginning, but at most so many of each kind; and how many there are.
func (q *Queue) Retrying(ctx context.Context, atMost int) (tasks []QueuedTask, all int, err error) {
	tasks, sizes, err := q.listExports(ctx, (*asynq.Inspector).ListRetryTasks, atMost)
	for _, info := range sizes {
		all += info.Retry
	}
	slices.SortStableFunc(tasks, func(a, b QueuedTask) int { return a.Next.Compare(b.Next) })
	return tasks, all, err
}

// listExports lists the tasks of exports that are in one state, and the sizes of their queues.
func (q *Queue) listExports(ctx context.Context, list listFunc, atMost int) (tasks []QueuedTask, sizes []*asynq.QueueInfo, err error) {
	for _, queue := range []string{fetchQueue, pollQueue} {
		found, err := list(q.inspector, queue, asynq.PageSize(atMost))
		if errors.Is(err, asynq.ErrQueueNotFound) {
			continue
		}
		var info *asynq.QueueInfo
		if err == nil {
			info, err = q.inspector.GetQueueInfo(queue)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("list the queue: %w", wrapRedisError(ctx, err))
		}
		sizes = append(sizes, info)
		for _, task := range found {
			if t := newQueuedTask(task); t.Ref.Scheme() != "" {
				tasks = append(tasks, t)
			}
		}
	}
	return tasks, sizes, nil
}

// A WaitingPlace is a place, or a group of exports of no place, whose jobs are waited for.
type WaitingPlace struct {
	Place   string
	Profile string    // whose credentials ask for the jobs
	Exports int64     // that wait
	Listed  time.Time // when it was last listed for them; zero: it was not yet
}

// WaitingPlaces returns the places of the exports that wait for their jobs, those with the
// most of them first.
func (q *Queue) WaitingPlaces(ctx context.Context) ([]WaitingPlace, error) {
	fail := func(err error) ([]WaitingPlace, error) {
		return nil, fmt.Errorf("list the places that are waited for: %w", wrapRedisError(ctx, err))
	}
	groups, err := q.redis.HKeys(ctx, groupsKey).Result()
	if err != nil {
		return fail(err)
	}
	listings, err := q.redis.HGetAll(ctx, listingsKey).Result()
	if err != nil {
		return fail(err)
	}
	counts := make([]*redis.IntCmd, len(groups))
	if _, err := q.redis.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, group := range groups {
			counts[i] = pipe.ZCard(ctx, dueKey+group)
		}
		return nil
	}); err != nil {
		return fail(err)
	}
	var places []WaitingPlace
	for i, group := range groups {
		var task placeTask
		if json.Unmarshal([]byte(group), &task) != nil || counts[i].Val() == 0 {
			continue // of another version, or nothing waits
		}
		p := WaitingPlace{Place: task.Place, Profile: task.Profile, Exports: counts[i].Val()}
		var at, interval int64
		if _, err := fmt.Sscan(listings[group], &at, &interval); err == nil {
			p.Listed = time.UnixMilli(at).UTC()
		}
		places = append(places, p)
	}
	slices.SortFunc(places, func(a, b WaitingPlace) int {
		return cmp.Or(cmp.Compare(b.Exports, a.Exports), strings.Compare(a.Place, b.Place), strings.Compare(a.Profile, b.Profile))
	})
	return places, nil
}
