package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/cmd/tallyman/internal/logging"
	"tallyman/cmd/tallyman/internal/metrics"
	"tallyman/cmd/tallyman/internal/sdnotify"
	"tallyman/fetch"
	"tallyman/fetch/redact"
	"tallyman/verify/archive"
	"tallyman/worker"
)

func newWorkerCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "worker",
		Short: "Serve the queue: wait for exports, fetch them, verify them, let them land",
		Long: `Worker serves the queue in the Redis of --redis until it is told to stop. There
may be any number of workers, on any number of machines, as long as all of them
use the same archive, on one file system that they all mount.

If the configuration file has a schedule, the worker looks for new jobs by itself,
and enqueues those that have neither landed nor failed:

  schedule:
    - {place: "sls://cn-hangzhou/ali-test-project/", every: 1h, since: 2d}
    - {place: "dbs://cn-hangzhou/rm-bp1a2b3c/", cron: "30 2 * * *", match: 'nightly-*', wait: 24h}

Cron is minute, hour, day of the month, month and day of the week, in local time
or, after CRON_TZ=ZONE, in that time zone. With a schedule and without --redis,
the queue is in this process, for this worker alone. Of places with witness: true the
worker asks the source for its own count of what has landed, and 8 days after its time
once more, as the command witness does. With ensure: it makes the export jobs that a
time lacks, as the command ensure does:

  ensure:
    - {place: "sls://cn-hangzhou/ali-test-project/", logstore: access, window: 1h, since: 30d}

On SIGTERM, the worker brings what is under way to a point from which another
worker can go on, within --drain. On SIGINT it stops at once. Neither loses
anything, nor does kill -9.`,
		Example: `  tallyman worker --redis redis://queue.internal:6379/0 --archive /mnt/archive
  tallyman discover sls://cn-hangzhou/ali-test-project/ --since 2d | tallyman enqueue -`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.worker(cmd) },
	}
	f := cmd.Flags()
	a.AddQueue(f)
	a.AddCreate(f)
	a.AddTransfer(f)
	a.Drain = flagvalue.New("DURATION", "10s", flagvalue.ParseDuration)
	a.TaskWait = flagvalue.New("DURATION", "", flagvalue.ParseDuration)
	f.Var(&a.Drain, "drain", "how long the worker may take to end what is under way\nonce it is told to stop")
	f.Var(&a.TaskWait, "wait", "how long to wait for a job to become ready; 0 is for ever")
	a.AddPoll(f)
	cli.GroupFlags(f, "How to wait for it", "wait", "poll", "drain")
	a.AddCalls(f)
	a.AddWitness(f)
	a.AddListen(f, "serve the page, /metrics, /livez and /readyz at `ADDR`,\nsuch as "+defaultListen+"; without it, nowhere")
	a.AddPage(f)
	a.AddCatalog(f)
	a.AddLog(f)
	return cmd
}

func (a *app) worker(cmd *cobra.Command) error {
	if err := cmp.Or(a.Check(), a.CheckWitness()); err != nil {
		return err
	}
	log := a.newLogger(cmd)
	a.notice = func(text string) { log.Info(redact.Text(text)) }
	queue, closeQueue, err := a.openWorkerQueue(cmd, log)
	if err != nil {
		return err
	}
	ended := true
	defer func() {
		if ended {
			closeQueue()
		}
	}()
	store, err := a.openArchive(a.mayMake(archive.SiteBegun))
	if err != nil {
		return err
	}
	// hardStop ends with the first SIGINT. The second one ends the process.
	hardStop, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	context.AfterFunc(hardStop, stop)
	if store.Made {
		log.Warn("made an archive, since there was none", "archive", a.Archive, "archive_id", store.ID())
	}
	server, err := a.listen(cmd, store, true, log)
	if err != nil {
		return err
	}
	defer server.close()
	defer context.AfterFunc(cmd.Context(), server.stopping)()
	providers := a.newProviders()
	w := a.newWorker(cmd.Context(), providers, queue, store, &eventLog{log, server.meter()})
	w.HardStop = hardStop
	defer context.AfterFunc(cmd.Context(), func() { log.Info("stopping: no more exports are begun", "drain", a.Drain.Value) })()
	ready, end := supervised(cmd.Context(), log)
	defer end()
	ensure, endOthers, err := a.besideQueue(cmd.Context(), queue, store, providers, log)
	if err != nil {
		return err
	}
	defer endOthers()
	w.OnServing = func() {
		log.Info("serving the queue", "redis", cmp.Or(redact.Text(a.Redis.Value), "in this process"), "archive", a.Archive, "archive_id", store.ID(), "version", buildVersion(debug.ReadBuildInfo()))
		ready()
		ensure(w)
	}
	if ended, err = runWorker(cmd.Context(), w); err != nil {
		return fmt.Errorf("--redis %s: %w", redact.Text(a.Redis.Value), err)
	}
	log.Info("stopped: what was received is kept")
	if hardStop.Err() != nil {
		return cli.ExitError(worker.ExitInterrupted)
	}
	return nil
}

// openWorkerQueue opens the queue that a worker serves, which is nil if there is no Redis and
// the worker finds its jobs by itself.
func (a *app) openWorkerQueue(cmd *cobra.Command, log *slog.Logger) (queue *worker.Queue, stop func(), err error) {
	if a.Redis.Value == "" && len(a.Schedule)+len(a.Ensure) > 0 {
		return nil, func() {}, nil
	}
	return a.openQueue(cmd, nil, log, 0)
}

