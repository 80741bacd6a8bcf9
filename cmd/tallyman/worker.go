package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"time"

	"github.com/spf13/cobra"

	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/fetch"
	"tallyman/fetch/redact"
	"tallyman/verify/archive"
	"tallyman/worker"
)

func newWorker(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "worker",
		Short: "Serve the queue: wait for exports, fetch, prove and land them",
		Long: `Worker serves the queue in the Redis of --redis until it is told to stop. There
may be any number of workers, on any number of machines, as long as all have the
same archive: one file system, that all of them mount.

It looks for new jobs by itself where the configuration file has a schedule,
and enqueues those that have neither landed nor failed:

  schedule:
    - {place: "sls://cn-hangzhou/ali-test-project/", every: 1h, since: 2d}
    - {place: "dbs://cn-hangzhou/rm-bp1a2b3c4d5e/", cron: "30 2 * * *", match: 'nightly-*', wait: 24h}

Cron is minute, hour, day of the month, month and day of the week, in local time
or in that of a CRON_TZ=ZONE before them. With a schedule and no --redis, the
queue is in this process, for this worker alone.

SIGTERM lets what is under way come to a point where another worker goes on, for
--drain at most; SIGINT does not wait for it. Nothing is lost by either, nor by
kill -9.`,
		Example: `  tallyman worker --redis redis://queue.internal:6379/0 --archive /mnt/archive
  tallyman discover sls://cn-hangzhou/ali-test-project/ --since 2d | tallyman enqueue -`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return o.work(cmd) },
	}
	f := cmd.Flags()
	o.queueing(f)
	o.transfer(f)
	o.drain = flagvalue.Duration(10 * time.Second)
	f.Var(&o.drain, "drain", "how long what is under way may take to end once the worker is to stop")
	f.Var(&o.patience, "wait", "how long to wait for a job to become ready; 0 is for ever")
	o.polling(f)
	group(f, "How to wait for it", "wait", "poll", "drain")
	o.calls(f)
	return cmd
}

func (o *options) work(cmd *cobra.Command) error {
	if err := o.check(); err != nil {
		return err
	}
	queue, stop, err := o.serves(cmd.Context())
	if err != nil {
		return err
	}
	ended := true
	defer func() {
		if ended {
			stop()
		}
	}()
	store, err := archive.Open(o.archive)
	if err != nil {
		return err
	}
	hurry, done := hurried()
	defer done()
	log := o.log(cmd)
	worker.SetRedisLogger(log)
	w := o.worker(cmd.Context(), queue, store, log)
	w.HardStop = hurry
	log.Info("serving the queue", "redis", cmp.Or(o.redis.String(), "in this process"), "archive", o.archive, "archive_id", store.ID(), "version", version())
	if ended, err = serve(cmd.Context(), w); err != nil {
		return fmt.Errorf("--redis %s: %w", &o.redis, err)
	}
	log.Info("stopped: what was received is kept")
	if hurry.Err() != nil {
		return exit(worker.ExitInterrupted)
	}
	return nil
}

// farewell is how much longer a worker may take to end than it was given.
const farewell = time.Second

// serve runs a worker, and leaves it when it takes too long to end: a Redis
// that is away would keep it for minutes. What is lost on it then, another
// worker finds out. A worker that is left has not ended, and still needs its
// queue.
func serve(ctx context.Context, w *worker.Worker) (ended bool, err error) {
	late, leave := context.WithCancel(context.Background())
	defer leave()
	defer context.AfterFunc(w.HardStop, func() { time.AfterFunc(farewell, leave) })()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(w.DrainTimeout+farewell, leave) })()
	over := make(chan error, 1)
	go func() { over <- w.Run(ctx) }()
	select {
	case err := <-over:
		return true, err
	case <-late.Done():
		return false, nil
	}
}

// worker serves a queue with these settings.
func (o *options) worker(ctx context.Context, queue *worker.Queue, store *archive.Archive, log *slog.Logger) *worker.Worker {
	told, providers := &logged{log}, o.newProviders()
	return &worker.Worker{
		Queue: queue, Archive: store,
		Fetcher:  o.fetcher(ctx, providers, store, told.progress),
		Schedule: o.schedule, Listers: listers(providers), ParseSince: since,
		PollConcurrency: pollsAtOnce, FetchConcurrency: o.parallel,
		Wait: forever(o.patience), PollInterval: time.Duration(o.poll), Attempts: o.attempts,
		DrainTimeout: time.Duration(o.drain), TaskCheckInterval: time.Second,
		OnNote: told.pause, OnEnd: told.ended, Log: log,
	}
}

// pollsAtOnce is how many jobs a worker asks at once. Asking is nearly all
// waiting for the answer.
const pollsAtOnce = 16

func forever(wait flagvalue.Duration) time.Duration {
	if wait == 0 {
		return worker.Forever
	}
	return time.Duration(wait)
}

// hurried ends with SIGINT. The one after that ends the process.
func hurried() (context.Context, func()) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// log goes to stderr: a line each, JSON with --json.
func (o *options) log(cmd *cobra.Command) *slog.Logger {
	level := slog.LevelInfo
	switch {
	case o.quiet:
		level = slog.LevelWarn
	case o.verbose:
		level = slog.LevelDebug
	}
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: redacted}
	if o.json {
		return slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), options))
	}
	return slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), options))
}

// redacted keeps secrets out of the log, wherever they come from.
func redacted(_ []string, a slog.Attr) slog.Attr {
	switch v := a.Value.Any().(type) {
	case string:
		a.Value = slog.StringValue(redact.Text(v))
	case error:
		a.Value = slog.StringValue(redact.Text(v.Error()))
	}
	return a
}

// logged logs how exports get on.
type logged struct{ to *slog.Logger }

func (l *logged) progress(p fetch.Progress) {
	if p.Note != "" {
		l.pause(p.Ref, p.Note)
	}
}

func (l *logged) pause(ref fetch.Ref, note string) {
	l.to.Debug("note", "ref", ref.String(), "note", note)
}

func (l *logged) ended(ref fetch.Ref, receipt *archive.Receipt, err error) {
	switch {
	case err != nil:
		outcome := worker.Classify(err)
		l.to.Warn("failed", "ref", ref.String(), "cause", string(outcome.Cause), "error", err, "hint", outcome.Hint)
	case len(receipt.Doubts) > 0:
		l.to.Warn("landed with doubts", "ref", ref.String(), "bytes", receipt.Bytes, "records", receipt.Records, "doubts", receipt.Doubts)
	default:
		l.to.Info("landed", "ref", ref.String(), "bytes", receipt.Bytes, "records", receipt.Records, "files", receipt.Files)
	}
}
