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
)

// A responder answers the n-th request to a store, counted from 1. It returns
// unanswered to have the store answer; what it changed in the headers of the
// answer or in the request then stays changed.
type responder func(s *store, w http.ResponseWriter, r *http.Request, n int) bool

// A store serves one file as OSS would, unless respond answers in its place. It
// counts the requests and the bytes that it sent.
type store struct {
	*httptest.Server
	count atomic.Int64 // requests
	sent  atomic.Int64 // bytes of bodies

	mu      sync.Mutex // a request may outlive the Fetch that made it
	body    []byte
	header  http.Header
	respond responder
	seen    []*http.Request
}

func serve(t testing.TB, body []byte) *store {
	s := &store{body: body}
	s.restore()
	s.Server = httptest.NewServer(http.HandlerFunc(s.answer))
	t.Cleanup(s.Close)
	return s
}

// restore has the store answer by itself, with the headers that fit its body.
func (s *store) restore() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.respond = nil
	s.header = http.Header{
		"Etag":                 {etagOf(s.body)},
		"X-Oss-Hash-Crc64ecma": {crcOf(s.body)},
		"Content-Type":         {"application/octet-stream"},
	}
}

// change has the store serve another body from now on, and respond otherwise.
func (s *store) change(body []byte, respond responder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.body, s.respond = body, respond
}

func etagOf(body []byte) string { return fmt.Sprintf(`"%X"`, md5.Sum(body)) }

func crcOf(body []byte) string { return fmt.Sprint(crc64.Checksum(body, crc64.MakeTable(crc64.ECMA))) }

func (s *store) answer(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	n := int(s.count.Add(1))
	s.seen = append(s.seen, r)
	maps.Copy(w.Header(), s.header)
	respond := s.respond
	s.mu.Unlock()
	w = &counting{w, s}
	if respond == nil || !respond(s, w, r, n) {
		s.serve(w, r)
	}
}

// serve answers with the body, or with the range of it that is asked for.
func (s *store) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	body := s.body
	s.mu.Unlock()
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

// requests returns the requests so far.
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

// A counting writer counts the bytes of bodies that were sent.
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