// besideQueue begins what a worker does beside its queue, until end is called: it notifies,
// asks sources for their counts, and, once ensure is called, has windows exported by the queue.
func (a *app) besideQueue(ctx context.Context, queue *worker.Queue, store *archive.Archive, providers map[string]fetch.Provider, log *slog.Logger) (ensure func(*worker.Worker), end func(), err error) {
	ensure, endEnsuring, err := a.keepEnsuring(ctx, store, providers, log)
	if err != nil {
		return nil, nil, err
	}
	endNotifying := a.startNotifying(ctx, store, queue, log)
	endCounting := a.keepCounting(ctx, store, providers, log)
	return ensure, func() { endEnsuring(); endCounting(); endNotifying() }, nil
}

// supervised tells the supervisor that the worker is alive, until end is called; by ready,
// that it serves; and once ctx ends, that it stops.
func supervised(ctx context.Context, log *slog.Logger) (ready, end func()) {
	alive, cancel := context.WithCancel(context.WithoutCancel(ctx))
	go sdnotify.Watch(alive)
	stop := context.AfterFunc(ctx, func() { _ = sdnotify.Tell(sdnotify.Stopping) }) // it has asked for that itself
	ready = func() {
		if err := sdnotify.Tell(sdnotify.Ready); err != nil {
			log.Warn("the supervisor can't be told that all is ready", "error", err)
		}
	}
	return ready, func() { stop(); cancel() }
}

// stopGrace is how much longer than its time a worker may take to end.
const stopGrace = time.Second

// runWorker runs w until it ends, or until it takes too long to end: without
// its Redis it would take minutes. In that case ended is false: w still runs and
// needs its queue. Another worker finds out what it did not finish.
func runWorker(ctx context.Context, w *worker.Worker) (ended bool, err error) {
	late, leave := context.WithCancel(context.Background())
	defer leave()
	defer context.AfterFunc(w.HardStop, func() { time.AfterFunc(stopGrace, leave) })()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(w.DrainTimeout+stopGrace, leave) })()
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	select {
	case err := <-done:
		return true, err
	case <-late.Done():
		return false, nil
	}
}

// workerPolls is how many jobs a worker polls at the same time. A poll mostly
// waits for its answer.
const workerPolls = 16

// newWorker returns a worker that serves queue with these settings.
func (a *app) newWorker(ctx context.Context, providers map[string]fetch.Provider, queue *worker.Queue, store *archive.Archive, events *eventLog) *worker.Worker {
	wait := a.TaskWait.Value
	if wait == 0 {
		wait = worker.Forever
	}
	listers := map[string]fetch.Lister{}
	for scheme, provider := range providers {
		if lister, ok := provider.(fetch.Lister); ok {
			listers[scheme] = lister
		}
	}
	f := a.newFetcher(ctx, providers, store, events.Progress)
	if queue != nil { // which knows what waits: the worker lists the places itself
		f.StatusCaches = nil
	}
	return &worker.Worker{
		Queue: queue, Archive: store, Fetcher: f,
		Schedule: a.Schedule, Listers: listers, Recheck: a.Recheck,
		ParseSince:       flagvalue.ParseTime,
		PollConcurrency:  workerPolls,
		FetchConcurrency: a.Parallel,
		Wait:             wait, PollInterval: a.Poll.Value, Attempts: a.Attempts,
		DrainTimeout: a.Drain.Value, TaskCheckInterval: time.Second,
		OnNote: events.Pause, OnOutage: events.Outage, OnEnd: events.ended, Profile: a.profile, Log: events.log,
	}
}

// newLogger returns a logger to stderr.
func (a *app) newLogger(cmd *cobra.Command) *slog.Logger {
	format, level := a.Log()
	return logging.New(cmd.ErrOrStderr(), format, level)
}

// eventLog logs and counts how exports get on.
type eventLog struct {
	log   *slog.Logger
	meter *metrics.Metrics // nil: nothing is counted
}

// Progress implements listener.
func (l *eventLog) Progress(p fetch.Progress) {
	l.meter.Progress(p)
	if p.Note != "" {
		l.Pause(p.Ref, p.Note)
	}
}

// Pause implements listener.
func (l *eventLog) Pause(ref fetch.Ref, note string) {
	l.log.Debug("note", "ref", ref.String(), "note", note)
}

// Outage implements listener.
func (l *eventLog) Outage(e worker.OutageEvent) {
	l.meter.Outage(e)
	switch lasted := e.Lasted.Round(time.Second); {
	case e.Err == nil && e.What == redisOutage:
		l.log.Warn("redis is back: exports go on", "cause", e.What, "lasted", lasted)
	case e.Err == nil:
		l.log.Warn("it is over: exports go on", "cause", e.What, "lasted", lasted)
	case e.Lasted == 0:
		what := []any{"cause", e.What, "error", e.Err}
		if advice := hint("", e.Err); advice != "" && advice != hintRunAgain {
			what = append(what, "hint", advice)
		}
		l.log.Warn("waiting for that to pass", what...)
	default:
		l.log.Warn("still waiting for that to pass", "cause", e.What, "error", e.Err, "lasted", lasted, "exports", e.Waiting)
	}
}

func (l *eventLog) ended(ref fetch.Ref, receipt *archive.Receipt, err error) {
	l.meter.Ended(ref, receipt, err)
	switch {
	case err != nil:
		l.log.Warn("failed", "ref", ref.String(), "cause", string(worker.Classify(err).Cause), "error", err, "hint", hint(ref.String(), err))
	case len(receipt.Doubts) > 0:
		l.log.Warn("landed with doubts", "ref", ref.String(), "bytes", receipt.Bytes, "records", receipt.Records, "headers", receipt.Headers, "doubts", receipt.Doubts)
	default:
		l.log.Info("landed", "ref", ref.String(), "bytes", receipt.Bytes, "records", receipt.Records, "headers", receipt.Headers, "files", receipt.Files)
	}
}
