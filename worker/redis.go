package worker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"tallyman/fetch"
	"tallyman/fetch/redact"
)

// Errors of a queue that a caller may branch on.
var (
	// ErrRedis is that Redis does not answer as it should. It may pass.
	ErrRedis = errors.New("redis does not serve")
	// ErrUnsuitableRedis is a Redis that can't hold the queue as it is set up.
	ErrUnsuitableRedis = errors.New("redis is not fit for the queue")
	// ErrOtherArchive is a Redis that serves the workers of another archive.
	ErrOtherArchive = errors.New("this Redis serves another archive")
)

// RedisOptions say where a Redis is and how to be let in.
type RedisOptions struct {
	URL      string // redis://, rediss:// or unix://, as go-redis reads it
	Password string // "" is that of the URL, if it has one
	CAFile   string // of PEM certificates to trust instead of the system's, or ""
}

// The patience of a command with a Redis that is away: about 20 s in all. The
// leases of tasks are 30 s long, and a result that came later would be in vain.
const (
	redisTries   = 20
	redisBackoff = time.Second
	redisPool    = 64
)

// NewRedisClient makes a client; it does not connect yet. The query of the URL may hold
// any of go-redis's settings; addr=HOST:PORT in it makes it a cluster, and
// master_name=NAME a Sentinel's.
func NewRedisClient(a RedisOptions) (redis.UniversalClient, error) {
	client, err := a.newClient()
	if err != nil {
		return nil, fmt.Errorf("redis %s: %w", a.safeURL(), err)
	}
	return client, nil
}

// safeURL is the URL without its secrets. An @ sign in the path of a socket may
// be that of a password at the wrong place.
func (a RedisOptions) safeURL() string {
	if u, err := a.parse(); err != nil || strings.Contains(u.Path, "@") {
		return "…"
	}
	return redact.Text(a.URL)
}

// schemes are those of the URLs of Redis.
var schemes = []string{"redis", "rediss", "unix"}

// parse does not quote what is no URL: anything in it may be the password. One
// that has a colon or an @ sign behind its host has that at the wrong place.
func (a RedisOptions) parse() (*url.URL, error) {
	u, err := url.Parse(a.URL)
	if err != nil || u.Opaque != "" || !slices.Contains(schemes, u.Scheme) || !strings.Contains(a.URL, "://") || u.Scheme != "unix" && strings.ContainsAny(u.Path, "@:") {
		return nil, errors.New("want redis://[USER@]HOST[:PORT][/DB], rediss://… or unix:///PATH")
	}
	return u, nil
}

func (a RedisOptions) newClient() (redis.UniversalClient, error) {
	u, err := a.parse()
	if err != nil {
		return nil, err
	}
	trust, err := a.tlsConfigurer()
	if err != nil {
		return nil, err
	}
	switch query := u.Query(); {
	case query.Has("master_name"):
		return a.sentinel(trust)
	case query.Has("addr"):
		return a.cluster(trust)
	}
	return a.single(trust)
}

func (a RedisOptions) single(trust func(*tls.Config)) (redis.UniversalClient, error) {
	o, err := redis.ParseURL(a.URL)
	if err != nil {
		return nil, a.maskPassword(err)
	}
	a.setPassword(&o.Password)
	trust(o.TLSConfig)
	setRetryDefaults(&o.MaxRetries, &o.MaxRetryBackoff, &o.PoolSize)
	o.DisableIdentity = true
	return redis.NewClient(o), nil
}

func (a RedisOptions) cluster(trust func(*tls.Config)) (redis.UniversalClient, error) {
	o, err := redis.ParseClusterURL(a.URL)
	if err != nil {
		return nil, a.maskPassword(err)
	}
	a.setPassword(&o.Password)
	trust(o.TLSConfig)
	setRetryDefaults(&o.MaxRetries, &o.MaxRetryBackoff, &o.PoolSize)
	return redis.NewClusterClient(o), nil
}

func (a RedisOptions) sentinel(trust func(*tls.Config)) (redis.UniversalClient, error) {
	o, err := redis.ParseFailoverURL(a.URL)
	if err != nil {
		return nil, a.maskPassword(err)
	}
	a.setPassword(&o.Password)
	trust(o.TLSConfig)
	setRetryDefaults(&o.MaxRetries, &o.MaxRetryBackoff, &o.PoolSize)
	return redis.NewFailoverClient(o), nil
}

func (a RedisOptions) setPassword(password *string) {
	if a.Password != "" {
		*password = a.Password
	}
}

// setRetryDefaults leaves what the URL set.
func setRetryDefaults(tries *int, backoff *time.Duration, pool *int) {
	if *tries == 0 {
		*tries = redisTries
	}
	if *backoff == 0 {
		*backoff = redisBackoff
	}
	if *pool == 0 {
		*pool = redisPool
	}
}

// tlsConfigurer reads the certificates to trust.
func (a RedisOptions) tlsConfigurer() (func(*tls.Config), error) {
	if a.CAFile == "" {
		return func(*tls.Config) {}, nil
	}
	pem, err := os.ReadFile(a.CAFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read %s: no PEM certificate in it", a.CAFile)
	}
	return func(c *tls.Config) {
		if c != nil {
			c.RootCAs = roots
		}
	}, nil
}

