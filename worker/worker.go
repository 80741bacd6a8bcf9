package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/hibiken/asynq"

	"tallyman/fetch"
	"tallyman/verify/archive"
)

// A Fetcher makes one attempt at an export. *fetch.Fetcher is one.
type Fetcher interface {
	// Poll asks the export's job once, and is nil when it is ready.
	Poll(ctx context.Context, ref fetch.Ref) error
	// Fetch fetches the export, and returns the receipt once it has landed.
	Fetch(ctx context.Context, ref fetch.Ref) (*archive.Receipt, error)
}

// A Worker serves a queue. Its fields must not change once it runs.
type Worker struct {
	Queue   *Queue // nil if the worker is to have its tasks in its own process, which no other can reach
	Archive *archive.Archive
	Fetcher Fetcher

	PollConcurrency  int // jobs asked at once, and, without a Queue, those that are ready and wait to be fetched
	FetchConcurrency int // exports fetched at once; without a Queue, some that only commit come to that

	Wait         time.Duration // for a job to become ready, unless its task tells; Forever
	PollInterval time.Duration // between the first two polls of a job; later ones are further apart
	Attempts     int           // for each cause to fail; 0 means as many as the cause deserves
	Patient      bool          // if a Local's caller waits for the network as long as for a job, unless Attempts is set

	// DrainTimeout is how long tasks may go on after the context of Run has
	// ended. The Fetcher is to end them soon then.
	DrainTimeout time.Duration
	// HardStop ends the tasks without waiting for DrainTimeout, once Run's
	// context has ended too. It may be nil.
	HardStop context.Context

	// TaskCheckInterval is the longest that a task of the Queue which is due is not
	// noticed. One that is added is announced, and noticed at once.
	TaskCheckInterval time.Duration

	// OnNote is told what a person should know while an export goes on, and
	// OnEnd how each export fared. They may be nil, and are called by many
	// goroutines at once.
	OnNote func(ref fetch.Ref, note string)
	OnEnd  func(ref fetch.Ref, receipt *archive.Receipt, err error)

	// OnOutage is told when something begins to be away that no export is to blame
	// for, hourly while it lasts, and when it is over. It may be nil, and is called
	// by many goroutines at once.
	OnOutage func(OutageEvent)

	// OnServing is called once Redis has shown that it suits the archive, and tasks are
	// taken from then on; nil for none.
	OnServing func()

	// Schedule has the worker look for new jobs by itself. It lists places by
	// the Listers of their schemes. ParseSince reads the Since of a
	// ScheduleEntry; it may be nil if no entry has one.
	Schedule   []ScheduleEntry
	Listers    map[string]fetch.Lister
	ParseSince func(text string) (time.Time, error)

	Recheck Recheck                // of what has landed, in the background
	Profile func(fetch.Ref) string // the name of the account that an export is fetched with; nil: none
	Log     *slog.Logger           // nil for none

	local      bool            // it works for a Local
	dispatcher *dispatcher     // runs its tasks if there is no Queue
	polls      chan struct{}   // a slot for each task of the Queue that polls
	asks       chan struct{}   // for each job that turns ask for: polls, which may only have to join a group, do not wait for these
	slots      slots           // for those that fetch
	softCtx    context.Context // no task is begun once it has ended
	hardCtx    context.Context // ends the tasks that still run
	lastNotes  sync.Map        // the last note, by the hash of the export
	ends       sync.Map        // until when exports are there, as this worker wrote it down last, by the hash of the export
	outages    sync.Map        // of *Outage, by the Cause or the place
	listings   sync.Map        // of *placeListings, by the group
	listSlots  sync.Map        // a channel for the listings that run, by the service and the account
}

// Forever is a Wait without an end.
const Forever time.Duration = math.MaxInt64

var errWorkerStopped = errors.New("the worker stops")

