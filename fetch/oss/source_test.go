package oss

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/verify"
)

// only returns the one object of a bucket.
func only(t testing.TB, store *Store) fetch.Object {
	t.Helper()
	var all []fetch.Object
	for o, err := range store.Objects(t.Context(), Selection{Bucket: bucket}) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, o)
	}
	if len(all) != 1 {
		t.Fatalf("got %d objects, want one", len(all))
	}
	return all[0]
}

const text = "0123456789"

// The SDK takes a 200 for a range, and so writes the whole object for each range.
// Here an answer says where its bytes begin.
func TestRanges(t *testing.T) {
	for _, c := range []struct {
		name     string
		body     string
		off, n   int64
		ignore   bool // the server ignores ranges
		want     string
		from     int64
		announce int64
	}{
		{"a range", text, 2, 3, false, "234", 2, 3},
		{"one byte", text, 0, 1, false, "0", 0, 1},
		{"to the end, whatever that is", text, 4, verify.Unknown, false, "456789", 4, 6},
		{"beyond the end, which by default brings all of the object", text, 5, 100, false, "56789", 5, 5},
		{"all that there is", text, 0, 10, false, text, 0, 10},
		{"of a store that ignores ranges", text, 2, 3, true, text, 0, 10},
		{"of an empty object", "", 0, 4, false, "", 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			md := md5.Sum([]byte(c.body))
			srv, store := serve(t, map[string]*object{"a": {body: c.body, header: map[string]string{"Content-MD5": base64.StdEncoding.EncodeToString(md[:])}}})
			srv.lie = func(w http.ResponseWriter, r *http.Request) bool {
				if c.ignore {
					r.Header.Del("Range")
				}
				return false
			}
			o := only(t, store)
			if want := (verify.Want{Size: int64(len(c.body)), ETag: fmt.Sprintf(`"%X"`, md)}); o.Want != want {
				t.Errorf("the listing promised %+v, want %+v", o.Want, want)
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
			want := verify.Want{
				Size: int64(len(c.body)), ETag: fmt.Sprintf(`"%X"`, md), MD5: hex.EncodeToString(md[:]),
				CRC64: fmt.Sprint(crc64.Checksum([]byte(c.body), verify.ECMA)),
			}
			if answer.Want != want {
				t.Errorf("promised %+v, want %+v", answer.Want, want)
			}
		})
	}
}

// The SDK sends no If-Match, so the ranges of one download may be of several
// versions.
func TestAnObjectThatChangedIsErrChanged(t *testing.T) {
	o := &object{body: text}
	srv, store := serve(t, map[string]*object{"a": o})
	listed := only(t, store)
	o.body = "another one"
	if _, err := listed.Source.ReadRange(t.Context(), 0, 4, ""); !errors.Is(err, fetch.ErrChanged) {
		t.Errorf("since it was listed: got %v, want ErrChanged", err)
	}
	if _, err := listed.Source.ReadRange(t.Context(), 4, 4, fmt.Sprintf(`"%X"`, md5.Sum([]byte(o.body)))); err != nil {
		t.Errorf("the caller's version counts: %v", err)
	}
	o.header = map[string]string{"ETag": `W/"weak"`}
	if got := fetchtest.ReadAll(t, only(t, store), 0, 4); got != "anot" {
		t.Errorf("by a weak ETag, which never matches: got %q", got)
	}
	delete(srv.objects, "a")
	if _, err := listed.Source.ReadRange(t.Context(), 0, 4, ""); !errors.Is(err, fetch.ErrNotFound) {
		t.Errorf("deleted: got %v, want ErrNotFound", err)
	}
}

// The ETag of an object that was appended to looks like a hash of its bytes.
func TestAnETagThatIsNoHashIsWeak(t *testing.T) {
	const etag = `"0F7230CAA4BE94CCBDC99C5500000000"`
	for kind, want := range map[string]string{"Appendable": "W/" + etag, "Normal": etag, "Multipart": etag} {
		o := &object{body: text, header: map[string]string{"ETag": etag, "x-oss-object-type": kind}}
		_, store := serve(t, map[string]*object{"a": o})
		listed := only(t, store)
		for _, version := range []string{"", listed.Want.ETag} {
			answer, err := listed.Source.ReadRange(t.Context(), 0, 4, version)
			if err != nil {
				t.Fatal(err)
			}
			answer.Close()
			if listed.Want.ETag != want || answer.Want.ETag != want {
				t.Errorf("%s: listed as %s, told of as %s", kind, listed.Want.ETag, answer.Want.ETag)
			}
		}
		o.header["ETag"] = `"1F7230CAA4BE94CCBDC99C5500000000"`
		if _, err := listed.Source.ReadRange(t.Context(), 4, 4, want); !errors.Is(err, fetch.ErrChanged) {
			t.Errorf("%s: of another version: got %v", kind, err)
		}
	}
}

