package fetchtest_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/dbs"
	"tallyman/fetch/dis"
	"tallyman/fetch/dms"
	"tallyman/fetch/hostguard"
	"tallyman/fetch/obs"
	"tallyman/fetch/oss"
	"tallyman/fetch/sls"
)

// A service is one call of a provider's API, made by that client.
type service struct {
	name   string
	call   func(ctx context.Context, client *http.Client, endpoint string) error
	skewed string // how it refuses a call of the wrong time
}

const (
	slsSkewed = `{"errorCode":"RequestTimeTooSkewed","errorMessage":"too far"}`
	acsSkewed = `{"Code":"InvalidTimeStamp.Expired","Message":"Specified time stamp or date value is expired."}`
	disSkewed = `{"error_code":"APIGW.0303","error_msg":"Incorrect IAM authentication information: x-sdk-date expired"}`
	xmlSkewed = "<Error><Code>RequestTimeTooSkewed</Code><Message>The difference between the request time and the current time is too large.</Message></Error>"
)

// services are all that make calls with keys.
func services(t *testing.T) []service {
	t.Helper()
	parse := func(ref fetch.Ref, err error) fetch.Ref {
		if err != nil {
			t.Fatal(err)
		}
		return ref
	}
	ref := func(s string) fetch.Ref { return parse(fetch.ParseRef(s)) }
	place := func(s string) fetch.Ref { return parse(fetch.ParsePlace(s)) }
	keys := sls.StaticKeys("AKID", "CANARY-secret", "CANARY-token")
	slsOf := func(c *http.Client, at string) *sls.Provider {
		return &sls.Provider{Client: c, Keys: keys, Endpoint: at}
	}
	dbsOf := func(c *http.Client, at string) *dbs.Provider {
		return &dbs.Provider{Client: c, Keys: keys, Endpoint: at}
	}
	disOf := func(c *http.Client, at string) *dis.Provider {
		return &dis.Provider{Client: c, Keys: dis.StaticKeys(dis.Keys{AccessKey: "AK", SecretKey: "CANARY-secret", ProjectID: "p"}), Endpoint: at, Objects: noObjects}
	}
	return []service{
		{"sls", func(ctx context.Context, c *http.Client, at string) error {
			return exported(slsOf(c, at).Export(ctx, ref("sls://cn-hangzhou/project/job")))
		}, slsSkewed},
		{"sls list", func(ctx context.Context, c *http.Client, at string) error {
			return drained(slsOf(c, at).List(ctx, place("sls://cn-hangzhou/project/"), time.Time{}))
		}, slsSkewed},
		{"dms", func(ctx context.Context, c *http.Client, at string) error {
			return exported((&dms.Provider{Client: c, Keys: keys, Endpoint: at}).Export(ctx, ref("dms://cn-hangzhou/1/key")))
		}, acsSkewed},
		{"dbs", func(ctx context.Context, c *http.Client, at string) error {
			return exported(dbsOf(c, at).Export(ctx, ref("dbs://cn-hangzhou/instance/task")))
		}, acsSkewed},
		{"dbs list", func(ctx context.Context, c *http.Client, at string) error {
			return drained(dbsOf(c, at).List(ctx, place("dbs://cn-hangzhou/instance/"), time.Time{}))
		}, acsSkewed},
		{"dis", func(ctx context.Context, c *http.Client, at string) error {
			return exported(disOf(c, at).Export(ctx, ref("dis://cn-north-4/task/file")))
		}, disSkewed},
		{"dis list", func(ctx context.Context, c *http.Client, at string) error {
			return drained(disOf(c, at).List(ctx, place("dis://cn-north-4/task/"), time.Time{}))
		}, disSkewed},
		{"oss", func(ctx context.Context, c *http.Client, at string) error {
			s := &oss.Store{Client: c, Keys: keys, Endpoint: at, Region: "cn-hangzhou"}
			return drained(s.Objects(ctx, oss.Selection{Bucket: "bucket", Prefix: "e/"}))
		}, xmlSkewed},
		{"obs", func(ctx context.Context, c *http.Client, at string) error {
			s := &obs.Store{Client: c, Keys: obs.StaticKeys(obs.Keys{AccessKey: "AK", SecretKey: "CANARY-secret"}), Endpoint: at, Region: "cn-north-4"}
			return drained(s.Objects(ctx, obs.Selection{Bucket: "bucket", Prefix: "e/"}))
		}, xmlSkewed},
	}
}

func noObjects(context.Context, string, string, string) iter.Seq2[fetch.Object, error] {
	return func(func(fetch.Object, error) bool) {}
}

func exported(_ *fetch.Export, err error) error { return err }

// drained is the error that a listing ends with.
func drained[T any](all func(func(T, error) bool)) (failed error) {
	for _, err := range all {
		failed = err
	}
	return failed
}

// A cloud answers every call alike.
type cloud struct {
	status int
	header http.Header
	text   string        // again and again
	every  time.Duration // between two pieces of it
	once   bool

	mu    sync.Mutex
	hosts map[string]int
	read  int // bytes of one answer, at most
}

