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

// A ScheduleEntry is a place whose new jobs the workers enqueue by themselves:
// every so often, or at the times of Cron. Of the workers that are due at one
// moment, one lists the place, and no other lists it before that has ended.
// Workers that began at other times may list it twice as often. What was due
// while no worker ran is not made up for, but a worker that begins lists the
// places with Every at once, unless that has just been done.
type ScheduleEntry struct {
	Place fetch.Ref
	Every time.Duration // whole seconds; or
	Cron  string        // five fields, in the local time of the worker, or in that of a CRON_TZ= before them

	Since string        // only jobs made since, as Worker.ParseSince reads it at each run, or ""
	Match string        // only jobs whose name matches this, see Match, or ""
	Wait  time.Duration // for what is enqueued to become ready; 0 is as long as the worker waits
}

// CheckCron returns an error if a Cron can't be read, or its time never comes.
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

// spec is when the entry is due, as asynq reads it.
func (e ScheduleEntry) spec() string {
	if e.Cron != "" {
		return e.Cron
	}
	return "@every " + e.Every.String()
}

// id is the ID of the entry's task: the queue never has two of them at once.
func (e ScheduleEntry) id() string {
	sum := sha256.Sum256([]byte(e.spec() + "\n" + string(payloadOf(e.task()))))
	return "discover." + hex.EncodeToString(sum[:16])
}

func (e ScheduleEntry) task() discoverTask {
	return discoverTask{Version: taskVersion, Place: e.Place.String(), Since: e.Since, Match: e.Match, Wait: Duration(e.Wait)}
}

// periodicTask has asynq enqueue the entry's task whenever it is due. A task that
// has run keeps its ID for half of the way to the next time, since the clocks of
// workers differ.
func (e ScheduleEntry) periodicTask() *asynq.PeriodicTaskConfig {
	return &asynq.PeriodicTaskConfig{
		Cronspec: e.spec(), Task: asynq.NewTask(typeDiscover, payloadOf(e.task())),
		Opts: []asynq.Option{
			asynq.Queue(discoverQueue), asynq.TaskID(e.id()), asynq.Retention(e.interval(time.Now()) / 2),
			asynq.Timeout(discoverTimeout), asynq.MaxRetry(unlimitedRetries),
		},
	}
}

// interval is Every, or the shortest time between two of the next times of Cron.
func (e ScheduleEntry) interval(now time.Time) time.Duration {
	times, err := parseCron(e.Cron)
	if err != nil {
		return e.Every
	}
	const samples = 100
	shortest, last := Forever, times.Next(now)
	for range samples {
		next := times.Next(last)
		shortest, last = min(shortest, next.Sub(last)), next
	}
	return max(shortest, 0)
}

// LongestInterval is Every, or the longest time between two of the next times of Cron. It
// is 0 if they never come.
func (e ScheduleEntry) LongestInterval() (longest time.Duration) {
	times, err := parseCron(e.Cron)
	if err != nil {
		return e.Every
	}
	const samples = 100
	last := times.Next(time.Now())
	for range samples {
		next := times.Next(last)
		if next.IsZero() {
			break
		}
		longest, last = max(longest, next.Sub(last)), next
	}
	return longest
}

// next is the first time after now that the entry is due; last is when it was due
// before. It is zero if there is none.
func (e ScheduleEntry) next(last, now time.Time) time.Time {
	times, err := parseCron(e.Cron)
	if err != nil {
		every := max(e.Every, time.Second)
		return last.Add((max(now.Sub(last), 0)/every + 1) * every)
	}
	return times.Next(now)
}

// Due is when the entry is due after its place was listed last; it may have passed. It is
// zero if it never comes.
func (e ScheduleEntry) Due(last time.Time) time.Time {
	if e.Cron == "" {
		return last.Add(e.Every)
	}
	return e.next(last, time.Now())
}

