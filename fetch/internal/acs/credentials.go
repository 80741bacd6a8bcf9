package acs

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/aliyun/credentials-go/credentials/providers"

	"tallyman/fetch"
	"tallyman/fetch/redact"
)

// Credentials find keys, and renew those that expire. The zero Credentials are
// those of the default chain. Their methods may be called by many goroutines at once.
type Credentials struct {
	// Profile is the name of a profile of ~/.aliyun/config.json, which
	// `aliyun configure --profile NAME` makes. "" is Alibaba's default chain: the
	// environment, an OIDC token, ~/.aliyun/config.json,
	// ~/.alibabacloud/credentials, the role of an ECS instance. Nothing is read
	// before the first call of Keys.
	Profile string

	mu    sync.Mutex
	ask   func() (*providers.Credentials, error) // nil until first needed
	found bool                                   // ask has given keys before
}

// Static returns credentials that don't change.
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

// Keys returns keys that are good for some minutes. If there are none, the error is
// a *fetch.CallError: of kind ErrAuth, or ErrTemporary if there were keys before and
// they could not be renewed. It waits for the answer no longer than ctx lasts.
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
	switch {
	case c.ask != nil:
	case c.Profile == "":
		c.ask = providers.NewDefaultCredentialsProvider().GetCredentials
	default:
		c.ask = func() (*providers.Credentials, error) {
			profile, err := providers.NewCLIProfileCredentialsProviderBuilder().WithProfileName(c.Profile).Build()
			if err != nil {
				return nil, err
			}
			return profile.GetCredentials()
		}
	}
	got, err := func() (_ *providers.Credentials, err error) {
		defer fetch.Recover(&err) // the library panics over a file in which a profile is null
		return c.ask()
	}()
	if err != nil || got == nil {
		// The library's own errors quote configuration files and answers with the
		// secrets in them.
		switch {
		case c.found:
			return Keys{}, &fetch.CallError{Call: call, Kind: fetch.ErrTemporary, Message: "the keys have expired and could not be renewed"}
		case c.Profile != "":
			return Keys{}, &fetch.CallError{Call: call, Kind: fetch.ErrAuth, Message: "profile " + c.Profile + " has none: " +
				"run `aliyun configure --profile " + c.Profile + "`"}
		}
		c.ask = nil // a chain that found nothing asks only its last link from then on
		return Keys{}, &fetch.CallError{Call: call, Kind: fetch.ErrAuth, Message: "there are none: " +
			"set ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET, or run `aliyun configure`"}
	}
	c.found = true
	keys := Keys{
		AccessKeyID:     strings.TrimSpace(got.AccessKeyId),
		AccessKeySecret: strings.TrimSpace(got.AccessKeySecret),
		SecurityToken:   strings.TrimSpace(got.SecurityToken),
		Source:          c.source(got.ProviderName),
	}
	redact.Add(keys.Secrets()...)
	return keys, nil
}

// sources are in words what the links of the default chain are called by the library.
var sources = map[string]string{
	"env":            "the environment (ALIBABA_CLOUD_ACCESS_KEY_ID)",
	"oidc_role_arn":  "an OIDC token (ALIBABA_CLOUD_OIDC_TOKEN_FILE)",
	"cli_profile":    "~/.aliyun/config.json",
	"profile":        "~/.alibabacloud/credentials",
	"ecs_ram_role":   "the role of the ECS instance",
	"credential_uri": "ALIBABA_CLOUD_CREDENTIALS_URI",
}

// source says in words where the library found keys, by what it calls that: the names
// of its providers, from the outermost to the innermost.
func (c *Credentials) source(provider string) string {
	if c.Profile != "" {
		return "profile " + c.Profile + " of ~/.aliyun/config.json"
	}
	link, _, _ := strings.Cut(strings.TrimPrefix(provider, "default/"), "/")
	file := os.Getenv("ALIBABA_CLOUD_CREDENTIALS_FILE")
	if link == "profile" && file != "" {
		return file + " (ALIBABA_CLOUD_CREDENTIALS_FILE)"
	}
	return cmp.Or(sources[link], link)
}