func (c *cloud) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hosts == nil {
		c.hosts = map[string]int{}
	}
	c.hosts[r.URL.Host]++
	header := c.header.Clone()
	if header == nil {
		header = http.Header{}
	}
	body := &cloudBody{cloud: c, ctx: r.Context(), left: strings.NewReader(c.text)}
	return &http.Response{StatusCode: c.status, Header: header, Body: io.NopCloser(body), ContentLength: -1, Request: r, ProtoMajor: 1, ProtoMinor: 1}, nil
}

type cloudBody struct {
	cloud *cloud
	ctx   context.Context
	left  *strings.Reader
	read  int
}

func (b *cloudBody) Read(p []byte) (int, error) {
	if b.cloud.every > 0 {
		p = p[:min(len(p), 1)]
	}
	if err := fetch.Sleep(b.ctx, b.cloud.every); err != nil {
		return 0, err
	}
	n, err := b.left.Read(p)
	if err != nil && !b.cloud.once {
		b.left.Reset(b.cloud.text)
		n, err = b.left.Read(p)
	}
	b.read += n
	b.cloud.mu.Lock()
	defer b.cloud.mu.Unlock()
	b.cloud.read = max(b.cloud.read, b.read)
	return n, err
}

// longestCall is more than all tries of a call take, with the waits between.
const longestCall = 10 * time.Minute

func TestNoAnswerOfAServiceIsReadForEver(t *testing.T) {
	filler := strings.Repeat("x", 64<<10)
	for name, c := range map[string]*cloud{
		"spaces":                {status: 200, text: strings.Repeat(" ", 64<<10)},
		"a text":                {status: 200, text: `{"filler":"` + filler},
		"a refusal":             {status: 403, text: "<Error><Code>" + filler},
		"a refusal that passes": {status: 503, text: filler},
		"a drip":                {status: 200, text: " ", every: 29 * time.Second},
		"a refusal in drips":    {status: 500, text: " ", every: 29 * time.Second},
	} {
		all := services(t)
		if testing.Short() && c.every == 0 {
			all = all[:2] // each reads as many megabytes
		}
		for _, s := range all {
			synctest.Test(t, func(t *testing.T) {
				wire := &cloud{status: c.status, text: c.text, every: c.every}
				began := time.Now()
				err := s.call(context.Background(), &http.Client{Transport: wire}, "http://127.0.0.1")
				if _, ok := errors.AsType[*fetch.CallError](err); !ok || strings.Contains(err.Error(), "CANARY") || len(err.Error()) > 1000 {
					t.Errorf("%s, %s: got %.2000v, want a short CallError without a secret", s.name, name, err)
				}
				if took := time.Since(began); took > longestCall {
					t.Errorf("%s, %s: after %v", s.name, name, took)
				}
				if wire.read > 9<<20 {
					t.Errorf("%s, %s: %d bytes were read", s.name, name, wire.read)
				}
			})
		}
	}
}

// A redirect of a call would take its signature elsewhere.
func TestNoCallIsRedirected(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, s := range services(t) {
			synctest.Test(t, func(t *testing.T) {
				wire := &cloud{status: status, text: "moved", once: true, header: http.Header{"Location": {"https://evil.aliyuncs.com/?Signature=CANARY"}}}
				err := s.call(context.Background(), &http.Client{Transport: wire}, "http://127.0.0.1")
				if !errors.Is(err, fetch.ErrRefused) || strings.Contains(err.Error(), "CANARY") {
					t.Errorf("%s, %d: %v", s.name, status, err)
				}
				if len(wire.hosts) != 1 || wire.hosts["evil.aliyuncs.com"] != 0 {
					t.Errorf("%s, %d: asked %v", s.name, status, wire.hosts)
				}
			})
		}
	}
}

func TestASkewedClockIsNamedByEveryService(t *testing.T) {
	for _, s := range services(t) {
		synctest.Test(t, func(t *testing.T) {
			wire := &cloud{status: 403, text: s.skewed, once: true, header: http.Header{"Date": {time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)}}}
			err := s.call(context.Background(), &http.Client{Transport: wire}, "http://127.0.0.1")
			if !errors.Is(err, fetch.ErrAuth) || !strings.Contains(err.Error(), "check this machine's clock") {
				t.Errorf("%s: %v", s.name, err)
			}
		})
	}
}

// No call is made but by the client that a provider was given, and that asks whom
// it may.
func TestEveryCallKeepsToTheHosts(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s was asked", r.URL.Path) }))
	defer server.Close()
	for _, s := range services(t) {
		client := (&hostguard.Policy{Domains: []string{"aliyuncs.com", "myhuaweicloud.com"}}).Client()
		if err := s.call(t.Context(), client, server.URL); !errors.Is(err, hostguard.ErrHost) {
			t.Errorf("%s: %v", s.name, err)
		}
		client.CloseIdleConnections()
	}
}
