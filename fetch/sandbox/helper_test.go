package sandbox

import (
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

const (
	mockID     = "mockAccessKeyID"
	mockSecret = "mockAccessKeySecret"
	project    = "ali-test-project"
)

// now is the time of the signature vectors.
func now() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

func options() Options {
	return Options{AccessKeyID: mockID, AccessKeySecret: mockSecret, Now: now}
}

// started returns a cloud with those jobs in one project, and its base URL.
func started(t *testing.T, jobs ...Job) (*Cloud, string) {
	t.Helper()
	c := New(options())
	for _, j := range jobs {
		c.AddJob(project, j)
	}
	base, stop, err := c.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return c, base
}

// request builds a request of the job API with the headers of the vectors.
func request(method, url, body string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, url, strings.NewReader(body))
	r.RequestURI = ""
	setHeaders(r, "x-log-apiversion", "0.6.0", "x-log-bodyrawsize", "0", "Date", "Fri, 02 Jan 2026 03:04:05 GMT",
		"x-log-signaturemethod", "hmac-sha1")
	setHeaders(r, headers...)
	return r
}

func setHeaders(r *http.Request, pairs ...string) {
	for i := 0; i < len(pairs); i += 2 {
		r.Header.Set(pairs[i], pairs[i+1])
	}
}

// sign signs as mockID does, with what the vectors have proven.
func sign(r *http.Request, body string) {
	claim, bad := readLog(r, []byte(body), "")
	if bad != nil {
		panic(bad.code)
	}
	r.Header.Set("Authorization", "LOG "+mockID+":"+claim.sign(mockSecret))
}

// ask makes a signed call of the project and decodes the answer into v.
func ask(t *testing.T, base, method, path, body string, v any) *http.Response {
	t.Helper()
	host := project + "." + strings.TrimPrefix(base, "http://")
	r := request(method, base+path, body)
	r.Host = host
	if body != "" {
		setHeaders(r, "Content-Type", "application/json", "x-log-bodyrawsize", jsonLen(body), "Content-MD5", upperMD5(body))
	}
	sign(r, body)
	return do(t, r, v)
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

// query makes a signed call of the orders' API and decodes the answer into v.
func query(t *testing.T, base string, v any, parameters ...string) *http.Response {
	t.Helper()
	q := url.Values{
		"Action": {"QueryDataTrackResultDownloadStatus"}, "Version": {rpcVersion}, "Format": {"JSON"}, "AccessKeyId": {mockID},
		"SignatureMethod": {"HMAC-SHA1"}, "SignatureVersion": {"1.0"}, "SignatureNonce": {rand.Text()},
		"Timestamp": {now().Format(rpcTime)}, "OrderId": {"11"}, "DownloadKeyId": {"key-1"},
	}
	for i := 0; i < len(parameters); i += 2 {
		q[parameters[i]] = []string{parameters[i+1]}
		if parameters[i+1] == "" {
			delete(q, parameters[i])
		}
	}
	q.Set("Signature", base64.StdEncoding.EncodeToString(mac(sha1.New, []byte(mockSecret+"&"), rpcText("GET", q))))
	r, err := http.NewRequest("GET", base+"/?"+q.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return do(t, r, v)
}

// visited asks the store for a path, signed by key.
func visited(t *testing.T, method, base, path string, headers ...string) got {
	t.Helper()
	r, err := http.NewRequest(method, base+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	setHeaders(r, "Date", now().Format(http.TimeFormat), "Accept-Encoding", "identity")
	setHeaders(r, headers...)
	return send(t, signedVisit(r))
}

// signedVisit signs as mockID does, for the bucket in the path.
func signedVisit(r *http.Request) *http.Request {
	claim, bad := readOSS(New(options()).visit(r), "")
	if bad != nil {
		panic(bad.code)
	}
	r.Header.Set("Authorization", "OSS "+mockID+":"+claim.sign(mockSecret))
	return r
}

// getJob asks for a job, which must be told.
func getJob(t *testing.T, base, name string) jobDescription {
	t.Helper()
	var d jobDescription
	if resp := ask(t, base, "GET", "/downloadjobs/"+name, "", &d); resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: status %d", name, resp.StatusCode)
	}
	return d
}

// got is what came of a request for a file.
type got struct {
	status int
	header http.Header
	body   string
	err    error
}

// fetch asks for a file by its URL.
func fetch(t *testing.T, method, url string, headers ...string) got {
	t.Helper()
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	setHeaders(r, "Accept-Encoding", "identity")
	setHeaders(r, headers...)
	return send(t, r)
}

func send(t *testing.T, r *http.Request) got {
	t.Helper()
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return got{resp.StatusCode, resp.Header, string(body), err}
}

// raw takes an answer that need not be JSON.
type raw string

func sha256Hex(text string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(text))) }

func sha256MAC(secret, text string) string {
	return hex.EncodeToString(mac(sha256.New, []byte(secret), text))
}