// maskPassword takes what may be a password out of an error about the URL.
func (a RedisOptions) maskPassword(err error) error {
	text := err.Error()
	if u, parseErr := url.Parse(a.URL); parseErr == nil && u.User != nil {
		if password, ok := u.User.Password(); ok && password != "" {
			text = strings.ReplaceAll(text, password, "…")
		}
	}
	return errors.New(redact.Text(text))
}

// A refusal is what Redis says when it does not do as it is told, what it is
// then, and what to do about it.
type redisRefusal struct {
	contains string
	kind     error
	advice   string
}

var redisRefusals = []redisRefusal{
	{"NOAUTH", ErrUnsuitableRedis, "it wants a password: --redis-password-file, or REDIS_PASSWORD"},
	{"WRONGPASS", ErrUnsuitableRedis, "the user name or the password is wrong"},
	{"NOPERM", ErrUnsuitableRedis, "the user lacks rights: see the README for the ACL that the queue needs"},
	{"unknown command", ErrUnsuitableRedis, "it is too old: want Redis 6.2 or later"},
	{"READONLY", ErrRedis, "it is a read-only replica: name the primary"},
	{"NOREPLICAS", ErrRedis, "it takes nothing while it has too few replicas: see its min-replicas-to-write"},
	{"MASTERDOWN", ErrRedis, "it is a replica that has lost its primary: name the primary"},
	{"OOM", ErrRedis, "it is out of memory: give it more, or a larger maxmemory"},
	{"MISCONF", ErrRedis, "it can't write to its disk: see its log"},
	{"LOADING", ErrRedis, "it is reading what it knew before it was started"},
}

// wrapRedisError is the error of a command that Redis did not carry out: ErrUnsuitableRedis
// if a person must see to it, ErrRedis if it may pass.
func wrapRedisError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	text := safeText(err)
	if r := findRefusal(text); r != nil {
		return fmt.Errorf("%w: %s (%s)", r.kind, r.advice, text)
	}
	return fmt.Errorf("%w: %s", ErrRedis, text)
}

func findRefusal(text string) *redisRefusal {
	for i := range redisRefusals {
		if strings.Contains(text, redisRefusals[i].contains) {
			return &redisRefusals[i]
		}
	}
	return nil
}

// refused is how long to wait after a refusal, or no answer. The queue asks
// again at once, and would do nothing else.
const refusalBackoff = 500 * time.Millisecond

// unhurried holds back the commands of a client that Redis refuses.
type backoffHook struct{}

// DialHook implements redis.Hook.
func (backoffHook) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessPipelineHook implements redis.Hook.
func (backoffHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// ProcessHook implements redis.Hook.
func (backoffHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if err != nil && (findRefusal(err.Error()) != nil || !isA[redis.Error](err)) {
			_ = fetch.Sleep(ctx, refusalBackoff)
		}
		return err
	}
}

// archiveKey holds the ID of the archive whose workers the Redis serves.
const archiveKey = "tallyman:archive"

// Register claims the Redis for an archive, by its ID. It fails with
// ErrOtherArchive if another was first.
func (q *Queue) Register(ctx context.Context, id string) error {
	if _, err := q.redis.SetNX(ctx, archiveKey, id, 0).Result(); err != nil {
		return fmt.Errorf("register the archive: %w", wrapRedisError(ctx, err))
	}
	// A client of asynq tells the names of its queues once, and Redis may have
	// lost its memory since.
	if err := q.redis.SAdd(ctx, "asynq:queues", pollQueue, fetchQueue, discoverQueue).Err(); err != nil {
		return fmt.Errorf("register the queues: %w", wrapRedisError(ctx, err))
	}
	return q.CheckArchive(ctx, id)
}

// CheckArchive is nil if the Redis serves the archive of that ID, or none yet.
func (q *Queue) CheckArchive(ctx context.Context, id string) error {
	registered, err := q.redis.Get(ctx, archiveKey).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return nil
	case err != nil:
		return fmt.Errorf("look up the archive: %w", wrapRedisError(ctx, err))
	case registered != id:
		return fmt.Errorf("%w, %s; ours is %s: use a Redis or a database of its own for each archive", ErrOtherArchive, registered, id)
	}
	return nil
}

// CheckRedis asks Redis whether it is fit for the queue.
func (q *Queue) CheckRedis(ctx context.Context) error {
	said, err := q.redis.Info(ctx, "server", "memory").Result()
	if err != nil {
		return fmt.Errorf("check redis: %w", wrapRedisError(ctx, err))
	}
	facts := parseInfo(said)
	if version := facts["redis_version"]; olderThan(version, 6, 2) {
		return fmt.Errorf("%w: it is Redis %s, want 6.2 or later", ErrUnsuitableRedis, version)
	}
	if policy := facts["maxmemory_policy"]; policy != "" && policy != "noeviction" {
		return fmt.Errorf("%w: its maxmemory-policy is %s, and it would drop tasks: set it to noeviction", ErrUnsuitableRedis, policy)
	}
	return nil
}

func parseInfo(said string) map[string]string {
	facts := map[string]string{}
	for line := range strings.Lines(said) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			facts[name] = value
		}
	}
	return facts
}

// olderThan reports whether a version is older than that. One that can't be read
// is not: there are servers that speak for Redis and have their own.
func olderThan(version string, major, minor int) bool {
	first, rest, _ := strings.Cut(version, ".")
	second, _, _ := strings.Cut(rest, ".")
	m, err1 := strconv.Atoi(first)
	n, err2 := strconv.Atoi(second)
	return err1 == nil && err2 == nil && (m < major || m == major && n < minor)
}
