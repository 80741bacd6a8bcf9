package worker

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"tallyman/fetch"
)

// A Queue holds, in Redis, what is to be done next. It can be lost: what has been
// done and what was begun is in the archive. Its methods may be called by many
// goroutines at once.
type Queue struct {
	redis     redis.UniversalClient
	client    *asynq.Client
	inspector *asynq.Inspector

	polls, fetches announcer
}

// NewQueue returns the queue in a Redis. The caller closes the client.
func NewQueue(client redis.UniversalClient) *Queue {
	return &Queue{redis: client, client: asynq.NewClientFromRedisClient(client), inspector: asynq.NewInspectorFromRedisClient(client)}
}

// queues are all queues.
var queues = []string{pollQueue, fetchQueue, placeQueue, discoverQueue}

// How long a run of a task may take.
const (
	exportTimeout   = 30 * 24 * time.Hour
	discoverTimeout = 24 * time.Hour
)

// unlimitedRetries is asynq's own limit of retries. It must never be reached,
// because asynq also counts runs that were snoozed. The budgets that count are in
// the records.
const unlimitedRetries = 1 << 30

// Enqueue has a worker wait for an export's job and fetch it. It reports whether
// a task was added: an export that is queued, is being fetched, or has failed and
// was not removed since, stays as it is.
func (q *Queue) Enqueue(ctx context.Context, ref fetch.Ref, o Options) (added bool, err error) {
	if waits, err := q.waits(ctx, ref.Hash()); err != nil || waits { // first, since what waits is there until its fetch is
		return false, err
	}
	_, err = q.inspector.GetTaskInfo(fetchQueue, taskID(typeFetch, ref.Hash()))
	if err == nil { // its job is ready
		return false, nil
	}
	if !isNotFound(err) {
		return false, fmt.Errorf("enqueue %s: %w", ref, wrapRedisError(ctx, err))
	}
	return q.enqueueTask(ctx, typePoll, ref, o)
}

// enqueueTask adds a poll or a fetch, unless the export has one already.
func (q *Queue) enqueueTask(ctx context.Context, taskType string, ref fetch.Ref, o Options) (added bool, err error) {
	queue, announcer := pollQueue, &q.polls
	if taskType == typeFetch {
		queue, announcer = fetchQueue, &q.fetches
	}
	payload := payloadOf(Task{Version: taskVersion, Reference: ref.String(), Options: o.forRef(ref)})
	task := asynq.NewTask(taskType, payload, asynq.Queue(queue), asynq.TaskID(taskID(taskType, ref.Hash())), asynq.Timeout(exportTimeout), asynq.MaxRetry(unlimitedRetries))
	_, err = q.client.EnqueueContext(ctx, task)
	switch {
	case errors.Is(err, asynq.ErrTaskIDConflict):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("enqueue %s: %w", ref, wrapRedisError(ctx, err))
	}
	announcer.announce(ctx, q.redis, queue)
	return true, nil
}

// A taskLocation is where a task of an export is.
type taskLocation struct{ queue, id string }

// taskLocations are in the order in which tasks move: the first is not gone
// before the second is there.
func taskLocations(hash string) []taskLocation {
	return []taskLocation{{pollQueue, taskID(typePoll, hash)}, {fetchQueue, taskID(typeFetch, hash)}}
}

// Queued reports whether the queue has a task of the export that will run, or the
// export waits for its job.
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
		if waits, err := q.waits(context.Background(), hash); err != nil || waits {
			return waits, err
		}
	}
	return false, nil
}

// Remove takes the tasks of an export out of the queue, and the export out of those that
// wait. A task that runs is told to end, and reported as running: it has to be removed
// again later.
func (q *Queue) Remove(hash string) (running bool, err error) {
	for _, t := range taskLocations(hash) {
		err := q.inspector.DeleteTask(t.queue, t.id)
		if err == nil || isNotFound(err) {
			if _, err := q.endWait(context.Background(), hash, ""); err != nil {
				return running, err
			}
			continue
		}
		task, lookupErr := q.inspector.GetTaskInfo(t.queue, t.id)
		switch {
		case isNotFound(lookupErr):
			continue
		case lookupErr == nil && task.State == asynq.TaskStateActive:
			running = true
			err = q.inspector.CancelProcessing(t.id)
		case strings.Contains(err.Error(), "in active state"): // when it was to be deleted
			running, err = true, nil
		}
		if err != nil {
			return running, fmt.Errorf("remove %s: %w", t.id, wrapRedisError(context.Background(), err))
		}
	}
	return running, nil
}

// deleteDead deletes a task if no worker takes it any more, and reports whether it was so. One
// that will run, runs, or has just ended is left alone.
func (q *Queue) deleteDead(ctx context.Context, t taskLocation) (bool, error) {
	task, err := q.inspector.GetTaskInfo(t.queue, t.id)
	if err != nil && !isNotFound(err) {
		return false, fmt.Errorf("look up %s: %w", t.id, wrapRedisError(ctx, err))
	}
	if err != nil || task.State != asynq.TaskStateArchived {
		return false, nil //nolint:nilerr // there is none
	}
	if err := q.inspector.DeleteTask(t.queue, t.id); err != nil && !isNotFound(err) {
		return false, fmt.Errorf("delete %s: %w", t.id, wrapRedisError(ctx, err))
	}
	return true, nil
}