// Run serves the queue until ctx ends: that is the soft stop. Run takes no task
// from then on, and gives those that run DrainTimeout to end. What they received
// is kept, and their tasks go back to the queue; without one, the next Run goes on
// with them. Run fails at its start with
// ErrOtherArchive, ErrUnsuitableRedis or ErrRedis if it can't work with Redis. If
// Redis goes away later, Run goes on.
func (w *Worker) Run(ctx context.Context) error {
	hardCtx, stopHard := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stopHard(nil)
	w.softCtx, w.hardCtx = ctx, hardCtx
	w.polls, w.asks = make(chan struct{}, max(w.PollConcurrency, 1)), make(chan struct{}, max(w.PollConcurrency, 1))
	w.slots = newSlots(w.FetchConcurrency)
	w.Log = cmp.Or(w.Log, slog.New(slog.DiscardHandler))
	start := w.startServers
	if w.Queue == nil {
		start = w.startDispatcher
	}
	stop, err := start(ctx)
	if err != nil && stop != nil { // some of them have started
		stop()
	}
	if err != nil {
		return err
	}
	if w.OnServing != nil {
		w.OnServing()
	}
	var background sync.WaitGroup
	defer background.Wait()
	running, end := context.WithCancel(ctx)
	defer end()
	if !w.Archive.Made { // else nothing landed before
		background.Go(func() { w.adopt(running) })
	}
	if w.Recheck.Every > 0 {
		background.Go(func() { w.keepRechecking(running) })
	}
	if w.Queue != nil {
		background.Go(func() { w.keepWaiting(running) })
		err = w.recoverTasks(ctx)
	} else {
		<-ctx.Done()
	}
	defer time.AfterFunc(w.DrainTimeout*3/4, func() { stopHard(errWorkerStopped) }).Stop() // the rest is for tasks to write down where they are
	if w.HardStop != nil {
		defer context.AfterFunc(w.HardStop, func() { stopHard(errWorkerStopped) })()
	}
	stop()
	return err
}

// startServers has asynq run the tasks of the Queue until stop is called, which
// returns when those that run have ended. If it fails, stop may be nil.
func (w *Worker) startServers(ctx context.Context) (stop func(), err error) {
	if err = w.Queue.CheckRedis(ctx); err == nil {
		err = w.Queue.Register(ctx, w.Archive.ID())
	}
	var scheduler *scheduler // nil if there is none to keep
	if err == nil && len(w.Schedule) > 0 {
		scheduler, err = w.newScheduler()
	}
	if err != nil {
		return nil, err
	}
	var stops, shutdowns []func()
	looking, stopLooking := context.WithCancel(ctx)
	clients := map[string]*idleClient{}
	serve := func(queue string, concurrency int, handle asynq.HandlerFunc) {
		config := w.serverConfig(queue, concurrency)
		clients[queue] = &idleClient{
			UniversalClient: w.Queue.redis, ctx: looking, pending: asynqKey(queue, "pending"),
			atMost: config.TaskCheckInterval, added: make(chan struct{}, 1), ordered: queue == fetchQueue,
		}
		config.TaskCheckInterval = shortLook
		server := asynq.NewServerFromRedisClient(clients[queue], config)
		err = errors.Join(err, server.Start(handle))
		stops, shutdowns = append(stops, server.Stop), append(shutdowns, server.Shutdown)
	}
	serve(pollQueue, cap(w.polls)+cap(w.slots.fetches)+maxCommits, func(ctx context.Context, t *asynq.Task) error { return w.handle(ctx, t, typePoll) })
	serve(fetchQueue, w.FetchConcurrency, func(ctx context.Context, t *asynq.Task) error { return w.handle(ctx, t, typeFetch) })
	serve(placeQueue, placeConcurrency, w.handlePlace)
	if scheduler != nil {
		err = errors.Join(err, scheduler.start(ctx))
		stops, shutdowns = append(stops, scheduler.server.Stop), append(shutdowns, scheduler.tasks.Shutdown, scheduler.server.Shutdown)
	}
	listening := make(chan struct{})
	go func() {
		defer close(listening)
		w.listen(looking, clients)
	}()
	return func() {
		stopLooking()
		defer func() { <-listening }()
		for _, functions := range [][]func(){stops, shutdowns} {
			var all sync.WaitGroup
			for _, f := range functions {
				all.Go(f)
			}
			all.Wait()
		}
	}, err
}

