package oss

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/aliyun/aliyun-oss-go-sdk/oss"

	"tallyman/fetch"
	"tallyman/fetch/internal/acs"
	"tallyman/fetch/redact"
	"tallyman/verify"
)

// ErrNoRegion says that nothing tells which region a bucket is in. It is an
// error of usage.
var ErrNoRegion error = usageError("the bucket's region is not known: add ?region=REGION to the reference, or set --endpoint oss=URL")

// A usageError is what a person has to say otherwise. It is an
// errors.ErrUnsupported.
type usageError string

func (e usageError) Error() string { return string(e) }
func (e usageError) Unwrap() error { return errors.ErrUnsupported }

func usagef(format string, args ...any) error { return usageError(fmt.Sprintf(format, args...)) }

// A place is where a bucket is asked.
type place struct {
	region    string // "" if it is not known and need not be
	bucket    string
	endpoint  string // its scheme and host
	pathStyle bool
	version   oss.AuthVersionType
	hint      string // of the Selection
}

var networks = map[string]string{"internal": "-internal"}

// label is what a region or a bucket may be, since both become part of a host
// name.
var label = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// where finds out where a bucket is asked. It sends nothing.
func (s *Store) where(region, bucket string) (*place, error) {
	if region == "" {
		region = s.Region
	}
	w := &place{region: strings.TrimPrefix(region, "oss-"), bucket: bucket}
	switch {
	case len(bucket) < 3 || !label.MatchString(bucket):
		return nil, usagef("bucket %q: want 3 to 63 lower-case letters, digits and dashes", bucket)
	case w.region != "" && !label.MatchString(w.region):
		return nil, usagef("region %q: want lower-case letters, digits and dashes", region)
	}
	var err error
	if w.version, err = s.version(w.region); err != nil {
		return nil, err
	}
	if s.Endpoint == "" {
		if w.region == "" {
			return nil, ErrNoRegion
		}
		w.endpoint = "https://oss-" + w.region + networks[s.Network] + ".aliyuncs.com"
		return w, nil
	}
	u, err := url.Parse(s.Endpoint)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" {
		return nil, usagef("endpoint %s: want http://HOST:PORT or https://HOST:PORT", redact.Text(s.Endpoint))
	}
	w.endpoint = u.Scheme + "://" + u.Host
	w.pathStyle = u.Hostname() == "localhost" || net.ParseIP(u.Hostname()) != nil
	return w, nil
}

func (s *Store) version(region string) (oss.AuthVersionType, error) {
	switch {
	case s.Signature == "v4" && region == "":
		return "", ErrNoRegion
	case s.Signature == "v4" || s.Signature == "" && region != "":
		return oss.AuthV4, nil
	case s.Signature == "v1" || s.Signature == "":
		return oss.AuthV1, nil
	}
	return "", usagef("unknown signature version %q, want v4 or v1", s.Signature)
}

// A call is one signed GET: of an object, or of a bucket's listing where there
// is no key.
type call struct {
	name    string // "GetObject oss://bucket/key"
	at      *place
	key     string
	params  map[string]any
	options []oss.Option
}

// get makes the call. Its answer is a success, whose body the caller closes.
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
	resp := &http.Response{
		StatusCode: answer.StatusCode, Header: answer.Headers, Body: answer.Body, ContentLength: announced(answer.Headers),
	}
	if err != nil {
		defer resp.Body.Close()
		return nil, c.refused(resp, err)
	}
	return resp, nil
}

// bucket makes a client of the SDK. One is cheap, and holds the keys of one
// call.
func (s *Store) bucket(at *place, keys acs.Keys) (*oss.Bucket, error) {
	client, err := oss.New(at.endpoint, keys.AccessKeyID, keys.AccessKeySecret,
		oss.SecurityToken(keys.SecurityToken),
		oss.HTTPClient(s.client()),
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

// announced is the length that an answer says its body has.
func announced(h http.Header) int64 {
	if n, err := strconv.ParseUint(h.Get("Content-Length"), 10, 63); err == nil {
		return int64(n)
	}
	return verify.Unknown
}

// maxRefusal is how much is read of an answer that is no success.
const maxRefusal = 64 << 10

// brief is a transport whose refusals are short: the SDK reads all of them.
type brief struct{ http.RoundTripper }

func (b brief) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(req)
	if err == nil && resp.StatusCode/100 != 2 {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxRefusal), resp.Body}
	}
	return resp, err
}
