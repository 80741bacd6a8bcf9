package worker

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/hibiken/asynq"

	"tallyman/fetch"
)

// Queued is a task as it is in the queue.
type Queued struct {
	Ref     fetch.Ref
	Fetch   bool      // its job was ready; otherwise the job is to be asked
	Running bool      // a worker has it, or had it less than a lease ago
	Next    time.Time // when it is due, if it is not yet
	Why     string    // what was the matter the last time, or ""

	// Set aside tells that no worker takes it any more: it was given up, or is
	// no task of ours, and Why says so. Then Ref may be the zero Ref.
	SetAside bool
}

// lists are those of asynq's lists that a task of ours may be in.
var lists = []func(*asynq.Inspector, string, ...asynq.ListOption) ([]*asynq.TaskInfo, error){
	(*asynq.Inspector).ListActiveTasks,
	(*asynq.Inspector).ListPendingTasks,
	(*asynq.Inspector).ListScheduledTasks,
	(*asynq.Inspector).ListRetryTasks,
	(*asynq.Inspector).ListArchivedTasks,
}

const listPage = 1000

// Tasks yields what is in the queue. Tasks that move meanwhile may be missed, or
// come twice.
func (q *Queue) Tasks(ctx context.Context) iter.Seq2[Queued, error] {
	return func(yield func(Queued, error) bool) {
		for _, queue := range []string{pollQueue, fetchQueue} {
			for _, list := range lists {
				for task, err := range q.list(ctx, list, queue) {
					if !yield(task, err) || err != nil {
						return
					}
				}
			}
		}
	}
}

func (q *Queue) list(ctx context.Context, list func(*asynq.Inspector, string, ...asynq.ListOption) ([]*asynq.TaskInfo, error), queue string) iter.Seq2[Queued, error] {
	return func(yield func(Queued, error) bool) {
		for page := 1; ; page++ {
			tasks, err := list(q.inspector, queue, asynq.PageSize(listPage), asynq.Page(page))
			if errors.Is(err, asynq.ErrQueueNotFound) {
				return
			}
			if err != nil || ctx.Err() != nil {
				yield(Queued{}, fmt.Errorf("list the queue: %w", unqueued(ctx, errors.Join(err, ctx.Err()))))
				return
			}
			for _, task := range tasks {
				if !yield(queuedOf(task), nil) {
					return
				}
			}
			if len(tasks) < listPage {
				return
			}
		}
	}
}

func queuedOf(task *asynq.TaskInfo) Queued {
	q := Queued{
		Fetch: task.Type == typeFetch, Running: task.State == asynq.TaskStateActive,
		SetAside: task.State == asynq.TaskStateArchived, Why: task.LastErr,
	}
	if task.State == asynq.TaskStateScheduled || task.State == asynq.TaskStateRetry {
		q.Next = task.NextProcessAt
	}
	_, ref, err := parseTask(task.Payload)
	if err != nil {
		q.SetAside = true
	}
	q.Ref = ref
	return q
}
