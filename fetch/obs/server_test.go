package obs

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/fetch/sandbox"
)

var (
	keys      = Keys{AccessKey: "HUAWEIid", SecretKey: "SECRETcanary"}
	temporary = Keys{AccessKey: "HUAWEIid", SecretKey: "SECRETcanary", SecurityToken: "TOKENcanary+/=="}
)

const bucket = "obs-test-bucket"

// A server is the sandbox, which checks signatures. It records what it is asked.
type server struct {
	*sandbox.Cloud
	intercept func(http.ResponseWriter, *http.Request) bool // answers in its place, if true

	mu       sync.Mutex
	requests []*http.Request
}

// serve returns a server of objects, and a store that asks it with the bucket in
// the path. Whatever host the store is told to ask, it asks this server.
func serve(t testing.TB, objects map[string]string) (*server, *Store) {
	return serveTo(t, keys, objects)
}

func serveTo(t testing.TB, k Keys, objects map[string]string) (*server, *Store) {
	s := &server{Cloud: sandbox.New(sandbox.Options{AccessKeyID: k.AccessKey, AccessKeySecret: k.SecretKey, SecurityToken: k.SecurityToken})}
	s.AddBucket(bucket, sandbox.Bucket{})
	for key, body := range objects {
		s.AddObject(bucket, key, sandbox.File{Body: []byte(body)})
	}
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, h.Listener.Addr().String())
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return s, &Store{Endpoint: h.URL, Keys: StaticKeys(k), Client: &http.Client{Transport: transport}}
}

func (s *server) seen() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.requests = append(s.requests, r)
	s.mu.Unlock()
	if s.intercept == nil || !s.intercept(w, r) {
		s.Cloud.ServeHTTP(w, r)
	}
}

// only returns the one object of a bucket.
func only(t testing.TB, store *Store) fetch.Object {
	t.Helper()
	return fetchtest.Only(t, store.Objects(t.Context(), Selection{Bucket: bucket}))
}

// asking returns a store whose calls f answers.
func asking(f fetchtest.Transport) *Store {
	return &Store{Region: "cn-north-4", Keys: StaticKeys(temporary), Client: &http.Client{Transport: f}}
}

// read reads a range of an object that was not listed.
func read(t testing.TB, s *Store, key string) error {
	t.Helper()
	answer, err := unlisted(s, key).ReadRange(t.Context(), 4, 4, "")
	if err == nil {
		answer.Close()
	}
	return err
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message><RequestId>0000018A</RequestId></Error>", code, message)
}
