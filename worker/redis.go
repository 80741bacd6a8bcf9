package worker

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"tallyman/fetch/redact"
)

// RedisOptions say where a Redis is, how to log in, and how long to wait for it.
type RedisOptions struct {
	URL      string // redis://, rediss:// or unix://, as go-redis reads it
	Password string // "" is that of the URL, if it has one
	CAFile   string // PEM certificates to trust instead of the system's, or ""
	CertFile string // a PEM certificate to show to Redis, or ""
	KeyFile  string // its key; "" is CertFile

	Patience time.Duration // with a command that Redis does not serve; 0 is 20 s
	Outage   *Outage       // is told of what keeps Redis from serving; nil for none
	Worker   bool          // the client is of a worker, which asks again for what has failed
}

const (
	// redisPatience is how long a command is tried: leases of tasks are 30 s long,
	// and later results would be of no use.
	redisPatience = 20 * time.Second
	// redisTimeout is for one step of a try: a connection, a handshake, an answer.
	redisTimeout = 5 * time.Second
	redisPool    = 64
	// clusterReload is how often a client asks which masters a cluster has. It
	// learns of a new one no sooner if the old one does not answer at all.
	clusterReload = 3 * time.Second
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
	trust, err := o.trust()
	if err != nil {
		return nil, err
	}
	query := u.Query()
	hook := &patience{limit: cmp.Or(o.Patience, redisPatience), tls: u.Scheme == "rediss", outage: o.Outage, worker: o.Worker}
	if retries, err := strconv.Atoi(query.Get("max_retries")); err == nil {
		hook.tries = max(retries, 0) + 1
		query.Del("max_retries")
	}
	timeout := min(redisTimeout, hook.limit).String()
	for name, value := range map[string]string{
		"max_retries": "-1", "pool_size": strconv.Itoa(redisPool), "dial_timeout": timeout, "read_timeout": timeout,
	} {
		if query.Get(name) == "" {
			query.Set(name, value)
		}
	}
	u.RawQuery = query.Encode()
	if client, err = o.client(u, trust); err != nil {
		return nil, err
	}
	client.AddHook(hook)
	return client, nil
}

// client returns a client of the kind that a URL names: of a Redis behind Sentinel,
// of a cluster, or of one Redis.
func (o RedisOptions) client(u *url.URL, trust *tls.Config) (redis.UniversalClient, error) {
	query := u.Query()
	switch {
	case query.Has("master_name"):
		options, err := redis.ParseFailoverURL(u.String())
		if err != nil {
			return nil, o.maskPassword(err)
		}
		options.Password, options.DisableIdentity = cmp.Or(o.Password, options.Password), true
		options.DialerRetries, options.ContextTimeoutEnabled = 1, o.Patience > 0
		options.Dialer = dialer(options.DialTimeout, options.TLSConfig, trust)
		return redis.NewFailoverClient(options), nil
	case query.Has("addr"):
		if database := strings.Trim(u.Path, "/"); database != "" && database != "0" {
			return nil, fmt.Errorf("a cluster has database 0 only, and no %s", database)
		}
		options, err := redis.ParseClusterURL(u.String())
		if err != nil {
			return nil, o.maskPassword(err)
		}
		options.Password, options.DisableIdentity = cmp.Or(o.Password, options.Password), true
		options.DialerRetries, options.ContextTimeoutEnabled = 1, o.Patience > 0
		options.Dialer = dialer(options.DialTimeout, options.TLSConfig, trust)
		options.ClusterStateReloadInterval = clusterReload
		return redis.NewClusterClient(options), nil
	}
	options, err := redis.ParseURL(u.String())
	if err != nil {
		return nil, o.maskPassword(err)
	}
	options.Password, options.DisableIdentity = cmp.Or(o.Password, options.Password), true
	options.DialerRetries, options.ContextTimeoutEnabled = 1, o.Patience > 0
	options.Dialer = dialer(options.DialTimeout, options.TLSConfig, trust)
	return redis.NewClient(options), nil
}

// trust returns whom to trust, and what to show to Redis.
func (o RedisOptions) trust() (*tls.Config, error) {
	trust := &tls.Config{}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, err
		}
		trust.RootCAs = x509.NewCertPool()
		if !trust.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read %s: no PEM certificate in it", o.CAFile)
		}
	}
	if o.CertFile != "" {
		certificate, err := tls.LoadX509KeyPair(o.CertFile, cmp.Or(o.KeyFile, o.CertFile))
		if err != nil {
			return nil, fmt.Errorf("read the certificate %s and its key: %w", o.CertFile, err)
		}
		trust.Certificates = []tls.Certificate{certificate}
	}
	return trust, nil
}

// dialer returns a function that connects to a host, by TLS unless config is nil.
// Unlike go-redis's own it wants of each host a certificate of its own name, and
// tells a handshake that fails from a host that does not answer.
func dialer(timeout time.Duration, config, trust *tls.Config) func(ctx context.Context, network, addr string) (net.Conn, error) {
	d := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: redisTimeout, Count: 3}}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		conn, err := d.DialContext(ctx, network, addr)
		if err != nil || config == nil {
			return conn, err
		}
		own := config.Clone()
		own.RootCAs, own.Certificates = trust.RootCAs, trust.Certificates
		own.ServerName, _, _ = net.SplitHostPort(addr)
		secured := tls.Client(conn, own)
		if err := secured.HandshakeContext(ctx); err != nil {
			conn.Close()
			if ctx.Err() != nil {
				err = fmt.Errorf("no answer within %v", timeout)
			}
			return nil, fmt.Errorf("%s with %s: %w", handshake, addr, err)
		}
		return secured, nil
	}
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
