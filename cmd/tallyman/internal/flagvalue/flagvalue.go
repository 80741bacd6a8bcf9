// Package flagvalue has the kinds of values that flags of the command take
// beyond those of pflag: sizes, durations, points in time, shards, endpoints
// and others. Each has a function that parses its text, so the same text means
// the same as a flag, as a variable of the environment and in the configuration
// file. The error of such a function says what the text must be, without quoting
// it.
package flagvalue

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"tallyman/worker"
)

// Value is a flag whose text is parsed by a function. It implements pflag.Value.
// [New] makes one.
type Value[T any] struct {
	Value T

	kind, text string
	parse      func(text string) (T, error)
}

// New returns a Value of a kind, which help shows in place of the value, such as
// SIZE. The text is its default; it may be "" for the zero value.
func New[T any](kind, text string, parse func(string) (T, error)) Value[T] {
	v := Value[T]{kind: kind, text: text, parse: parse}
	if text != "" {
		if err := v.Set(text); err != nil {
			panic(err) // the default of a flag is a mistake in the program
		}
	}
	return v
}

// Type implements pflag.Value.
func (v *Value[T]) Type() string { return v.kind }

// String implements pflag.Value. It returns the text that was parsed.
func (v *Value[T]) String() string { return v.text }

// Set implements pflag.Value. The value stays as it was if there is an error.
func (v *Value[T]) Set(text string) error {
	value, err := v.parse(text)
	if err != nil {
		return err
	}
	v.Value, v.text = value, text
	return nil
}

// OneOf returns a function that parses one of these words.
func OneOf(words ...string) func(string) (string, error) {
	return func(text string) (string, error) {
		if !slices.Contains(words, text) {
			return "", fmt.Errorf("must be one of %s", strings.Join(words, ", "))
		}
		return text, nil
	}
}

const redisPasswordAdvice = "put it in a file for --redis-password-file, or in REDIS_PASSWORD"

// ParseRedisURL parses the address of a Redis: redis://, rediss:// or unix://.
// It refuses one with a password: everyone who can list the processes of the
// machine could read it.
func ParseRedisURL(text string) (string, error) {
	u, err := worker.ParseRedisURL(text)
	if err != nil {
		return "", fmt.Errorf("%w; if it needs a password, %s", err, redisPasswordAdvice)
	}
	if _, hasPassword := u.User.Password(); hasPassword || u.Query().Has("password") || u.Query().Has("sentinel_password") {
		return "", errors.New("must not hold a password: " + redisPasswordAdvice)
	}
	return text, nil
}
