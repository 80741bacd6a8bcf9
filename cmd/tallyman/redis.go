package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"tallyman/fetch"
	"tallyman/verify/archive"
	"tallyman/worker"
)

// A redisURL is where a queue is. As a flag it must not hold the password:
// whoever lists the processes would read it.
type redisURL struct{ text string }

func (r *redisURL) Type() string   { return "URL" }
func (r *redisURL) String() string { return fetch.Redact(r.text) }

// Set implements pflag.Value.
func (r *redisURL) Set(text string) error {
	u, err := parseRedis(text)
	if err != nil || holdsPassword(u) {
		return cmp.Or(err, errors.New("a password has no place here: put it in a file for --redis-password-file, or in REDIS_PASSWORD"))
	}
	r.text = text
	return nil
}

// parseRedis reads what may hold a password, which its error does not quote.
func parseRedis(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Opaque != "" || !strings.Contains(text, "://") || !slices.Contains([]string{"redis", "rediss", "unix"}, u.Scheme) {
		return nil, errors.New("want redis://[USER@]HOST[:PORT][/DB], rediss://… or unix://PATH, and the password in a file for --redis-password-file, or in REDIS_PASSWORD")
	}
	return u, nil
}

func holdsPassword(u *url.URL) bool {
	_, user := u.User.Password()
	return user || u.Query().Has("password") || u.Query().Has("sentinel_password")
}

// fromEnvironment takes TALLYMAN_REDIS or REDIS_URL, which may hold it.
func (r *redisURL) fromEnvironment() {
	r.text = cmp.Or(os.Getenv("TALLYMAN_REDIS"), os.Getenv("REDIS_URL"), r.text)
}

// queue is the queue in the Redis that is named. It does not connect yet.
func (o *options) queue() (queue *worker.Queue, stop func(), err error) {
	if o.redis.text == "" {
		return nil, nil, usagef("want the queue's Redis: --redis URL, or REDIS_URL\n" +
			"Without one, 'tallyman fetch' fetches in this process")
	}
	if _, err := parseRedis(o.redis.text); err != nil {
		return nil, nil, usagef("--redis: %w", err)
	}
	password, err := o.password()
	if err != nil {
		return nil, nil, err
	}
	worker.LogRedis(nil)
	client, err := worker.Dial(worker.Address{URL: o.redis.text, Password: password, CAFile: o.redisCA})
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
	fetch.Hide(password)
	return password, nil
}

// queueOf is the queue, once it is known that it serves the archive, if there
// is one here.
func (o *options) queueOf(ctx context.Context, store *archive.Archive) (queue *worker.Queue, stop func(), err error) {
	queue, stop, err = o.queue()
	if err != nil {
		return nil, nil, err
	}
	if err = queue.Check(ctx); err == nil && store != nil {
		err = queue.Serves(ctx, store.ID())
	}
	if err != nil {
		stop()
		return nil, nil, fmt.Errorf("--redis %s: %w", &o.redis, err)
	}
	return queue, stop, nil
}