// startDispatcher has a dispatcher run the tasks of this process until ctx ends. Unless
// it is for a Local, they are those of the schedule, and of the exports that the archive
// knows of. stop returns when those that run have ended, or DrainTimeout is over.
func (w *Worker) startDispatcher(ctx context.Context) (stop func(), err error) {
	if !w.local {
		w.dispatcher = newDispatcher(w)
		for _, e := range w.Schedule {
			if e.Cron != "" {
				err = errors.Join(err, CheckCron(e.Cron))
			}
		}
		if err != nil {
			return nil, fmt.Errorf("keep the schedule: %w", err)
		}
		slots := make(chan struct{}, discoverConcurrency)
		for _, e := range w.Schedule {
			w.dispatcher.runs.Go(func() { w.keep(ctx, e, slots) })
		}
		w.dispatcher.runs.Go(func() { w.resume(ctx) })
	}
	d := w.dispatcher
	d.softCtx = ctx
	d.runs.Go(func() { d.dispatch(ctx) })
	return func() { d.wait(max(w.DrainTimeout, minDrainTimeout)) }, nil
}

// resume has the dispatcher go on with the exports that the archive knows of. It tries
// again until all could be looked up.
func (w *Worker) resume(ctx context.Context) {
	told := ""
	for failed := true; failed && ctx.Err() == nil; _ = fetch.Sleep(ctx, recoverInterval) {
		failed = false
		for state, err := range w.Archive.States() {
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				if text := safeText(err); text != told {
					w.Log.Warn("an export that the archive knows of can't be looked up: it is tried again", "error", text)
					told = text
				}
				failed = true
				continue
			}
			if ref, o, ok := requeuable(w.Archive, state); ok {
				w.dispatcher.enqueue(ref, o)
			}
		}
	}
}

// adopt has the ledger take in what landed before it. A worker also looks for what
// others of an earlier version have landed since.
func (w *Worker) adopt(ctx context.Context) {
	adopted, err := w.Archive.IsAdopted()
	if err == nil && (!adopted || !w.local) {
		err = w.Archive.Adopt(ctx)
	}
	if err != nil && ctx.Err() == nil {
		w.Log.Warn("the ledger lacks what landed before it: the next worker goes on", "error", err)
	}
}

// minDrainTimeout is what a task whose context has ended gets to write down where
// it is.
const minDrainTimeout = time.Second

func (w *Worker) serverConfig(queue string, concurrency int) asynq.Config {
	return asynq.Config{
		Concurrency: concurrency, Queues: map[string]int{queue: 1},
		IsFailure: func(err error) bool {
			if e, ok := errors.AsType[*snoozeError](err); ok {
				return e.countsAsFailure
			}
			return !errors.Is(err, asynq.ErrLeaseExpired) // its worker died, or could not reach Redis
		},
		// A task whose worker was lost runs again at once. The queue drops the
		// fraction of a second, so a delay is lengthened to end where a second begins.
		RetryDelayFunc: func(_ int, err error, _ *asynq.Task) time.Duration {
			e, ok := errors.AsType[*snoozeError](err)
			if !ok || e.delay <= 0 {
				return 0
			}
			now := time.Now()
			return now.Add(e.delay + time.Second - 1).Truncate(time.Second).Sub(now)
		},
		TaskCheckInterval: w.TaskCheckInterval / 2, DelayedTaskCheckInterval: w.TaskCheckInterval,
		ShutdownTimeout: max(w.DrainTimeout, minDrainTimeout), // after it, asynq puts back tasks that have not ended
		Logger:          queueLog{w.Log}, LogLevel: asynq.InfoLevel,
	}
}
