package fetchtest

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"strings"
	"testing"
	"time"

	"tallyman/fetch"
	"tallyman/verify"
)

// A Bucket tests the package of an object store for what all such packages
// promise: which objects are listed, what a read of a range yields, and which
// error each failure becomes.
type Bucket struct {
	Scheme    string  // of the references: oss
	Name      string  // of the bucket
	ListCall  string  // the name of the call that lists: ListObjects
	Next      string  // the element of a page that says how to go on, without its end tag
	NextParam string  // the query parameter of calls for further pages
	Throttled string  // the code of a refusal to a caller that is too fast
	Retries   []Retry // besides those of every store

	// Listed and Answered return what is promised of an object by a listing
	// and by an answer to a read.
	Listed, Answered func(body string) verify.Want

	// Serve starts a server with a bucket of those objects, by key.
	Serve func(t testing.TB, objects map[string]string) BucketServer

	// New makes a store whose calls that client makes, to an endpoint or, if that
	// is "", to the vendor's. It signs with keys whose secrets have Canary in them.
	New func(endpoint string, client *http.Client) BucketStore
}

// location is how errors name the bucket.
func (b Bucket) location() string { return b.Scheme + "://" + b.Name + "/" }

// A BucketServer serves a bucket.
type BucketServer struct {
	Put    func(key, body string)
	Remove func(key string)

	// Intercept has f answer each request from now on. f returns false to leave
	// the answer to the server.
	Intercept func(f func(http.ResponseWriter, *http.Request) bool)

	Requests func() []*http.Request         // those so far
	Open     func(pageSize int) BucketStore // a store that asks the server
}

// A BucketStore is a store of objects, as far as one bucket goes.
type BucketStore struct {
	List func(ctx context.Context, prefix string) iter.Seq2[fetch.Object, error]

	// Source reads an object whose ETag was listed as "etag".
	Source func(key string) fetch.Source
}

// A Retry is an answer to a call that lists.
type Retry struct {
	Name       string
	Status     int
	RetryAfter string // the header, if any
	Code       string
	Calls      int           // how many are made in all
	Wait       time.Duration // between all of them
	Kind       error
}

// CheckAddress checks the URL of the first request for the objects of a reference,
// up to its query, and what its Authorization begins with.
func CheckAddress(t *testing.T, ref string, provider func(*http.Client) fetch.Provider, url, authorization string) {
	t.Helper()
	stop := errors.New("far enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	var req *http.Request
	export, err := provider(&http.Client{Transport: Transport(func(r *http.Request) (*http.Response, error) {
		req = r
		cancel(stop)
		return nil, stop
	})}).Export(ctx, ParseRef(t, ref))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Names(export.Objects); !errors.Is(err, stop) {
		t.Fatalf("got %v, want %v", err, stop)
	}
	if got, _, _ := strings.Cut(req.URL.String(), "?"); got != url {
		t.Errorf("asked %s, want %s", got, url)
	}
	if got := req.Header.Get("Authorization"); !strings.HasPrefix(got, authorization) {
		t.Errorf("signed with %s, want %s", got, authorization)
	}
}

// CheckUnsupported checks that a provider can't export a reference, with an error
// that begins with a message. It is noRegion if the message is that the region is
// not known.
func CheckUnsupported(t *testing.T, p fetch.Provider, ref, message string, noRegion error) {
	t.Helper()
	_, err := p.Export(t.Context(), ParseRef(t, ref))
	if !errors.Is(err, errors.ErrUnsupported) || !strings.HasPrefix(err.Error(), message) {
		t.Errorf("got %v, want %s", err, message)
	}
	if got, want := errors.Is(err, noRegion), strings.Contains(message, "is not known"); got != want {
		t.Errorf("got %v: is it %v? %t, want %t", err, noRegion, got, want)
	}
}
