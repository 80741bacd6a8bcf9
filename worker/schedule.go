package worker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"github.com/robfig/cron/v3"

	"tallyman/fetch"
)

// A ScheduleEntry of a schedule is a place whose new jobs the workers enqueue by
// themselves: Every so often, or at the times of Cron. Of all the workers that
// are due at one moment, one does it; while it does, no other begins. Workers
// that began at other times may make it twice as often. What was due while no
// worker ran is not made up for, but a worker that begins does at once what is
// to be done Every so often, unless it has just been done.
type ScheduleEntry struct {
	Place fetch.Ref
	Every time.Duration // whole seconds, or
	Cron  string        // five fields, in the local time of the worker, or in that of a CRON_TZ= before them

	Since string        // only jobs made since, as Worker.Since reads it at each run, or ""
	Match string        // only jobs whose name matches this glob, or ""
	Wait  time.Duration // for what is enqueued to become ready; 0 is as the worker has it
}

// CheckCron tells what is wrong with the Cron of an Entry.
func CheckCron(spec string) error {
	times, err := parseCron(spec)
	switch {
	case err != nil:
		return err
	case times.Next(time.Now()).IsZero():
		return errors.New("it never comes")
	}
	return nil
}

var cronParser = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)

func parseCron(spec string) (cron.Schedule, error) {
	if strings.Contains(spec, "TZ=") && !strings.Contains(spec, " ") { // the parser panics
		return nil, errors.New("want five fields after the time zone")
	}
	return cronParser.Parse(spec)
}

// spec is when it is due, in the words of asynq.
func (e ScheduleEntry) spec() string {
	if e.Cron != "" {
		return e.Cron
	}
	return "@every " + e.Every.String()
}

// id names the task of an entry, so that it has no two at once.
func (e ScheduleEntry) id() string {
	sum := sha256.Sum256([]byte(e.spec() + "\n" + string(e.task().payload())))
	return "discover." + hex.EncodeToString(sum[:16])
}

func (e ScheduleEntry) task() discoverTask {
	return discoverTask{Version: taskVersion, Place: e.Place.String(), Since: e.Since, Match: e.Match, Wait: Duration(e.Wait)}
}

// periodicTask has asynq enqueue the task whenever it is due. What has run keeps its
// ID for half of the way to the next time, since clocks differ.
func (e ScheduleEntry) periodicTask() *asynq.PeriodicTaskConfig {
	return &asynq.PeriodicTaskConfig{
		Cronspec: e.spec(), Task: asynq.NewTask(typeDiscover, e.task().payload()),
		Opts: []asynq.Option{
			asynq.Queue(discoverQueue), asynq.TaskID(e.id()), asynq.Retention(e.interval(time.Now()) / 2),
			asynq.Timeout(discoverTimeout), asynq.MaxRetry(unlimitedRetries),
		},
	}
}

// fewTimes are enough of them to know how close they may come.
const intervalSamples = 100

// interval is the shortest between any two of the times that come next.
func (e ScheduleEntry) interval(now time.Time) time.Duration {
	times, err := parseCron(e.Cron)
	if err != nil {
		return e.Every
	}
	shortest, last := Forever, times.Next(now)
	for range intervalSamples {
		next := times.Next(last)
		shortest, last = min(shortest, next.Sub(last)), next
	}
	return max(shortest, 0)
}

// A rota is a schedule as asynq asks for it. It does not change.
type schedule []*asynq.PeriodicTaskConfig

func newSchedule(schedule []ScheduleEntry) (all schedule, err error) {
	for _, e := range schedule {
		if e.Cron != "" {
			err = errors.Join(err, CheckCron(e.Cron))
		}
		all = append(all, e.periodicTask())
	}
	return all, err
}

// GetConfigs implements asynq.PeriodicTaskConfigProvider.
func (r schedule) GetConfigs() ([]*asynq.PeriodicTaskConfig, error) { return r, nil }

// A clock keeps a worker's schedule. That of a worker without one is nil.
type scheduler struct {
	w      *Worker
	tasks  *asynq.PeriodicTaskManager
	server *asynq.Server
}

// listsAtOnce is how many places a worker lists at once.
const discoverConcurrency = 2

func (w *Worker) newScheduler() (*scheduler, error) {
	if len(w.Schedule) == 0 {
		return nil, nil
	}
	rota, err := newSchedule(w.Schedule)
	if err != nil {
		return nil, fmt.Errorf("keep the schedule: %w", err)
	}
	firings, err := asynq.NewPeriodicTaskManager(asynq.PeriodicTaskManagerOpts{
		PeriodicTaskConfigProvider: rota, RedisUniversalClient: w.Queue.redis,
		SchedulerOpts: &asynq.SchedulerOpts{
			Location: time.Local, PostEnqueueFunc: func(_ *asynq.TaskInfo, err error) { w.logEnqueued(err) },
			Logger: queueLog{w.Log}, LogLevel: asynq.FatalLevel, // else it complains, at its end, that the client is ours
		},
	})
	lists := w.serverConfig(discoverQueue, discoverConcurrency)
	lists.JanitorInterval = max(w.TaskCheckInterval, time.Second) // the ID of what has run is free then
	return &scheduler{w, firings, asynq.NewServerFromRedisClient(w.Queue.redis, lists)}, err
}

// start lists places until ctx ends, as the schedule says, and at once those
// that it lists every so often.
func (c *scheduler) start(ctx context.Context) error {
	if c == nil {
		return nil
	}
	if err := errors.Join(c.server.Start(c.w.discoverHandler(ctx)), c.tasks.Start()); err != nil {
		return fmt.Errorf("keep the schedule: %w", err)
	}
	for _, e := range c.w.Schedule {
		c.w.releaseID(e.id())
		if e.Cron == "" && ctx.Err() == nil {
			f := e.periodicTask()
			_, err := c.w.Queue.client.EnqueueContext(ctx, f.Task, f.Opts...)
			c.w.logEnqueued(err)
		}
	}
	return nil
}

// releaseID frees the ID of a run that counts no more: it ended long enough ago,
// and no worker has been there to see that, or it was set aside.
func (w *Worker) releaseID(id string) {
	task, err := w.Queue.inspector.GetTaskInfo(discoverQueue, id)
	if err != nil {
		return
	}
	rested := task.State == asynq.TaskStateCompleted && time.Since(task.CompletedAt) >= task.Retention
	if rested || task.State == asynq.TaskStateArchived {
		_ = w.Queue.inspector.DeleteTask(discoverQueue, id) // another worker may have been first
	}
}

func (c *scheduler) stop() {
	if c != nil {
		c.server.Stop()
	}
}

func (c *scheduler) shutdown() {
	if c != nil {
		inParallel(c.tasks.Shutdown, c.server.Shutdown)
	}
}

// logEnqueued is how it went to enqueue a task that was due. That one like it has
// not ended, or has just been done, is as it should be.
func (w *Worker) logEnqueued(err error) {
	if err != nil && !errors.Is(err, asynq.ErrTaskIDConflict) {
		w.warn("a place that is due is not listed this time", "error", safeText(wrapRedisError(context.Background(), err)))
	}
}
