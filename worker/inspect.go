package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/hibiken/asynq"

	"tallyman/fetch"
)

// A QueuedTask is a task as it is in the queue.
type QueuedTask struct {
	ID      string
	Ref     fetch.Ref
	Fetch   bool      // its job was ready; otherwise the job is to be asked
	Running bool      // a worker has it, or had it less than a lease ago
	Next    time.Time // when it is due, if it is not yet
	Why     string    // what was the matter the last time, or ""

	// Set aside tells that no worker takes it any more: it was given up, or is
	// no task of ours, and Why says so. Then Ref is the zero Ref.
	Quarantined bool
}

// lists are those of asynq's lists that a task of ours may be in.
var taskLists = []func(*asynq.Inspector, string, ...asynq.ListOption) ([]*asynq.TaskInfo, error){
	(*asynq.Inspector).ListActiveTasks,
	(*asynq.Inspector).ListPendingTasks,
	(*asynq.Inspector).ListScheduledTasks,
	(*asynq.Inspector).ListRetryTasks,
	(*asynq.Inspector).ListArchivedTasks,
}

// kinds are the types of the tasks of exports, by their queues.
var taskTypes = map[string]string{pollQueue: typePoll, fetchQueue: typeFetch}

const listPageSize = 1000

// Tasks yields what is in the queue. Tasks that move meanwhile may be missed, or
// come twice.
func (q *Queue) Tasks(ctx context.Context) iter.Seq2[QueuedTask, error] {
	return func(yield func(QueuedTask, error) bool) {
		for _, queue := range []string{pollQueue, fetchQueue} {
			for _, list := range taskLists {
				for task, err := range q.list(ctx, list, queue) {
					if !yield(task, err) || err != nil {
						return
					}
				}
			}
		}
		for task, err := range q.quarantined(ctx) {
			if !yield(task, err) {
				return
			}
		}
	}
}

func (q *Queue) list(ctx context.Context, list func(*asynq.Inspector, string, ...asynq.ListOption) ([]*asynq.TaskInfo, error), queue string) iter.Seq2[QueuedTask, error] {
	return func(yield func(QueuedTask, error) bool) {
		for page := 1; ; page++ {
			tasks, err := list(q.inspector, queue, asynq.PageSize(listPageSize), asynq.Page(page))
			if errors.Is(err, asynq.ErrQueueNotFound) {
				return
			}
			if err != nil || ctx.Err() != nil {
				yield(QueuedTask{}, fmt.Errorf("list the queue: %w", wrapRedisError(ctx, errors.Join(err, ctx.Err()))))
				return
			}
			for _, task := range tasks {
				if !yield(newQueuedTask(task), nil) {
					return
				}
			}
			if len(tasks) == 0 { // of a page, what can't be decoded is missing
				return
			}
		}
	}
}

func newQueuedTask(task *asynq.TaskInfo) QueuedTask {
	q := QueuedTask{
		ID: sanitize(task.ID), Fetch: task.Type == typeFetch, Running: task.State == asynq.TaskStateActive,
		Quarantined: task.State == asynq.TaskStateArchived, Why: sanitize(task.LastErr),
	}
	if task.State == asynq.TaskStateScheduled || task.State == asynq.TaskStateRetry {
		q.Next = task.NextProcessAt
	}
	_, ref, err := checkTask(taskTypes[task.Queue], task.Type, task.ID, task.Payload)
	if err != nil {
		q.Quarantined, q.Why = true, cmp.Or(q.Why, "bad-task: "+safeText(err))
	}
	q.Ref = ref
	return q
}
