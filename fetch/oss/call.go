package oss

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/aliyun/aliyun-oss-go-sdk/oss"

	"tallyman/fetch"
	"tallyman/fetch/internal/acs"
	"tallyman/fetch/internal/api"
	"tallyman/fetch/internal/objstore"
	"tallyman/verify"
)

// A call is one signed GET: GetObject, or ListObjectsV2 if there is no key.
type call struct {
	name    string // in errors
	at      *bucketAddress
	key     string
	params  map[string]any
	options []oss.Option
}

// get makes a call, once. What it returns is a success, whose body the caller
// closes.
func (s *Store) get(ctx context.Context, c call) (*http.Response, error) {
	keys, err := s.chain.Or(s.Keys)(ctx)
	if err != nil {
		return nil, err
	}
	bucket, err := s.bucket(c.at, keys)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	options := append(c.options, oss.WithContext(ctx), oss.AcceptEncoding("identity"))
	answer, err := bucket.Do(http.MethodGet, c.key, c.params, options, nil, nil)
	if answer == nil {
		return nil, fetch.TransportError(ctx, c.name, err)
	}
	resp := &http.Response{StatusCode: answer.StatusCode, Header: answer.Headers, Body: answer.Body, ContentLength: verify.Unknown}
	if n, err := strconv.ParseUint(answer.Headers.Get("Content-Length"), 10, 63); err == nil {
		resp.ContentLength = int64(n)
	}
	if err != nil {
		defer resp.Body.Close()
		refusal, endpoint := objstore.Refusal(c.name, resp)
		hint := ""
		// A bucket in another region is an AccessDenied whose text says so.
		if refusal.Code == "AccessDenied" && strings.Contains(refusal.Message, "specified endpoint") {
			refusal.Kind, hint = fetch.ErrRefused, elsewhere(endpoint, c.at.hint)
		}
		objstore.Explain(refusal, meanings, hint)
		return nil, refusal
	}
	return resp, nil
}

// bucket makes a client of the SDK. A client is cheap, and holds the keys of one
// call.
func (s *Store) bucket(at *bucketAddress, keys acs.Keys) (*oss.Bucket, error) {
	s.once.Do(func() {
		s.http = &http.Client{
			Transport:     refusalLimiter{api.Transport(s.Client)},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the token stays here
		}
	})
	client, err := oss.New(at.endpoint.String(), keys.AccessKeyID, keys.AccessKeySecret,
		oss.SecurityToken(keys.SecurityToken),
		oss.HTTPClient(s.http),
		oss.AuthVersion(at.version),
		oss.Region(at.region),
		oss.ForcePathStyle(at.pathStyle),
		oss.UserAgent("tallyman"),
		oss.EnableCRC(false),
		oss.SetLogLevel(oss.LogOff),
	)
	if err != nil {
		return nil, err
	}
	return client.Bucket(at.bucket)
}

// A refusalLimiter is a transport that cuts long refusals: the SDK reads them
// to their end.
type refusalLimiter struct{ http.RoundTripper }

func (l refusalLimiter) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := l.RoundTripper.RoundTrip(req)
	if err == nil && resp.StatusCode/100 != 2 {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, objstore.MaxRefusal), resp.Body}
	}
	return resp, err
}

// source reads the version of an object that has that ETag, or any if it is "".
func (s *Store) source(at *bucketAddress, key, etag string) *objstore.Source {
	c := call{name: "GetObject oss://" + at.bucket + "/" + objstore.Printable(key), at: at, key: key}
	return &objstore.Source{Call: c.name, ETag: etag, Get: func(ctx context.Context, byteRange, ifMatch string) (*http.Response, error) {
		c := c
		if byteRange != "" {
			// By default OSS answers a range that reaches beyond the end with the
			// whole object: RangeBehavior asks for what RFC 9110 says.
			c.options = append(c.options, oss.NormalizedRange(strings.TrimPrefix(byteRange, "bytes=")), oss.RangeBehavior("standard"))
		}
		if ifMatch != "" {
			c.options = append(c.options, oss.IfMatch(ifMatch))
		}
		return s.get(ctx, c)
	}}
}

// meanings are OSS's codes that mean more than objstore.Refusal knows.
var meanings = map[string]objstore.Meaning{
	"InvalidObjectState":   {Hint: "it is archived: restore it first"},
	"RequestTimeTooSkewed": {Hint: objstore.ClockHint},
}

// elsewhere returns the hint for a bucket whose endpoint is another one, or "" if
// that is not the vendor's.
func elsewhere(endpoint, regionHint string) string {
	host, ok := strings.CutSuffix(endpoint, ".aliyuncs.com")
	region, named := strings.CutPrefix(strings.TrimSuffix(host, "-internal"), "oss-")
	if !ok || !named || !objstore.IsLabel(region) {
		return ""
	}
	return objstore.Elsewhere(endpoint, region, regionHint)
}
