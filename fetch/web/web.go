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
	"iter"
	"net/http"
	"net/url"
	"path"

	"tallyman/fetch"
	"tallyman/fetch/hostguard"
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
		State: fetch.Ready, Percent: -1, Records: ref.Records(), Objects: one(object),
	}, nil
}

func one(object fetch.Object) iter.Seq2[fetch.Object, error] {
	return func(yield func(fetch.Object, error) bool) { yield(object, nil) }
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

// ReadRange implements fetch.Source.
func (s *Source) ReadRange(ctx context.Context, off, n int64, etag string) (*fetch.Range, error) {
	answer, err := s.readRange(ctx, off, n, etag)
	refused, ok := errors.AsType[*fetch.CallError](err)
	switch {
	case ok && refused.Status == http.StatusPreconditionFailed && etag != "":
		return s.readVersion(ctx, off, n, etag)
	case ok && refused.Status == http.StatusRequestedRangeNotSatisfiable && off == 0:
		return s.readRange(ctx, 0, noRange, etag) // of an empty object any range is refused
	}
	return answer, err
}

// readVersion compares the ETag itself: some stores refuse If-Match even for
// the one that they give.
func (s *Source) readVersion(ctx context.Context, off, n int64, etag string) (*fetch.Range, error) {
	answer, err := s.readRange(ctx, off, n, "")
	if err == nil && !verify.SameETag(answer.Want.ETag, etag) {
		answer.Close()
		return nil, fmt.Errorf("GET %s: %w: ETag is %s, was %s", s.shown, fetch.ErrChanged, answer.Want.ETag, etag)
	}
	return answer, err
}

// noRange, as a number of bytes, asks for all of them without a Range header.
const noRange = 0

func (s *Source) readRange(ctx context.Context, off, n int64, etag string) (*fetch.Range, error) {
	req, err := s.request(ctx, off, n, etag)
	if err != nil {
		return nil, err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, fetch.TransportError(ctx, "GET "+s.shown, err)
	}
	answer, err := Answer("GET "+s.shown, resp, off, n)
	if err != nil {
		resp.Body.Close()
		return nil, err
	}
	return answer, nil
}

func (s *Source) request(ctx context.Context, off, n int64, etag string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, fmt.Errorf("GET %s: it is not a URL", s.shown)
	}
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", "tallyman")
	if n == verify.Unknown {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", off))
	} else if n != noRange {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", off, off+n-1))
	}
	if etag != "" && !IsWeak(etag) { // a weak one never matches
		req.Header.Set("If-Match", etag)
	}
	return req, nil
}
