package fetchtest

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"tallyman/fetch"
	"tallyman/verify"
)

const digits = "0123456789"

// The SDKs take a 200 for a 206, and so the whole object for each range.
func (b Bucket) ranges(t *testing.T) {
	for _, c := range []struct {
		name     string
		body     string
		off, n   int64
		ignore   bool // the server ignores ranges
		want     string
		from     int64
		announce int64
	}{
		{"a range", digits, 2, 3, false, "234", 2, 3},
		{"the first byte", digits, 0, 1, false, "0", 0, 1},
		{"one byte", digits, 7, 1, false, "7", 7, 1},
		{"to the end, whatever that is", digits, 4, verify.Unknown, false, "456789", 4, 6},
		{"beyond the end", digits, 5, 100, false, "56789", 5, 5},
		{"all that there is", digits, 0, 10, false, digits, 0, 10},
		{"of a store that ignores ranges", digits, 2, 3, true, digits, 0, 10},
		{"of an empty object", "", 0, 4, false, "", 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := b.Serve(t, map[string]string{"a": c.body})
			server.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
				if c.ignore {
					r.Header.Del("Range")
				}
				return false
			})
			o := Only(t, server.Open(0).List(t.Context(), ""))
			if diff := gocmp.Diff(b.Listed(c.body), o.Want); diff != "" {
				t.Errorf("promised by the listing (-want +got)\n%s", diff)
			}
			answer, err := o.Source.ReadRange(t.Context(), c.off, c.n, "")
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Close()
			got, err := io.ReadAll(answer)
			if err != nil || string(got) != c.want || answer.Off != c.from || answer.Len != c.announce {
				t.Errorf("got %q from %d, %d announced, %v, want %q from %d", got, answer.Off, answer.Len, err, c.want, c.from)
			}
			answer.Want.Modified = "" // it depends on the clock
			if diff := gocmp.Diff(b.Answered(c.body), answer.Want); diff != "" {
				t.Errorf("promised by the answer (-want +got)\n%s", diff)
			}
		})
	}
}

// The SDKs send no If-Match unless they are told to, so that the ranges of one
// download may be of several versions.
func (b Bucket) changed(t *testing.T) {
	server := b.Serve(t, map[string]string{"a": digits})
	listed := Only(t, server.Open(0).List(t.Context(), ""))
	server.Put("a", "another one")
	if _, err := listed.Source.ReadRange(t.Context(), 0, 4, ""); !errors.Is(err, fetch.ErrChanged) {
		t.Errorf("since it was listed: got %v, want ErrChanged", err)
	}
	answer, err := listed.Source.ReadRange(t.Context(), 4, 4, b.Answered("another one").ETag)
	if err != nil {
		t.Fatalf("the caller's version counts: %v", err)
	}
	answer.Close()
	server.Remove("a")
	if _, err := listed.Source.ReadRange(t.Context(), 0, 4, ""); !errors.Is(err, fetch.ErrNotFound) {
		t.Errorf("deleted: got %v, want ErrNotFound", err)
	}
}

// Go's transport asks for compression by itself. An object that is stored
// compressed would then arrive decompressed.
func (b Bucket) encoded(t *testing.T) {
	var stored bytes.Buffer
	z := gzip.NewWriter(&stored)
	io.WriteString(z, strings.Repeat(digits, 100))
	z.Close()
	server := b.Serve(t, map[string]string{"a.json": stored.String()})
	server.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/a.json") {
			w.Header().Set("Content-Encoding", "gzip")
		}
		return false
	})
	o := Only(t, server.Open(0).List(t.Context(), ""))
	for _, n := range []int64{verify.Unknown, 0, int64(stored.Len())} {
		if got := ReadAll(t, o, 0, n); got != stored.String() {
			t.Errorf("%d bytes asked for: got %d, want the %d that are stored", n, len(got), stored.Len())
		}
	}
	for _, r := range server.Requests() {
		if got := r.Header.Get("Accept-Encoding"); got != "identity" {
			t.Errorf("%s: Accept-Encoding is %q", r.URL, got)
		}
	}
}

func (b Bucket) otherRanges(t *testing.T) {
	for _, span := range []string{"bytes 0-3/10", "bytes 2-9/10", "bytes 2-4/4", "bytes 2-1/10", "2-4/10", ""} {
		server := b.Serve(t, map[string]string{"a": digits})
		o := Only(t, server.Open(0).List(t.Context(), ""))
		server.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Range", span)
			w.WriteHeader(http.StatusPartialContent)
			io.WriteString(w, "234")
			return true
		})
		if _, err := o.Source.ReadRange(t.Context(), 2, 3, ""); !errors.Is(err, fetch.ErrTemporary) {
			t.Errorf("Content-Range %q: got %v, want ErrTemporary", span, err)
		}
	}
}

// halfRead begins to read an object of ten bytes, of which the server sends four
// and then calls then.
func (b Bucket) halfRead(ctx context.Context, t *testing.T, then func(*http.Request)) (fetch.Object, *fetch.Range) {
	t.Helper()
	server := b.Serve(t, map[string]string{"a": digits})
	o := Only(t, server.Open(0).List(t.Context(), ""))
	server.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Length", "10")
		io.WriteString(w, "0123")
		w.(http.Flusher).Flush()
		then(r)
		panic(http.ErrAbortHandler)
	})
	answer, err := o.Source.ReadRange(ctx, 0, 10, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Close() })
	return o, answer
}

func (b Bucket) cutShort(t *testing.T) {
	_, answer := b.halfRead(t.Context(), t, func(*http.Request) {})
	if _, err := io.ReadAll(answer); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v, want io.ErrUnexpectedEOF", err)
	}
}

func (b Bucket) cancelledRead(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	o, answer := b.halfRead(ctx, t, func(r *http.Request) { <-r.Context().Done() })
	cancel()
	if _, err := io.ReadAll(answer); !errors.Is(err, context.Canceled) {
		t.Errorf("in the body: got %v, want context.Canceled", err)
	}
	if _, err := o.Source.ReadRange(ctx, 0, 10, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("before it: got %v, want context.Canceled", err)
	}
}

func (b Bucket) parallel(t *testing.T) {
	o := Only(t, b.Serve(t, map[string]string{"a": digits}).Open(0).List(t.Context(), ""))
	var wg sync.WaitGroup
	for i := range int64(10) {
		wg.Go(func() {
			answer, err := o.Source.ReadRange(t.Context(), i, 1, "")
			if err != nil {
				t.Error(err)
				return
			}
			defer answer.Close()
			if got, _ := io.ReadAll(answer); string(got) != digits[i:i+1] {
				t.Errorf("at %d: %q", i, got)
			}
		})
	}
	wg.Wait()
}