// A link is listed with its own size and ETag, and read with those of its target.
func TestASymbolicLinkIsReadAsItsTarget(t *testing.T) {
	target := &object{body: text}
	md := md5.Sum([]byte(text))
	srv, store := serve(t, map[string]*object{"a": {header: map[string]string{"x-oss-object-type": "Symlink", "ETag": `"AAAA30CAA4BE94CCBDC99C5500000000"`}}})
	link := only(t, store)
	if link.Want != verify.NoPromise() {
		t.Errorf("the listing promised %+v", link.Want)
	}
	target.header = map[string]string{"x-oss-object-type": "Symlink", "x-oss-hash-crc64ecma": "0", "Content-MD5": base64.StdEncoding.EncodeToString(md[:])}
	srv.objects["a"] = target
	want := verify.Want{Size: int64(len(text)), ETag: fmt.Sprintf(`W/"%X"`, md), MD5: hex.EncodeToString(md[:])}
	for _, version := range []string{"", want.ETag} {
		answer, err := link.Source.ReadRange(t.Context(), 0, 4, version)
		if err != nil {
			t.Fatal(err)
		}
		answer.Close()
		if answer.Want != want {
			t.Errorf("promised %+v, want %+v", answer.Want, want)
		}
	}
	target.body = "another"
	if _, err := link.Source.ReadRange(t.Context(), 4, 4, want.ETag); !errors.Is(err, fetch.ErrChanged) {
		t.Errorf("once it leads elsewhere: got %v", err)
	}
}

// The SDK sends Go's Accept-Encoding, so an object that is stored compressed
// arrives decompressed, and fails the SDK's own check.
func TestBytesArriveAsTheyAreStored(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte(strings.Repeat(text, 100)))
	z.Close()
	srv, store := serve(t, map[string]*object{"a": {body: b.String(), header: map[string]string{"Content-Encoding": "gzip"}}})
	store.Client = nil // whose transport asks for compression by itself
	o := only(t, store)
	for _, n := range []int64{verify.Unknown, 0, int64(b.Len())} {
		if got := fetchtest.ReadAll(t, o, 0, n); got != b.String() {
			t.Errorf("%d bytes asked for: got %d, want the %d that are stored", n, len(got), b.Len())
		}
	}
	for _, r := range srv.seen() {
		if got := r.Header.Get("Accept-Encoding"); got != "identity" {
			t.Errorf("%s: Accept-Encoding is %q", r.URL, got)
		}
		if got, want := r.Header.Get("x-oss-range-behavior") == "standard", r.Header.Get("Range") != ""; got != want {
			t.Errorf("%s: standard ranges: %t, want %t", r.URL, got, want)
		}
	}
}

// The SDK appends whatever comes. Here a range that was not asked for is an
// error.
func TestARangeThatWasNotAskedForIsRefused(t *testing.T) {
	for _, span := range []string{"bytes 0-3/10", "bytes 2-9/10", "bytes 2-4/4", "bytes 2-1/10", "2-4/10", ""} {
		srv, store := serve(t, map[string]*object{"a": {body: text}})
		o := only(t, store)
		srv.lie = func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Content-Range", span)
			w.WriteHeader(http.StatusPartialContent)
			io.WriteString(w, "234")
			return true
		}
		if _, err := o.Source.ReadRange(t.Context(), 2, 3, ""); !errors.Is(err, fetch.ErrTemporary) {
			t.Errorf("Content-Range %q: got %v", span, err)
		}
	}
}

func TestABodyCutShortIsAnError(t *testing.T) {
	srv, store := serve(t, map[string]*object{"a": {body: text}})
	o := only(t, store)
	srv.lie = func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Length", "10")
		io.WriteString(w, "0123")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	answer, err := o.Source.ReadRange(t.Context(), 0, 10, "")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Close()
	if _, err := io.ReadAll(answer); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v, want io.ErrUnexpectedEOF", err)
	}
}

func TestCancelEndsARead(t *testing.T) {
	srv, store := serve(t, map[string]*object{"a": {body: text}})
	o := only(t, store)
	ctx, cancel := context.WithCancel(t.Context())
	srv.lie = func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Length", "10")
		io.WriteString(w, "0123")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		return true
	}
	answer, err := o.Source.ReadRange(ctx, 0, 10, "")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Close()
	cancel()
	if _, err := io.ReadAll(answer); !errors.Is(err, context.Canceled) {
		t.Errorf("in the body: got %v", err)
	}
	if _, err := o.Source.ReadRange(ctx, 0, 10, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("before it: got %v", err)
	}
}

func TestManyMayReadAtOnce(t *testing.T) {
	_, store := serve(t, map[string]*object{"a": {body: text}})
	o := only(t, store)
	var wg sync.WaitGroup
	for i := range int64(10) {
		wg.Go(func() {
			answer, err := o.Source.ReadRange(t.Context(), i, 1, "")
			if err != nil {
				t.Error(err)
				return
			}
			defer answer.Close()
			if b, _ := io.ReadAll(answer); string(b) != text[i:i+1] {
				t.Errorf("at %d: %q", i, b)
			}
		})
	}
	wg.Wait()
}

// The SDK's downloads skip their check after a resume, leave the end of an older
// file behind, leak goroutines when a range fails, ignore errors of Close and
// sync nothing. Its readers check nothing, and its listings decode what is not
// encoded. So the SDK only forms and signs requests, and nothing of it that reads
// is called.
func TestTheSDKOnlySigns(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	reads := regexp.MustCompile(`\.(DownloadFile|(Do)?GetObject\w*|ListObjects\w*)\(`)
	calls := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if found := reads.Find(b); found != nil {
			t.Errorf("%s calls %s", name, found)
		}
		calls += bytes.Count(b, []byte(".Do(http.MethodGet"))
	}
	if calls != 1 {
		t.Errorf("%d calls of Do, want one", calls)
	}
}