func isNotFound(err error) bool {
	return errors.Is(err, asynq.ErrTaskNotFound) || errors.Is(err, asynq.ErrQueueNotFound)
}

// A QueuedTask is a task as it is in the queue.
type QueuedTask struct {
	ID      string
	Ref     fetch.Ref
	Fetch   bool      // the job was ready; otherwise it is to be asked
	Running bool      // a worker has it, or had it less than a lease ago
	Next    time.Time // when it is due, if it is not yet
	Why     string    // the last error, or ""
	Polls   int       // how often its job was found not ready, of an export that waits for that without a task

	// Quarantined means that no worker takes the task any more: it was given
	// up, or can't be read. Why tells the reason. Ref is the zero Ref if it can't
	// be read.
	Quarantined bool
}

// A listFunc lists a page of the tasks of a queue that are in one state.
type listFunc func(*asynq.Inspector, string, ...asynq.ListOption) ([]*asynq.TaskInfo, error)

// taskLists are of the states that tasks of this package may be in.
var taskLists = []listFunc{
	(*asynq.Inspector).ListActiveTasks,
	(*asynq.Inspector).ListPendingTasks,
	(*asynq.Inspector).ListScheduledTasks,
	(*asynq.Inspector).ListRetryTasks,
	(*asynq.Inspector).ListArchivedTasks,
}

const listPageSize = 1000

// Tasks yields the tasks of exports that are in the queue, the exports that wait for
// their jobs, and what was quarantined. Tasks that move meanwhile may be missed, or come twice.
func (q *Queue) Tasks(ctx context.Context) iter.Seq2[QueuedTask, error] {
	return func(yield func(QueuedTask, error) bool) {
		for _, queue := range []string{pollQueue, fetchQueue} {
			for _, list := range taskLists {
				for page := 1; ; page++ {
					tasks, err := list(q.inspector, queue, asynq.PageSize(listPageSize), asynq.Page(page))
					if errors.Is(err, asynq.ErrQueueNotFound) {
						break
					}
					if err != nil || ctx.Err() != nil {
						yield(QueuedTask{}, fmt.Errorf("list the queue: %w", wrapRedisError(ctx, errors.Join(err, ctx.Err()))))
						return
					}
					if len(tasks) == 0 { // a page may be short: it lacks what can't be decoded
						break
					}
					for _, task := range tasks {
						if !yield(newQueuedTask(task), nil) {
							return
						}
					}
				}
			}
		}
		for _, others := range []iter.Seq2[QueuedTask, error]{q.waiting(ctx), q.quarantined(ctx)} {
			for task, err := range others {
				if !yield(task, err) {
					return
				}
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
	wantType := typePoll
	if task.Queue == fetchQueue {
		wantType = typeFetch
	}
	_, ref, err := checkTask(wantType, task.Type, task.ID, task.Payload)
	if err != nil {
		q.Quarantined, q.Why = true, cmp.Or(q.Why, "bad-task: "+safeText(err))
	}
	q.Ref = ref
	return q
}

// archiveKey holds the ID of the archive that the queue belongs to.
const archiveKey = "tallyman:archive"

// Register makes the queue one of an archive, by its ID. It fails with
// ErrOtherArchive if the queue belongs to another one.
func (q *Queue) Register(ctx context.Context, id string) error {
	if _, err := q.redis.SetNX(ctx, archiveKey, id, 0).Result(); err != nil {
		return fmt.Errorf("register the archive: %w", wrapRedisError(ctx, err))
	}
	// A client of asynq registers its queues once, and Redis may have lost that
	// since.
	if err := q.redis.SAdd(ctx, "asynq:queues", pollQueue, fetchQueue, placeQueue, discoverQueue).Err(); err != nil {
		return fmt.Errorf("register the queues: %w", wrapRedisError(ctx, err))
	}
	for _, queue := range marked {
		if err := q.redis.SetNX(ctx, markKey(queue), rand.Text(), 0).Err(); err != nil {
			return fmt.Errorf("mark the queues: %w", wrapRedisError(ctx, err))
		}
	}
	return q.CheckArchive(ctx, id)
}

// CheckArchive fails with ErrOtherArchive if the queue belongs to another
// archive than that of the ID.
func (q *Queue) CheckArchive(ctx context.Context, id string) error {
	registered, err := q.redis.Get(ctx, archiveKey).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return nil
	case err != nil:
		return fmt.Errorf("look up the archive: %w", wrapRedisError(ctx, err))
	case registered != id:
		return fmt.Errorf("%w, %s; ours is %s: use a Redis or a database of its own for each archive", ErrOtherArchive, registered, id)
	}
	return nil
}
