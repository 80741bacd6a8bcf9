// Package worker serves a queue of exports: it waits for their jobs, makes
// attempts at them, and knows what each way to fail means.
//
// An export has a task of type export:poll until its job is ready, then one of
// type export:fetch until it has landed. A schedule has one of type
// place:discover enqueue them. Any may run twice, or be lost with the Redis
// that it is in. So the truth about an export is in the archive: that
// it has landed, or its docket, which says what was tried and what is left of
// the budget. The lock of the docket decides between two runs of a task.
//
// [Classify] is the one table from error to cause to what follows. [Local] is
// the same queue for one process, without any Redis to be found.
package worker

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/hibiken/asynq"

	"tallyman/fetch"
	"tallyman/verify/archive"
)

// A Fetcher makes one attempt at an export.
type Fetcher interface {
	// Ask asks the export's job once, and is nil when it is ready.
	Poll(ctx context.Context, ref fetch.Ref) error
	// Fetch fetches the export, and returns the receipt once it has landed.
	Fetch(ctx context.Context, ref fetch.Ref) (*archive.Receipt, error)
}

// A Worker serves a queue. Its fields must not change once it runs.
type Worker struct {
	Queue            *Queue
	Archive          *archive.Archive
	Fetcher          Fetcher
	PollConcurrency  int // jobs asked at once
	FetchConcurrency int // exports fetched at once

	Wait              time.Duration // for a job to become ready, where its task does not say; Forever
	PollInterval      time.Duration // between the first two questions; later ones are further apart
	Attempts          int           // for each cause to fail; 0 means as many as the cause deserves
	DrainTimeout      time.Duration // how long it may take to stop
	TaskCheckInterval time.Duration // the longest that a task which is due lies unnoticed

	// Note is told what a person should know while it goes on, and Ended how
	// each export fared. They may be nil, and are called by many goroutines.
	OnNote func(ref fetch.Ref, note string)
	OnEnd  func(ref fetch.Ref, receipt *archive.Receipt, err error)

	// Schedule has the worker look for new jobs by itself, by the Listers of
	// their schemes. Since reads that of an Entry; it may be nil if none has one.
	Schedule   []ScheduleEntry
	Listers    map[string]fetch.Lister
	ParseSince func(text string) (time.Time, error)

	Log *slog.Logger // nil for none

	// Hurry ends what runs without waiting for Drain, once the worker is to
	// stop and Hurry has ended. It may be nil.
	HardStop context.Context

	local     *Local          // that it works for, or nil
	hardCtx   context.Context // ends what is still running when Drain is over
	lastNotes sync.Map        // the last note, by the hash of the export
}

// Forever is a Wait without an end.
const Forever time.Duration = math.MaxInt64

var errWorkerStopped = errors.New("the worker stops")

// Run serves the queue until ctx ends. Then it takes no more tasks and gives
// those that run, which the Fetcher is to have told, Drain to end: what they
// received is kept, and their tasks go back to the queue. It fails with
// ErrOtherArchive, ErrUnsuitableRedis or ErrRedis if Redis can't be worked with, but not
// if that goes away for a while.
func (w *Worker) Run(ctx context.Context) error {
	hard, kill := context.WithCancelCause(context.WithoutCancel(ctx))
	defer kill(nil)
	w.hardCtx = hard
	upkeep, err := w.startMaintenance(ctx)
	if err != nil {
		return err
	}
	clock, err := w.newScheduler()
	if err != nil {
		return err
	}
	polls, fetches := w.newServer(pollQueue, w.PollConcurrency), w.newServer(fetchQueue, w.FetchConcurrency)
	if err := errors.Join(polls.Start(w.recovering(w.handlePoll)), fetches.Start(w.recovering(w.handleFetch)), clock.start(ctx)); err != nil {
		return err
	}
	err = upkeep(ctx)
	defer time.AfterFunc(w.DrainTimeout*3/4, func() { kill(errWorkerStopped) }).Stop()
	if w.HardStop != nil {
		defer context.AfterFunc(w.HardStop, func() { kill(errWorkerStopped) })()
	}
	inParallel(polls.Stop, fetches.Stop, clock.stop)
	inParallel(polls.Shutdown, fetches.Shutdown, clock.shutdown)
	return err
}

func inParallel(do ...func()) {
	var all sync.WaitGroup
	for _, f := range do {
		all.Go(f)
	}
	all.Wait()
}

// leastDrain is what a handler whose context has ended gets to write down where
// it is.
const minDrainTimeout = time.Second

func (w *Worker) newServer(queue string, slots int) *asynq.Server {
	return asynq.NewServerFromRedisClient(w.Queue.redis, w.serverConfig(queue, slots))
}

func (w *Worker) serverConfig(queue string, slots int) asynq.Config {
	return asynq.Config{
		Concurrency: slots, Queues: map[string]int{queue: 1},
		IsFailure: isFailure, RetryDelayFunc: retryDelay,
		TaskCheckInterval: w.TaskCheckInterval / 2, DelayedTaskCheckInterval: w.TaskCheckInterval,
		ShutdownTimeout: max(w.DrainTimeout, minDrainTimeout), // then it takes back what does not end
		Logger:          queueLog{w.Log}, LogLevel: asynq.InfoLevel,
	}
}

// warn warns those who run the worker.
func (w *Worker) warn(text string, args ...any) { w.logAt(slog.LevelWarn, text, args...) }

func (w *Worker) logAt(level slog.Level, text string, args ...any) {
	if w.Log != nil {
		w.Log.Log(context.Background(), level, text, args...)
	}
}
