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
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"tallyman/fetch"
	"tallyman/fetch/redact"
)

// RedisOptions say where a Redis is and how to log in.
type RedisOptions struct {
	URL      string // redis://, rediss:// or unix://, as go-redis reads it
	Password string // "" is that of the URL, if it has one
	CAFile   string // PEM certificates to trust instead of the system's, or ""
}

// What a client does while Redis is away: it gives up after about 20 s. The
// leases of tasks are 30 s long, and later results would be of no use.
const (
	redisTries   = 20
	redisBackoff = time.Second
	redisPool    = 64
)

// NewRedisClient returns a client that has not connected yet. The query of the
// URL may hold any of go-redis's settings; with addr=HOST:PORT the client is of a
// cluster, with master_name=NAME of a Sentinel. Errors do not hold the password.
func NewRedisClient(o RedisOptions) (client redis.UniversalClient, err error) {
	defer func() {
		if err == nil {
			return
		}
		// An @ sign in the path of a socket may belong to a password at the wrong place.
		shown := "…"
		if u, parseErr := ParseRedisURL(o.URL); parseErr == nil && !strings.Contains(u.Path, "@") {
			shown = redact.Text(o.URL)
		}
		err = fmt.Errorf("redis %s: %w", shown, err)
	}()
	u, err := ParseRedisURL(o.URL)
	if err != nil {
		return nil, err
	}
	roots, err := o.readRoots()
	if err != nil {
		return nil, err
	}
	switch query := u.Query(); {
	case query.Has("master_name"):
		options, err := redis.ParseFailoverURL(o.URL)
		if err != nil {
			return nil, o.maskPassword(err)
		}
		o.apply(roots, options.TLSConfig, &options.Password, &options.MaxRetries, &options.PoolSize, &options.MaxRetryBackoff)
		return redis.NewFailoverClient(options), nil
	case query.Has("addr"):
		options, err := redis.ParseClusterURL(o.URL)
		if err != nil {
			return nil, o.maskPassword(err)
		}
		o.apply(roots, options.TLSConfig, &options.Password, &options.MaxRetries, &options.PoolSize, &options.MaxRetryBackoff)
		return redis.NewClusterClient(options), nil
	}
	options, err := redis.ParseURL(o.URL)
	if err != nil {
		return nil, o.maskPassword(err)
	}
	o.apply(roots, options.TLSConfig, &options.Password, &options.MaxRetries, &options.PoolSize, &options.MaxRetryBackoff)
	options.DisableIdentity = true
	return redis.NewClient(options), nil
}

// apply sets what all kinds of clients share, and keeps what the URL has set.
func (o RedisOptions) apply(roots *x509.CertPool, config *tls.Config, password *string, tries, pool *int, backoff *time.Duration) {
	if o.Password != "" {
		*password = o.Password
	}
	if roots != nil && config != nil {
		config.RootCAs = roots
	}
	if *tries == 0 {
		*tries = redisTries
	}
	if *pool == 0 {
		*pool = redisPool
	}
	if *backoff == 0 {
		*backoff = redisBackoff
	}
}

// readRoots returns the certificates of CAFile, or nil if there is none.
func (o RedisOptions) readRoots() (*x509.CertPool, error) {
	if o.CAFile == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(o.CAFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read %s: no PEM certificate in it", o.CAFile)
	}
	return roots, nil
}

// ParseRedisURL reads the URL of a Redis. Its error does not quote the text, any
// part of which may be a password. A colon or an @ sign behind the host means
// that the password is at the wrong place.
func ParseRedisURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Opaque != "" || !slices.Contains([]string{"redis", "rediss", "unix"}, u.Scheme) ||
		!strings.Contains(text, "://") || u.Scheme != "unix" && strings.ContainsAny(u.Path, "@:") {
		return nil, errors.New("must be redis://[USER@]HOST[:PORT][/DB], rediss://… or unix:///PATH")
	}
	return u, nil
}

// maskPassword takes what may be a password out of an error about the URL.
func (o RedisOptions) maskPassword(err error) error {
	text := err.Error()
	if u, parseErr := url.Parse(o.URL); parseErr == nil && u.User != nil {
		if password, ok := u.User.Password(); ok && password != "" {
			text = strings.ReplaceAll(text, password, "…")
		}
	}
	return errors.New(redact.Text(text))
}

// refusalBackoff is the wait after a refusal, or no answer. Without it, asynq
// would ask again at once, and do nothing else.
const refusalBackoff = 500 * time.Millisecond

// A backoffHook slows down the commands of a client that Redis refuses.
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
