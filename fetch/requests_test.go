package fetch_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"tallyman/fetch"
	"tallyman/verify"
)

// allowed are the headers that a request may have: no signature covers them.
var allowed = []string{"Range", "If-Match", "Accept-Encoding", "User-Agent"}

func TestRequestsHaveOnlyHeadersThatASignatureAllows(t *testing.T) {
	for _, tt := range []struct {
		name    string
		respond responder
	}{
		{"without a fault", nil},
		{"redirected", redirect(func(own string) string { return own + "/elsewhere" })},
		{"refusing If-Match", refuseIfMatch},
		{"refusing ranges", refuseRanges("")},
		{"failing", func(s *store, w http.ResponseWriter, r *http.Request, n int) bool {
			return n%3 == 0 && cut(500)(s, w, r, n)
		}},
	} {
		s := serve(t, rows)
		s.respond = tt.respond
		f, _ := newFetcher(t, t.TempDir())
		f.PartSize = 1000
		ref := s.ref(t, "export.csv", "?Expires=1&OSSAccessKeyId=AK&Signature=CANARY")
		if _, err := f.Fetch(context.Background(), ref); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		for _, r := range s.requests() {
			if r.Method != http.MethodGet || r.Header.Get("Accept-Encoding") != "identity" {
				t.Errorf("%s: %s with Accept-Encoding %q", tt.name, r.Method, r.Header.Get("Accept-Encoding"))
			}
			for name := range r.Header {
				if !slices.Contains(allowed, name) {
					t.Errorf("%s: a request has %s", tt.name, name)
				}
			}
		}
	}
}

func TestEachByteIsRequestedOnceAndOfOneVersion(t *testing.T) {
	s := serve(t, rows)
	f, _ := newFetcher(t, t.TempDir())
	f.PartSize = 1000
	if _, err := f.Fetch(context.Background(), s.ref(t, "export.csv", "")); err != nil {
		t.Fatal(err)
	}
	asked := make([]int, len(rows))
	for i, r := range s.requests() {
		if got, want := r.Header.Get("If-Match"), etagOf(rows); i > 0 && got != want || i == 0 && got != "" {
			t.Errorf("request %d has If-Match %q", i, got)
		}
		first, last := span(t, r)
		if first < 0 || last >= len(rows) {
			t.Fatalf("request %d asks for %d-%d of %d", i, first, last, len(rows))
		}
		for j := first; j <= last; j++ {
			asked[j]++
		}
	}
	if i := slices.IndexFunc(asked, func(n int) bool { return n != 1 }); i >= 0 {
		t.Errorf("byte %d was asked for %d times", i, asked[i])
	}
}

func span(t *testing.T, r *http.Request) (first, last int) {
	t.Helper()
	if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &first, &last); err != nil {
		t.Fatalf("Range %q: %v", r.Header.Get("Range"), err)
	}
	return first, last
}

func TestNoRangeGoesBeyondASizeThatWasPromised(t *testing.T) {
	s := serve(t, rows)
	f, _ := newFetcher(t, t.TempDir())
	ref := s.ref(t, "export.csv", fmt.Sprintf("#size=%d", len(rows)))
	if _, err := f.Fetch(context.Background(), ref); err != nil {
		t.Fatal(err)
	}
	if _, last := span(t, s.requests()[0]); last != len(rows)-1 || s.count.Load() != 1 {
		t.Errorf("asked up to byte %d of %d, in %d requests", last, len(rows), s.count.Load())
	}
}

func TestWeakETagIsNeverSent(t *testing.T) {
	s := serve(t, rows)
	s.header.Set("ETag", `W/"1-2"`)
	f, _ := newFetcher(t, t.TempDir())
	f.PartSize = 1000
	if _, err := f.Fetch(context.Background(), s.ref(t, "export.csv", "")); err != nil {
		t.Fatal(err)
	}
	for _, r := range s.requests() {
		if r.Header.Get("If-Match") != "" {
			t.Error("If-Match with a weak ETag never matches")
		}
	}
}

func TestNoMoreRequestsAreInFlightThanParallel(t *testing.T) {
	for _, parallel := range []int{1, 3} {
		s := serve(t, bytes.Repeat(rows, 20))
		s.respond = func(*store, http.ResponseWriter, *http.Request, int) bool {
			time.Sleep(time.Millisecond) // so that they overlap
			return unanswered
		}
		f, tracker := newFetcher(t, t.TempDir())
		f.PartSize, f.Parallel = 1000, parallel
		if _, err := f.Fetch(context.Background(), s.ref(t, "export.csv", "")); err != nil {
			t.Fatal(err)
		}
		if _, most := tracker.counts(); most != parallel {
			t.Errorf("%d requests were in flight, want %d", most, parallel)
		}
	}
}

func TestProgressAddsUpToTheObject(t *testing.T) {
	s := serve(t, rows)
	s.respond = func(s *store, w http.ResponseWriter, r *http.Request, n int) bool {
		return n%2 == 0 && cut(700)(s, w, r, n)
	}
	f, _ := newFetcher(t, t.TempDir())
	f.PartSize = 1000
	done := watchProgress(f)
	if _, err := f.Fetch(context.Background(), s.ref(t, "export.csv", "")); err != nil {
		t.Fatal(err)
	}
	if bytes, size := done(); bytes != int64(len(rows)) || size != int64(len(rows)) {
		t.Errorf("told of %d bytes of %d, want %d", bytes, size, len(rows))
	}
}

func TestAMismatchInTheFirstAnswerEndsTheRequests(t *testing.T) {
	s := serve(t, rows)
	f, _ := newFetcher(t, t.TempDir())
	f.PartSize = 1000
	_, err := f.Fetch(context.Background(), s.ref(t, "export.csv", "#size=9"))
	if mismatch, ok := errors.AsType[*verify.Mismatch](err); s.count.Load() != 1 || !ok || mismatch.Check != verify.CheckSize {
		t.Errorf("%d requests, %v, want 1 and a mismatch of %s", s.count.Load(), err, verify.CheckSize)
	}
}

// Who asks for an hour is not asked again meanwhile: the caller may wait for so long.
func TestAStoreThatAsksForAnHourEndsTheAttempt(t *testing.T) {
	t.Parallel()
	s := serve(t, rows)
	s.respond = refuse(503, "", "Retry-After", "3600")
	f, _ := newFetcher(t, t.TempDir())
	if _, err := f.Fetch(t.Context(), s.ref(t, "export.csv", "")); fetch.RetryAfter(err) != time.Hour || s.count.Load() != 1 {
		t.Errorf("%v after %d requests", err, s.count.Load())
	}
}
