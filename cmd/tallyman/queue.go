package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/fetch/redact"
	"tallyman/verify/archive"
	"tallyman/worker"
)

// redisOutage is the cause of an outage of the queue's Redis, as a worker logs it.
const redisOutage = "redis"

// silence is how long a command waits for Redis until it says so.
const silence = 1500 * time.Millisecond

// openQueue returns the queue in the Redis of --redis, once the Redis has shown
// that it can hold a queue and, unless store is nil, that it serves that
// archive. What it waits for meanwhile is printed, or logged if log is not nil: the
// queue is a worker's then. With patience it waits no longer, and says nothing. The
// caller must call stop.
func (a *app) openQueue(cmd *cobra.Command, store *archive.Archive, log *slog.Logger, patience time.Duration) (queue *worker.Queue, stop func(), err error) {
	shown := redact.Text(a.Redis.Value)
	what, tell := shown, func(e worker.OutageEvent) {
		if patience == 0 && !a.Quiet {
			fmt.Fprintln(cmd.ErrOrStderr(), redact.Text(e.String()))
		}
	}
	if log != nil {
		what, tell = redisOutage, (&eventLog{log: log}).Outage
	}
	queue, stop, err = a.dialQueue(worker.RedisOptions{Patience: patience, Outage: &worker.Outage{What: what, Tell: tell}, Worker: log != nil})
	if err != nil {
		return nil, nil, err
	}
	ctx := cmd.Context()
	if patience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, patience, fmt.Errorf("%w: no answer within %v", worker.ErrRedis, patience))
		defer cancel()
	} else if log == nil { // nobody waits for the first line of a log: it says once what is wrong
		defer time.AfterFunc(silence, func() { tell(worker.OutageEvent{What: what, Err: errNoAnswer}) }).Stop()
	}
	if err = queue.CheckRedis(ctx); err == nil && store != nil {
		err = queue.CheckArchive(ctx, store.ID())
	}
	if err != nil {
		stop()
		return nil, nil, fmt.Errorf("--redis %s: %w", shown, err)
	}
	return queue, stop, nil
}

// dialQueue returns the queue in the Redis of --redis, which has not been asked for
// anything yet. The options say the rest. The caller must call stop.
func (a *app) dialQueue(o worker.RedisOptions) (queue *worker.Queue, stop func(), err error) {
	if a.Redis.Value == "" {
		return nil, nil, cli.Usagef("Name the Redis of the queue by --redis URL, or set REDIS_URL.\n" +
			"Without a Redis, 'tallyman fetch' fetches in its own process.")
	}
	if _, err := worker.ParseRedisURL(a.Redis.Value); err != nil {
		return nil, nil, cli.Usagef("--redis: %w", err)
	}
	if o.Password, err = a.RedisPassword(); err != nil {
		return nil, nil, err
	}
	o.URL, o.CAFile, o.CertFile, o.KeyFile = a.Redis.Value, a.RedisCA, a.RedisCert, a.RedisKey
	client, err := worker.NewRedisClient(o)
	if err != nil {
		return nil, nil, &cli.UsageError{Err: err}
	}
	return worker.NewQueue(client), func() { client.Close() }, nil
}

var errNoAnswer = errors.New("it does not answer yet")
