package acs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/aliyun/credentials-go/credentials/providers"

	"tallyman/fetch"
	"tallyman/fetch/redact"
)

// Credentials find keys and renew those that expire. The zero Credentials are
// the Default ones. Their methods may be called by many goroutines at once.
type Credentials struct {
	mu    sync.Mutex
	ask   func() (*providers.Credentials, error) // nil until first needed
	found bool                                   // ask has given keys before

	profile string // "" for the chain
}

// Default are the credentials of Alibaba's default chain: the environment, an
// OIDC token, ~/.aliyun/config.json, ~/.alibabacloud/credentials, the role of
// an ECS instance. Nothing is read before the first call of Keys.
func Default() *Credentials { return new(Credentials) }

// Profile are the credentials of a profile of ~/.aliyun/config.json, as
// `aliyun configure --profile NAME` makes it, or the Default ones for "".
func Profile(name string) *Credentials {
	if name == "" {
		return Default()
	}
	return &Credentials{profile: name, ask: func() (*providers.Credentials, error) {
		profile, err := providers.NewCLIProfileCredentialsProviderBuilder().WithProfileName(name).Build()
		if err != nil {
			return nil, err
		}
		return profile.GetCredentials()
	}}
}

// Static are credentials that don't change.
func Static(keys Keys) *Credentials {
	return &Credentials{ask: func() (*providers.Credentials, error) {
		return &providers.Credentials{
			AccessKeyId:     keys.AccessKeyID,
			AccessKeySecret: keys.AccessKeySecret,
			SecurityToken:   keys.SecurityToken,
		}, nil
	}}
}

// Or returns keys, or c.Keys if that is nil.
func (c *Credentials) Or(keys func(context.Context) (Keys, error)) func(context.Context) (Keys, error) {
	if keys == nil {
		return c.Keys
	}
	return keys
}

const call = "find Alibaba Cloud credentials"

// Keys are keys that are good for some minutes. Where there are none the
// error is a *fetch.CallError: ErrAuth, or ErrTemporary if there were keys
// once and they could not be renewed.
func (c *Credentials) Keys(ctx context.Context) (Keys, error) {
	type answer struct {
		keys Keys
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		keys, err := c.keys()
		answers <- answer{keys, err}
	}()
	select {
	case <-ctx.Done():
		return Keys{}, fmt.Errorf("%s: %w", call, ctx.Err())
	case a := <-answers:
		return a.keys, a.err
	}
}

func (c *Credentials) keys() (Keys, error) {
	c.mu.Lock() // the library's chain is not safe for many goroutines
	defer c.mu.Unlock()
	if c.ask == nil {
		c.ask = providers.NewDefaultCredentialsProvider().GetCredentials
	}
	got, err := c.answer()
	if err != nil || got == nil {
		return Keys{}, c.lost()
	}
	c.found = true
	keys := Keys{
		AccessKeyID:     strings.TrimSpace(got.AccessKeyId),
		AccessKeySecret: strings.TrimSpace(got.AccessKeySecret),
		SecurityToken:   strings.TrimSpace(got.SecurityToken),
	}
	redact.Add(keys.Secrets()...)
	return keys, nil
}

// answer fails where the library panics, as it does over a file in which there
// is null for a profile.
func (c *Credentials) answer() (got *providers.Credentials, err error) {
	defer func() {
		if what := recover(); what != nil {
			err = errors.New("what holds the keys is of another form")
		}
	}()
	return c.ask()
}

// lost says that there are no keys, in our own words: the library's quote
// configuration files and answers, secrets and all.
func (c *Credentials) lost() error {
	if c.found {
		return &fetch.CallError{Call: call, Kind: fetch.ErrTemporary, Message: "the keys have expired and could not be renewed"}
	}
	if c.profile != "" {
		return &fetch.CallError{Call: call, Kind: fetch.ErrAuth, Message: "profile " + c.profile + " has none: " +
			"run `aliyun configure --profile " + c.profile + "`"}
	}
	c.ask = nil // a chain that found nothing asks only its last link from then on
	return &fetch.CallError{Call: call, Kind: fetch.ErrAuth, Message: "there are none: " +
		"set ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET, or run `aliyun configure`"}
}
