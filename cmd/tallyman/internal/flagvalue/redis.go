package flagvalue

import (
	"errors"
	"net/url"
	"slices"
	"strings"

	"tallyman/fetch/redact"
)

// RedisURL is the address of a Redis: redis://, rediss:// or unix://. As a flag
// it must not hold a password, since everyone who can list the processes of
// the machine would read it.
type RedisURL struct{ text string }

// RedisURLWithPassword returns a RedisURL that may hold a password. It is not
// checked: see [RedisURL.Check].
func RedisURLWithPassword(text string) RedisURL { return RedisURL{text} }

// URL returns the address as it was given, with its password, or "" if there is
// none.
func (r *RedisURL) URL() string { return r.text }

// Check returns an error if the text is no address of a Redis. It does not
// quote the text.
func (r *RedisURL) Check() error {
	_, err := parseRedisURL(r.text)
	return err
}

// Type implements pflag.Value.
func (r *RedisURL) Type() string { return "URL" }

// String implements pflag.Value. It returns the address without its secrets.
func (r *RedisURL) String() string { return redact.Text(r.text) }

// Set implements pflag.Value.
func (r *RedisURL) Set(text string) error {
	u, err := parseRedisURL(text)
	if err != nil {
		return err
	}
	if _, hasPassword := u.User.Password(); hasPassword || u.Query().Has("password") || u.Query().Has("sentinel_password") {
		return errors.New("must not hold a password: put it in a file for --redis-password-file, or in REDIS_PASSWORD")
	}
	r.text = text
	return nil
}

func parseRedisURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Opaque != "" || !strings.Contains(text, "://") || !slices.Contains([]string{"redis", "rediss", "unix"}, u.Scheme) {
		return nil, errors.New("must be redis://[USER@]HOST[:PORT][/DB], rediss://… or unix://PATH; " +
			"the password goes in a file for --redis-password-file, or in REDIS_PASSWORD")
	}
	return u, nil
}
