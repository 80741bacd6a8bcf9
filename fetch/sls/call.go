package sls

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/internal/acs"
)

const (
	callTime  = 60 * time.Second
	maxAnswer = 1 << 20
)

// An answer is what the service said to one call.
type answer struct {
	call   string
	status int
	header http.Header
	body   []byte
	clean  func(string) string // takes the secrets out of a text
}

func (a *answer) requestID() string { return a.header.Get("x-log-requestid") }

// call makes one signed GET. Its answer is a success: anything else is an
// error.
func (p *Provider) call(ctx context.Context, name string, ref fetch.Ref, path string) (*answer, error) {
	keys, err := p.keys(ctx)
	if err != nil {
		return nil, err
	}
	timed, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	req, err := p.request(timed, ref, path, keys)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	a, err := p.send(req)
	if err != nil && ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return nil, &fetch.CallError{Call: name, Kind: fetch.ErrTemporary, Message: fmt.Sprintf("no answer within %v", callTime)}
	}
	if err != nil {
		return nil, fetch.Unanswered(ctx, name, err)
	}
	a.call, a.clean = name, cleaner(keys)
	return a, a.check()
}

func (p *Provider) keys(ctx context.Context) (acs.Keys, error) {
	if p.Keys == nil {
		return p.chain.Keys(ctx)
	}
	return p.Keys(ctx)
}

func (p *Provider) request(ctx context.Context, ref fetch.Ref, path string, keys acs.Keys) (*http.Request, error) {
	sign, ok := signers[p.Signature]
	if !ok {
		return nil, fmt.Errorf("unknown signature version %q, want v4, v1 or v1-sha1", p.Signature)
	}
	region, project := ref.Parts()[0], ref.Parts()[1]
	base, err := p.endpoint(region, project)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base.String()+path, nil)
	if err != nil {
		return nil, err
	}
	if p.Endpoint != "" {
		req.Host = project + "." + base.Host
	}
	sign(req, nil, time.Now(), keys, region)
	return req, nil
}

var networks = map[string]string{"internal": "-intranet"}

// endpoint is where TCP goes to.
func (p *Provider) endpoint(region, project string) (*url.URL, error) {
	if p.Endpoint == "" {
		return &url.URL{Scheme: "https", Host: project + "." + region + networks[p.Network] + ".log.aliyuncs.com"}, nil
	}
	u, err := url.Parse(p.Endpoint)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || strings.Trim(u.Path, "/") != "" {
		return nil, fmt.Errorf("endpoint %s: want http://HOST:PORT or https://HOST:PORT", fetch.Redact(p.Endpoint))
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

// send goes to the transport itself: a client would follow redirects, and it
// quotes URLs in its errors.
func (p *Provider) send(req *http.Request) (*answer, error) {
	transport := cmp.Or(p.Client, http.DefaultClient).Transport
	if transport == nil {
		transport = http.DefaultTransport
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	return &answer{status: resp.StatusCode, header: resp.Header, body: body}, nil
}

// shortest is the length from which on a key is a secret that can be told
// from other text.
const shortest = 8

// cleaner takes the keys and the queries of signed URLs out of a text. The
// service quotes the headers that it was sent where it refuses a signature.
func cleaner(keys acs.Keys) func(string) string {
	var pairs []string
	for _, secret := range []string{keys.SecurityToken, keys.AccessKeySecret} {
		if len(secret) >= shortest {
			pairs = append(pairs, secret, "***")
		}
	}
	hide := strings.NewReplacer(pairs...)
	return func(s string) string { return fetch.Redact(hide.Replace(s)) }
}
