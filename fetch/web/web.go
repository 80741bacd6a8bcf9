// Package web reads files by URL: those that people name, and those that
// export jobs point to.
//
// A URL may be a secret that expires, and its signature may cover the method
// and every x-oss- header. So it is only ever asked by GET, with no header but
// Range, If-Match, Accept-Encoding and User-Agent, and never shown beyond host
// and path.
package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"

	"tallyman/fetch"
	"tallyman/fetch/hostguard"
	"tallyman/fetch/internal/objstore"
	"tallyman/fetch/redact"
	"tallyman/verify"
)

// A Provider answers for https and http references, each of which is an export
// of one file that is always ready.
type Provider struct {
	Hosts  *hostguard.Policy
	Client *http.Client
}

// Export implements fetch.Provider. It asks nobody.
func (p *Provider) Export(_ context.Context, ref fetch.Ref) (*fetch.Export, error) {
	source, err := Open(p.Client, p.Hosts, ref.URL())
	if err != nil {
		return nil, err
	}
	object := fetch.Object{Name: source.name(), Want: ref.Want(), Source: source}
	return &fetch.Export{
		State: fetch.Ready, Percent: -1, Records: ref.Records(),
		Objects: func(yield func(fetch.Object, error) bool) { yield(object, nil) },
	}, nil
}

// A Source reads ranges of the file at a URL. It implements fetch.Source.
type Source struct {
	client *http.Client
	url    string
	shown  string // without its query
}

// Open makes a Source of a URL, or fails with hostguard.ErrHost if the hosts don't
// include its own. It sends nothing. The client is one of the hosts'.
func Open(client *http.Client, hosts *hostguard.Policy, rawURL string) (*Source, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("open URL: %w: it is not an https address", hostguard.ErrHost)
	}
	if err := hosts.Check(u); err != nil {
		return nil, fmt.Errorf("open URL: %w", err)
	}
	u.Fragment, u.RawFragment = "", ""
	redact.AddQuery(u.RawQuery)
	return &Source{client, u.String(), u.Scheme + "://" + u.Host + u.EscapedPath()}, nil
}

// name is the last element of the URL's path, unescaped.
func (s *Source) name() string {
	u, err := url.Parse(s.shown)
	if err != nil {
		return s.shown
	}
	if name := path.Base(u.Path); name != "/" && name != "." {
		return name
	}
	return u.Hostname()
}

// ReadRange implements fetch.Source. Some stores refuse If-Match even with the
// ETag that they gave: then the ETag of an answer without it is compared.
func (s *Source) ReadRange(ctx context.Context, off, n int64, etag string) (*fetch.Range, error) {
	ifMatch := etag
	if objstore.IsWeak(etag) { // a weak one never matches
		ifMatch = ""
	}
	answer, err := s.readRange(ctx, off, n, ifMatch)
	refused, ok := errors.AsType[*fetch.CallError](err)
	if !ok || refused.Status != http.StatusPreconditionFailed || etag == "" {
		return answer, err
	}
	if answer, err = s.readRange(ctx, off, n, ""); err == nil && !verify.SameETag(answer.Want.ETag, etag) {
		answer.Close()
		return nil, fmt.Errorf("GET %s: %w: ETag is %s, was %s", s.shown, fetch.ErrChanged, answer.Want.ETag, etag)
	}
	return answer, err
}

func (s *Source) readRange(ctx context.Context, off, n int64, ifMatch string) (*fetch.Range, error) {
	call := "GET " + s.shown
	return objstore.ReadRange(off, n, func(byteRange string, n int64) (*fetch.Range, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
		if err != nil {
			return nil, fmt.Errorf("%s: it is not a URL", call)
		}
		req.Header.Set("Accept-Encoding", "identity")
		req.Header.Set("User-Agent", "tallyman")
		if byteRange != "" {
			req.Header.Set("Range", byteRange)
		}
		if ifMatch != "" {
			req.Header.Set("If-Match", ifMatch)
		}
		resp, err := s.client.Do(req)
		if err != nil {
			return nil, fetch.TransportError(ctx, call, err)
		}
		return objstore.RangeOf(call, resp, off, n)
	})
}
