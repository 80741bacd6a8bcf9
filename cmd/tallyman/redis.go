package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"tallyman/fetch/redact"
	"tallyman/verify/archive"
	"tallyman/worker"
)

// queue is the queue in the Redis that is named. It does not connect yet.
func (o *options) queue() (queue *worker.Queue, stop func(), err error) {
	if o.redis.URL() == "" {
		return nil, nil, usagef("want the queue's Redis: --redis URL, or REDIS_URL\n" +
			"Without one, 'tallyman fetch' fetches in this process")
	}
	if err := o.redis.Check(); err != nil {
		return nil, nil, usagef("--redis: %w", err)
	}
	password, err := o.password()
	if err != nil {
		return nil, nil, err
	}
	worker.SetRedisLogger(nil)
	client, err := worker.NewRedisClient(worker.RedisOptions{URL: o.redis.URL(), Password: password, CAFile: o.redisCA})
	if err != nil {
		return nil, nil, &usageError{err}
	}
	return worker.NewQueue(client), func() { client.Close() }, nil
}

func (o *options) password() (string, error) {
	if o.redisPassword == "" {
		return os.Getenv("REDIS_PASSWORD"), nil
	}
	b, err := os.ReadFile(o.redisPassword)
	if err != nil {
		return "", usagef("--redis-password-file: %w", err)
	}
	password := strings.TrimRight(string(b), "\r\n")
	if password == "" {
		return "", usagef("--redis-password-file: %s is empty", o.redisPassword)
	}
	redact.Add(password)
	return password, nil
}

// queueOf is the queue, once it is known that it serves the archive, if there
// is one here.
func (o *options) queueOf(ctx context.Context, store *archive.Archive) (queue *worker.Queue, stop func(), err error) {
	queue, stop, err = o.queue()
	if err != nil {
		return nil, nil, err
	}
	if err = queue.CheckRedis(ctx); err == nil && store != nil {
		err = queue.CheckArchive(ctx, store.ID())
	}
	if err != nil {
		stop()
		return nil, nil, fmt.Errorf("--redis %s: %w", &o.redis, err)
	}
	return queue, stop, nil
}
