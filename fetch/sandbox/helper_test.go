package sandbox

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	mockID     = "mockAccessKeyID"
	mockSecret = "mockAccessKeySecret"
	project    = "ali-test-project"
	rpcTime    = "2006-01-02T15:04:05Z"
)

// now is the time of the cloud.
func now() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

func options() Options {
	return Options{AccessKeyID: mockID, AccessKeySecret: mockSecret, Now: now}
}

// start serves a cloud until the test ends, and returns its base URL.
func start(t *testing.T, c *Cloud) string {
	t.Helper()
	base, stop, err := c.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return base
}

// started returns a cloud with those jobs in one project, and its base URL.
func startCloud(t *testing.T, jobs ...Job) (*Cloud, string) {
	t.Helper()
	c := New(options())
	for _, j := range jobs {
		c.AddJob(project, j)
	}
	return c, start(t, c)
}

// wantEqual reports how got differs from want.
func wantEqual(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func newRequest(t *testing.T, method, url, body string, headers ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	setHeaders(r, headers...)
	return r
}

func setHeaders(r *http.Request, pairs ...string) {
	for i := 0; i < len(pairs); i += 2 {
		r.Header.Set(pairs[i], pairs[i+1])
	}
}

func hmacBase64(algorithm func() hash.Hash, secret, text string) string {
	return base64.StdEncoding.EncodeToString(hmacOf(algorithm, secret, text))
}

func hmacOf(algorithm func() hash.Hash, secret, text string) []byte {
	h := hmac.New(algorithm, []byte(secret))
	h.Write([]byte(text))
	return h.Sum(nil)
}

func sha256Hex(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }

// headerLines are the headers with that prefix, as the schemes sign them.
func headerLines(r *http.Request, prefix string) (lines string) {
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, prefix) {
			lines += lower + ":" + r.Header.Get(name) + "\n"
		}
	}
	return lines
}

// queryOf is the query in order, with the names that are given, or else all.
func queryOf(r *http.Request, names ...string) string {
	q := r.URL.Query()
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(q)) {
		if names == nil || slices.Contains(names, name) {
			pairs = append(pairs, strings.TrimSuffix(name+"="+q.Get(name), "="))
		}
	}
	if pairs == nil {
		return ""
	}
	return "?" + strings.Join(pairs, "&")
}

// slsRequest makes a call of SLS, signed with "LOG" and HMAC-SHA1.
func slsRequest(t *testing.T, method, url, host, body string, headers ...string) *http.Request {
	t.Helper()
	r := newRequest(t, method, url, body, "x-log-apiversion", "0.6.0", "x-log-bodyrawsize", fmt.Sprint(len(body)),
		"Date", now().Format(http.TimeFormat), "x-log-signaturemethod", "hmac-sha1")
	if body != "" {
		setHeaders(r, "Content-Type", "application/json", "Content-MD5", fmt.Sprintf("%X", md5.Sum([]byte(body))))
	}
	setHeaders(r, headers...)
	r.Host = host
	text := fmt.Sprintf("%s\n%s\n%s\n%s\n%s%s%s", method, r.Header.Get("Content-MD5"), r.Header.Get("Content-Type"), r.Header.Get("Date"),
		headerLines(r, "x-log-"), r.URL.Path, queryOf(r))
	r.Header.Set("Authorization", "LOG "+mockID+":"+hmacBase64(sha1.New, mockSecret, text))
	return r
}

// ask makes a signed call of SLS in the project and decodes the answer into v.
func askSLS(t *testing.T, base, method, path, body string, v any) *http.Response {
	t.Helper()
	return do(t, slsRequest(t, method, base+path, project+"."+strings.TrimPrefix(base, "http://"), body), v)
}

func do(t *testing.T, r *http.Request, v any) *http.Response {
	t.Helper()
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if r, ok := v.(*raw); ok {
		*r = raw(text)
	} else if v != nil {
		if err := json.Unmarshal(text, v); err != nil {
			t.Fatalf("%s: %s", err, text)
		}
	}
	return resp
}

// callRPC makes a call of DMS or DBS, signed with V1, and decodes the answer into v.
func callRPC(t *testing.T, base string, v any, parameters ...string) *http.Response {
	t.Helper()
	q := url.Values{
		"Action": {"QueryDataTrackResultDownloadStatus"}, "Version": {dmsVersion}, "Format": {"JSON"}, "AccessKeyId": {mockID},
		"SignatureMethod": {"HMAC-SHA1"}, "SignatureVersion": {"1.0"}, "SignatureNonce": {rand.Text()},
		"Timestamp": {now().Format(rpcTime)}, "OrderId": {"11"}, "DownloadKeyId": {"key-1"},
	}
	for i := 0; i < len(parameters); i += 2 {
		q[parameters[i]] = []string{parameters[i+1]}
		if parameters[i+1] == "" {
			delete(q, parameters[i])
		}
	}
	encode := func(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }
	text := "GET&%2F&" + encode(strings.ReplaceAll(q.Encode(), "+", "%20"))
	q.Set("Signature", hmacBase64(sha1.New, mockSecret+"&", text))
	return do(t, newRequest(t, "GET", base+"/?"+q.Encode(), ""), v)
}

// askOSS asks the store for a path, signed by key with V1.
func askOSS(t *testing.T, method, base, path string, headers ...string) answer {
	t.Helper()
	r := newRequest(t, method, base+path, "", "Date", now().Format(http.TimeFormat), "Accept-Encoding", "identity")
	setHeaders(r, headers...)
	return send(t, signedOSS(r, r.Header.Get("Date"), r.URL.Path))
}

// signedOSS signs with V1 for that bucket and key.
func signedOSS(r *http.Request, date, resource string) *http.Request {
	r.Header.Set("Authorization", "OSS "+mockID+":"+ossSignature(r, date, resource))
	return r
}

func ossSignature(r *http.Request, date, resource string) string {
	return hmacBase64(sha1.New, mockSecret, r.Method+"\n\n\n"+date+"\n"+headerLines(r, "x-oss-")+resource+queryOf(r, "acl", "continuation-token", "versions"))
}

// getJob asks for a job that exists.
func getJob(t *testing.T, base, name string) jobDescription {
	t.Helper()
	var d jobDescription
	if resp := askSLS(t, base, "GET", "/downloadjobs/"+name, "", &d); resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: status %d", name, resp.StatusCode)
	}
	return d
}

// An answer is what came of a request for a file.
type answer struct {
	status int
	header http.Header
	body   string
	err    error // of reading the body
}

// fetch asks for a file by its URL.
func fetch(t *testing.T, method, url string, headers ...string) answer {
	t.Helper()
	r := newRequest(t, method, url, "", "Accept-Encoding", "identity")
	setHeaders(r, headers...)
	return send(t, r)
}

func send(t *testing.T, r *http.Request) answer {
	t.Helper()
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(body), err}
}

// raw is an answer that need not be JSON.
type raw string
