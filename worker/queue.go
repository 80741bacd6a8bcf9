package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"tallyman/fetch"
)

// A Queue is what is to be done next, in Redis. It can be lost: what has been
// done, and what was begun, is in the archive. Its methods may be called by
// many goroutines at once.
type Queue struct {
	redis     redis.UniversalClient
	client    *asynq.Client
	inspector *asynq.Inspector
}

// NewQueue is the queue on a Redis, whose client is the caller's to close.
func NewQueue(client redis.UniversalClient) *Queue {
	return &Queue{client, asynq.NewClientFromRedisClient(client), asynq.NewInspectorFromRedisClient(client)}
}

// How long a run of a task may take. The budgets that count are in the
// docket: asynq's own number of retries only must never be reached, since it
// ends tasks that did not fail.
const (
	pollTimeout      = time.Hour // of which most is waiting for a turn
	fetchTimeout     = 30 * 24 * time.Hour
	unlimitedRetries = 1 << 30
)

// Enqueue has a worker wait for an export's job, and fetch it. It reports
// whether it is news: an export that is queued, is being fetched, or has failed
// since someone last asked for it stays as it is.
func (q *Queue) Enqueue(ctx context.Context, ref fetch.Ref, o Options) (bool, error) {
	_, err := q.inspector.GetTaskInfo(fetchQueue, fetchID(ref.Hash()))
	switch {
	case err == nil: // to ask its job again would only be in the way
		return false, nil
	case !isNotFound(err):
		return false, fmt.Errorf("enqueue %s: %w", ref, wrapRedisError(ctx, err))
	}
	return q.enqueueTask(ctx, ref, asynq.NewTask(typePoll, newTask(ref, o).payload(),
		asynq.Queue(pollQueue), asynq.TaskID(pollID(ref.Hash())), asynq.Timeout(pollTimeout), asynq.MaxRetry(unlimitedRetries)))
}

// enqueueFetch has a worker fetch an export whose job is ready.
func (q *Queue) enqueueFetch(ctx context.Context, ref fetch.Ref, o Options) error {
	_, err := q.enqueueTask(ctx, ref, asynq.NewTask(typeFetch, newTask(ref, o).payload(),
		asynq.Queue(fetchQueue), asynq.TaskID(fetchID(ref.Hash())), asynq.Timeout(fetchTimeout), asynq.MaxRetry(unlimitedRetries)))
	return err
}

func (q *Queue) enqueueTask(ctx context.Context, ref fetch.Ref, task *asynq.Task) (bool, error) {
	_, err := q.client.EnqueueContext(ctx, task)
	switch {
	case errors.Is(err, asynq.ErrTaskIDConflict):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("enqueue %s: %w", ref, wrapRedisError(ctx, err))
	}
	return true, nil
}

// Queued reports whether the queue has a task of the export that will run.
func (q *Queue) Queued(hash string) (bool, error) {
	for _, t := range taskLocations(hash) {
		task, err := q.inspector.GetTaskInfo(t.queue, t.id)
		switch {
		case isNotFound(err):
		case err != nil:
			return false, fmt.Errorf("look up %s: %w", t.id, wrapRedisError(context.Background(), err))
		case task.State != asynq.TaskStateArchived:
			return true, nil
		}
	}
	return false, nil
}

// Remove takes the tasks of an export out of the queue. One that runs is told
// to end, and reported as running: it is to be forgotten again.
func (q *Queue) Remove(hash string) (running bool, err error) {
	for _, t := range taskLocations(hash) {
		runs, err := q.removeTask(t)
		if err != nil {
			return running, fmt.Errorf("forget %s: %w", t.id, wrapRedisError(context.Background(), err))
		}
		running = running || runs
	}
	return running, nil
}

func (q *Queue) removeTask(t taskLocation) (running bool, err error) {
	err = q.inspector.DeleteTask(t.queue, t.id)
	if err == nil || isNotFound(err) {
		return false, nil
	}
	task, lookErr := q.inspector.GetTaskInfo(t.queue, t.id)
	switch {
	case isNotFound(lookErr):
		return false, nil
	case lookErr == nil && task.State == asynq.TaskStateActive:
		return true, q.inspector.CancelProcessing(t.id)
	case strings.Contains(err.Error(), "in active state"): // when it was to be deleted
		return true, nil
	}
	return false, err
}

// A taskName is where a task of an export is.
type taskLocation struct{ queue, id string }

// taskLocations are in their order: the first is not gone before the second is there.
func taskLocations(hash string) []taskLocation {
	return []taskLocation{{pollQueue, pollID(hash)}, {fetchQueue, fetchID(hash)}}
}

func isNotFound(err error) bool {
	return errors.Is(err, asynq.ErrTaskNotFound) || errors.Is(err, asynq.ErrQueueNotFound)
}
