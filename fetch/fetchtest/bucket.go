package fetchtest

import (
	"context"
	"iter"
	"net/http"
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
