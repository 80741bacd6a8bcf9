// Package web reads files by URL: those that https references name, and those that
// the jobs of other services point to. Such an export is always ready.
//
// A file is proven by what its store says of it (CRC64, Content-MD5, ETag) and by
// what the reference promises.
//
// A URL may be a secret that expires, and its signature may cover the method and all
// x-oss- headers. So a file is only ever asked for by GET, with no header but Range,
// If-Match, Accept-Encoding and User-Agent, and a URL is never shown beyond its host
// and path.
package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"

	"tallyman/fetch"
	"tallyman/fetch/hostguard"
	"tallyman/fetch/internal/objstore"
	"tallyman/fetch/redact"
	"tallyman/verify"
)

// The schemes of the references: https://HOST/PATH and http://HOST/PATH.
var schemes = []string{
	fetch.RegisterScheme(fetch.Scheme{Name: "https", URL: true, Segments: segments, NoPlaces: noPlaces}),
	fetch.RegisterScheme(fetch.Scheme{Name: "http", URL: true, Segments: segments, NoPlaces: noPlaces}),
}

var segments = []fetch.Segment{{Name: "HOST", Kind: fetch.Label}, {Name: "PATH", Kind: fetch.Rest}}

const noPlaces = "a URL is one file: fetch it"

// A Provider answers for https and http references. The export of one is one file.
type Provider struct {
	Hosts  *hostguard.Policy // the hosts that may be asked
	Client *http.Client      // a client of Hosts
}

// Export implements fetch.Provider. It sends nothing.
func (p *Provider) Export(_ context.Context, ref fetch.Ref) (*fetch.Export, error) {
	if !slices.Contains(schemes, ref.Scheme()) {
		return nil, fmt.Errorf("export %s: not a reference to a URL", ref)
	}
	source, err := Open(p.Client, p.Hosts, ref.URL())
	if err != nil {
		return nil, err
	}
	object := fetch.Object{Name: source.name(), Want: ref.Want(), Source: source}
	return &fetch.Export{
		State: fetch.Ready, Percent: -1, Endpoint: ref.Parts()[0], Window: ref.Window(), Records: ref.Records(),
		Objects: func(yield func(fetch.Object, error) bool) { yield(object, nil) },
	}, nil
}

// A Source reads ranges of the file at a URL. It implements fetch.Source.
type Source struct {
	client *http.Client
	url    string
	shown  string // the URL without its query
}

// Open makes a Source of a URL. It fails with hostguard.ErrHost if the URL's host is
// not one of hosts. It sends nothing. The client is a client of hosts. The URL's query
// is masked in all output from then on.
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

// name returns the last element of the URL's path, unescaped, or the host.
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
// ETag that they gave: then the ETag of an answer without it is compared, unless the
// answer has a hash of the bytes, by which the caller tells versions apart.
func (s *Source) ReadRange(ctx context.Context, off, n int64, etag string) (*fetch.Range, error) {
	call, ifMatch := "GET "+s.shown, ""
	if verify.IsStrongETag(etag) { // a weak one never matches
		ifMatch = etag
	}
	get := func(byteRange string, n int64) (*fetch.Range, error) {
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
		resp, err := s.client.Do(req) //nolint:bodyclose // the Range closes it
		if err != nil {
			return nil, fetch.TransportError(ctx, call, err)
		}
		return objstore.RangeOf(call, resp, off, n)
	}
	answer, err := objstore.ReadRange(off, n, get)
	refused, ok := errors.AsType[*fetch.CallError](err)
	if !ok || refused.Status != http.StatusPreconditionFailed || etag == "" {
		return answer, err
	}
	ifMatch = ""
	answer, err = objstore.ReadRange(off, n, get)
	if err == nil && answer.Want.CRC64 == "" && answer.Want.MD5 == "" && !verify.SameETag(answer.Want.ETag, etag) {
		answer.Close()
		return nil, fmt.Errorf("%s: %w: ETag is %s, was %s", call, fetch.ErrChanged, answer.Want.ETag, etag)
	}
	return answer, err
}
