package fetch_test

import (
	"bytes"
	"crypto/md5"
	"fmt"
	"hash/crc64"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tallyman/fetch"
	"tallyman/verify"
)

// A lie answers the n-th request, counted from 1, unless it leaves it to the
// store.
type lie func(s *store, w http.ResponseWriter, r *http.Request, n int) bool

// A store serves one file as OSS would, unless lie answers in its place.
type store struct {
	*httptest.Server
	count atomic.Int64 // requests
	sent  atomic.Int64 // bytes of bodies

	mu     sync.Mutex // a request may outlive the Fetch that made it
	body   []byte
	header http.Header
	lie    lie
	seen   []*http.Request
}

func serve(t testing.TB, body []byte) *store {
	s := &store{body: body}
	s.honest()
	s.Server = httptest.NewServer(http.HandlerFunc(s.answer))
	t.Cleanup(s.Close)
	return s
}

// honest makes the store tell the truth about its body.
func (s *store) honest() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lie = nil
	s.header = http.Header{
		"Etag":                 {etagOf(s.body)},
		"X-Oss-Hash-Crc64ecma": {crcOf(s.body)},
		"Content-Type":         {"application/octet-stream"},
	}
}

func etagOf(body []byte) string { return fmt.Sprintf(`"%X"`, md5.Sum(body)) }

func crcOf(body []byte) string { return fmt.Sprint(crc64.Checksum(body, verify.ECMA)) }

func (s *store) answer(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	n := int(s.count.Add(1))
	s.seen = append(s.seen, r)
	maps.Copy(w.Header(), s.header)
	lie := s.lie
	s.mu.Unlock()
	w = &counting{w, s}
	if lie == nil || !lie(s, w, r, n) {
		s.serve(w, r)
	}
}

// serve answers as it should.
func (s *store) serve(w http.ResponseWriter, r *http.Request) {
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(s.body))
}

// requests are those seen so far.
func (s *store) requests() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*http.Request{}, s.seen...)
}

func (s *store) ref(t testing.TB, name, promises string) fetch.Ref {
	t.Helper()
	return parseRef(t, s.URL+"/dir/"+name+promises)
}

func parseRef(t testing.TB, s string) fetch.Ref {
	t.Helper()
	ref, err := fetch.ParseRef(s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// counting counts the bytes of bodies that were sent.
type counting struct {
	http.ResponseWriter
	s *store
}

func (c *counting) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.s.sent.Add(int64(n))
	return n, err
}

func (c *counting) Unwrap() http.ResponseWriter { return c.ResponseWriter }