// keep lists an entry's place in a worker that has no Queue, whenever it is due and a
// slot is free, until ctx ends.
func (w *Worker) keep(ctx context.Context, e ScheduleEntry, slots chan struct{}) {
	due := time.Now()
	if e.Cron != "" {
		due = e.next(due, due)
	}
	for ; !due.IsZero() && sleepUntil(ctx, due) == nil; due = e.next(due, time.Now()) {
		for n := 1; ; n++ {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			d, err := w.newDiscoverRun(e.task(), e.Place)
			if err == nil {
				listing, end := context.WithTimeout(ctx, discoverTimeout)
				err = d.try(listing, e.id(), n)
				end()
			} else {
				w.Log.Warn("not listed", "place", e.Place.String(), "error", safeText(err))
			}
			<-slots
			again, snoozed := errors.AsType[*snoozeError](err)
			if !snoozed || fetch.Sleep(ctx, again.delay) != nil {
				break
			}
		}
	}
}

// sleepUntil sleeps until a time of the clock on the wall, which may be set meanwhile.
func sleepUntil(ctx context.Context, due time.Time) error {
	due = due.Round(0) // without the reading of the monotonic clock
	for {
		left := time.Until(due)
		if err := fetch.Sleep(ctx, min(left, time.Minute)); err != nil || left <= 0 {
			return err
		}
	}
}

// A schedule is a Worker's schedule as asynq asks for it.
type schedule []*asynq.PeriodicTaskConfig

// GetConfigs implements asynq.PeriodicTaskConfigProvider.
func (s schedule) GetConfigs() ([]*asynq.PeriodicTaskConfig, error) { return s, nil }

// A scheduler enqueues and handles the tasks of a worker's schedule.
type scheduler struct {
	w      *Worker
	tasks  *asynq.PeriodicTaskManager
	server *asynq.Server
}

// discoverConcurrency is how many places a worker lists at once.
const discoverConcurrency = 2

func (w *Worker) newScheduler() (*scheduler, error) {
	var tasks schedule
	var err error
	for _, e := range w.Schedule {
		if e.Cron != "" {
			err = errors.Join(err, CheckCron(e.Cron))
		}
		tasks = append(tasks, e.periodicTask())
	}
	if err != nil {
		return nil, fmt.Errorf("keep the schedule: %w", err)
	}
	manager, err := asynq.NewPeriodicTaskManager(asynq.PeriodicTaskManagerOpts{
		PeriodicTaskConfigProvider: tasks, RedisUniversalClient: w.Queue.redis,
		SchedulerOpts: &asynq.SchedulerOpts{
			Location: time.Local, PostEnqueueFunc: func(_ *asynq.TaskInfo, err error) { w.logMissed(err) },
			Logger: queueLog{w.Log}, LogLevel: asynq.FatalLevel, // it would complain, at its end, that it may not close the client
		},
	})
	config := w.serverConfig(discoverQueue, discoverConcurrency)
	config.JanitorInterval = max(w.TaskCheckInterval, time.Second) // which frees the IDs of tasks that have run
	return &scheduler{w, manager, asynq.NewServerFromRedisClient(w.Queue.redis, config)}, err
}

// start handles the tasks of the schedule until ctx ends, and enqueues those of
// the entries with Every at once.
func (s *scheduler) start(ctx context.Context) error {
	if err := errors.Join(s.server.Start(s.w.discoverHandler(ctx)), s.tasks.Start()); err != nil {
		return fmt.Errorf("keep the schedule: %w", err)
	}
	q := s.w.Queue
	for _, e := range s.w.Schedule {
		// A task may keep the next one out: it ended long enough ago, and no
		// worker was there to delete it, or it was quarantined.
		if old, err := q.inspector.GetTaskInfo(discoverQueue, e.id()); err == nil {
			expired := old.State == asynq.TaskStateCompleted && time.Since(old.CompletedAt) >= old.Retention
			if expired || old.State == asynq.TaskStateArchived {
				_ = q.inspector.DeleteTask(discoverQueue, e.id()) // another worker may have been first
			}
		}
		if e.Cron == "" && ctx.Err() == nil {
			config := e.periodicTask()
			_, err := q.client.EnqueueContext(ctx, config.Task, config.Opts...)
			s.w.logMissed(err)
		}
	}
	return nil
}

// logMissed logs that a task could not be enqueued when it was due. It is well
// if one like it has not ended, or has just been done.
func (w *Worker) logMissed(err error) {
	if err != nil && !errors.Is(err, asynq.ErrTaskIDConflict) {
		w.Log.Warn("a place that is due is not listed this time", "error", safeText(wrapRedisError(context.Background(), err)))
	}
}
