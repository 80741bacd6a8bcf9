package sandbox

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
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
	if v != nil {
		if err := json.Unmarshal(text, v); err != nil {
			t.Fatalf("%s: %s", err, text)
		}
	}
	return resp
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
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return got{resp.StatusCode, resp.Header, string(body), err}
}
