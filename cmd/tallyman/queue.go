package main

import (
	"context"
	"fmt"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/fetch/redact"
	"tallyman/verify/archive"
	"tallyman/worker"
)

// openQueue returns the queue in the Redis of --redis, once the Redis has shown
// that it can hold a queue and, unless store is nil, that it serves that
// archive. The caller must call stop.
func (a *app) openQueue(ctx context.Context, store *archive.Archive) (queue *worker.Queue, stop func(), err error) {
	if a.Redis.Value == "" {
		return nil, nil, cli.Usagef("Name the Redis of the queue by --redis URL, or set REDIS_URL.\n" +
			"Without a Redis, 'tallyman fetch' fetches in its own process.")
	}
	if _, err := worker.ParseRedisURL(a.Redis.Value); err != nil {
		return nil, nil, cli.Usagef("--redis: %w", err)
	}
	password, err := a.RedisPassword()
	if err != nil {
		return nil, nil, err
	}
	client, err := worker.NewRedisClient(worker.RedisOptions{URL: a.Redis.Value, Password: password, CAFile: a.RedisCA})
	if err != nil {
		return nil, nil, &cli.UsageError{Err: err}
	}
	queue = worker.NewQueue(client)
	if err = queue.CheckRedis(ctx); err == nil && store != nil {
		err = queue.CheckArchive(ctx, store.ID())
	}
	if err != nil {
		client.Close()
		return nil, nil, fmt.Errorf("--redis %s: %w", redact.Text(a.Redis.Value), err)
	}
	return queue, func() { client.Close() }, nil
}
