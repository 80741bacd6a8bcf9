package sign

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"tallyman/fetch/sandbox/internal/apierr"
)

const (
	testID     = "mockAccessKeyID"
	testSecret = "mockAccessKeySecret"
	emptyHash  = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// A tampering changes one thing in a request that was let in.
type tampering struct {
	of, how string // of which vector
	change  func(*http.Request)
	status  int
	code    string
}

// wantError reports a result that is not the error of a tampering. An error
// without a code is none.
func wantError(t *testing.T, row tampering, got *apierr.Error) {
	t.Helper()
	if got == nil {
		got = &apierr.Error{}
	}
	if got.Status != row.status || got.Code != row.code {
		t.Errorf("%s with %s: got %+v, want %d %s", row.of, row.how, got, row.status, row.code)
	}
}

func wantAccepted(t *testing.T, name string, got *apierr.Error) {
	t.Helper()
	if got != nil {
		t.Errorf("%s: got %+v, want no error", name, got)
	}
}

// setHeader sets a header, or removes it where value is "".
func setHeader(name, value string) func(*http.Request) {
	return func(r *http.Request) { setHeaders(r, name, value) }
}

func setHeaders(r *http.Request, pairs ...string) {
	for i := 0; i < len(pairs); i += 2 {
		r.Header.Set(pairs[i], pairs[i+1])
		if pairs[i+1] == "" {
			r.Header.Del(pairs[i])
		}
	}
}

// authorization replaces a part of the Authorization header.
func authorization(old, new string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, new, 1))
	}
}

func setPath(more string) func(*http.Request)   { return func(r *http.Request) { r.URL.Path += more } }
func setHost(host string) func(*http.Request)   { return func(r *http.Request) { r.Host = host } }
func setMethod(name string) func(*http.Request) { return func(r *http.Request) { r.Method = name } }
func addQuery(more string) func(*http.Request) {
	return func(r *http.Request) { r.URL.RawQuery += more }
}

func parsed(t *testing.T, layout, text string) time.Time {
	t.Helper()
	at, err := time.Parse(layout, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
