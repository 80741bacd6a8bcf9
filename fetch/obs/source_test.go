package obs

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/fetch/sandbox"
	"tallyman/verify"
)

const text = "0123456789"

// The SDK sends no range of one byte, and takes a 200 for a 206.
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
		{"the first byte", text, 0, 1, false, "0", 0, 1},
		{"one byte", text, 7, 1, false, "7", 7, 1},
		{"to the end, whatever that is", text, 4, verify.Unknown, false, "456789", 4, 6},
		{"beyond the end", text, 5, 100, false, "56789", 5, 5},
		{"all that there is", text, 0, 10, false, text, 0, 10},
		{"of a store that ignores ranges", text, 2, 3, true, text, 0, 10},
		{"of an empty object", "", 0, 4, false, "", 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			sum := md5.Sum([]byte(c.body))
			srv, store := serve(t, map[string]string{"a": c.body})
			srv.UpdateObject(bucket, "a", func(f *sandbox.File) { f.Faults.NoRange = c.ignore })
			o := only(t, store)
			if want := (verify.Want{Size: int64(len(c.body)), ETag: fmt.Sprintf(`W/"%x"`, sum)}); o.Want != want {
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
			want := verify.Want{Size: int64(len(c.body)), ETag: fmt.Sprintf(`"%x"`, sum), CRC64: fmt.Sprint(crc64.Checksum([]byte(c.body), verify.ECMA))}
			if answer.Want != want {
				t.Errorf("promised %+v, want %+v", answer.Want, want)
			}
		})
	}
}

func TestAnETagThatIsNoHashIsWeak(t *testing.T) {
	for _, header := range []string{
		"x-obs-server-side-encryption: kms", "x-obs-server-side-encryption: AES256", "x-amz-server-side-encryption: aws:kms",
		"x-obs-server-side-encryption-customer-algorithm: AES256", "x-amz-server-side-encryption-customer-algorithm: AES256",
		"x-obs-object-type: Appendable", "x-obs-object-type: Normal",
	} {
		t.Run(header, func(t *testing.T) {
			srv, store := serve(t, map[string]string{"a": text})
			o := only(t, store)
			srv.lie = func(w http.ResponseWriter, r *http.Request) bool {
				name, value, _ := strings.Cut(header, ": ")
				w.Header().Set(name, value)
				return false
			}
			etag := fmt.Sprintf(`"%x"`, md5.Sum([]byte(text)))
			if !strings.HasSuffix(header, "Normal") {
				etag = "W/" + etag
			}
			for _, version := range []string{"", etag} {
				answer, err := o.Source.ReadRange(t.Context(), 0, 4, version)
				if err != nil {
					t.Fatal(err)
				}
				answer.Close()
				if answer.Want.ETag != etag {
					t.Errorf("got %s, want %s", answer.Want.ETag, etag)
				}
			}
			srv.AddObject(bucket, "a", sandbox.File{Body: []byte("another")})
			if _, err := o.Source.ReadRange(t.Context(), 0, 4, etag); !errors.Is(err, fetch.ErrChanged) {
				t.Errorf("of another version: got %v", err)
			}
		})
	}
}

// The SDK sends no If-Match unless it is told to, so the ranges of one download
// may be of several versions.
func TestAnObjectThatChangedIsErrChanged(t *testing.T) {
	srv, store := serve(t, map[string]string{"a": text})
	listed := only(t, store)
	srv.AddObject(bucket, "a", sandbox.File{Body: []byte("another one")})
	if _, err := listed.Source.ReadRange(t.Context(), 0, 4, ""); !errors.Is(err, fetch.ErrChanged) {
		t.Errorf("since it was listed: got %v, want ErrChanged", err)
	}
	if _, err := listed.Source.ReadRange(t.Context(), 4, 4, fmt.Sprintf(`"%x"`, md5.Sum([]byte("another one")))); err != nil {
		t.Errorf("the caller's version counts: %v", err)
	}
	srv.RemoveObject(bucket, "a")
	if _, err := listed.Source.ReadRange(t.Context(), 0, 4, ""); !errors.Is(err, fetch.ErrNotFound) {
		t.Errorf("deleted: got %v, want ErrNotFound", err)
	}
}

func TestIfMatchHasTheFormOfTheSignature(t *testing.T) {
	etag := fmt.Sprintf("%x", md5.Sum([]byte(text)))
	for way, as := range ways {
		srv, store := serve(t, map[string]string{"a": text})
		want := `"` + etag + `"`
		if as.Signature == "" && as.Endpoint != "" {
			want = etag
		}
		fetchtest.ReadAll(t, only(t, along(as, store)), 0, 4)
		if got := srv.seen()[1].Header.Get("If-Match"); got != want {
			t.Errorf("%s: got %s, want %s", way, got, want)
		}
	}
}

func TestAWeakETagOfTheStoreIsNotSent(t *testing.T) {
	srv, store := serve(t, map[string]string{"a": text})
	at, err := store.address("", bucket)
	if err != nil {
		t.Fatal(err)
	}
	o := fetch.Object{Source: store.source(at, "a", `W/"weak"`)}
	if got := fetchtest.ReadAll(t, o, 0, 4); got != "0123" || srv.seen()[0].Header.Get("If-Match") != "" {
		t.Errorf("got %q, %v", got, srv.seen()[0].Header)
	}
}

func TestAnArchivedObjectIsRefusedWithAHint(t *testing.T) {
	for class, want := range map[string]string{
		"Archive": "restore it first", "DeepColdArchive": "restore it first", "IA": "",
	} {
		srv, store := serve(t, nil)
		srv.AddObject(bucket, "a", sandbox.File{Body: []byte(text), StorageClass: class})
		answer, err := only(t, store).Source.ReadRange(t.Context(), 0, 4, "")
		if want == "" && err == nil {
			answer.Close()
			continue
		}
		if !errors.Is(err, fetch.ErrRefused) || !strings.Contains(err.Error(), "InvalidObjectState") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", class, err)
		}
	}
}

func TestBytesArriveAsTheyAreStored(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte(strings.Repeat(text, 100)))
	z.Close()
	srv, store := serve(t, nil)
	srv.AddObject(bucket, "a.json", sandbox.File{Body: b.Bytes(), ContentEncoding: "gzip"})
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
	}
}

func TestARangeThatWasNotAskedForIsRefused(t *testing.T) {
	for _, span := range []string{"bytes 0-3/10", "bytes 2-9/10", "bytes 2-4/4", "bytes 2-1/10", "2-4/10", ""} {
		srv, store := serve(t, map[string]string{"a": text})
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
	srv, store := serve(t, map[string]string{"a": text})
	srv.UpdateObject(bucket, "a", func(f *sandbox.File) { f.Faults.Cut = sandbox.Cut{After: 4, Times: 1} })
	answer, err := only(t, store).Source.ReadRange(t.Context(), 0, 10, "")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Close()
	if _, err := io.ReadAll(answer); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v, want io.ErrUnexpectedEOF", err)
	}
}

// The SDK has one context for all calls of a client, and its waits between tries
// ignore it.
func TestCancelEndsARead(t *testing.T) {
	srv, store := serve(t, map[string]string{"a": text})
	srv.UpdateObject(bucket, "a", func(f *sandbox.File) { f.Faults.Stall = sandbox.Stall{After: 4, Times: -1} })
	o := only(t, store)
	ctx, cancel := context.WithCancel(t.Context())
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

// The SDK would retry by itself, with the date and the signature of the first
// try.
func TestARangeIsAskedForOnce(t *testing.T) {
	for _, status := range []int{500, 503, 301, 307, 403} {
		srv, store := serve(t, nil)
		srv.lie = func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Location", store.Endpoint+"/elsewhere")
			refuse(w, status, "", "")
			return true
		}
		if err := read(t, store, "a"); err == nil || len(srv.seen()) != 1 {
			t.Errorf("%d: %v, asked %d times", status, err, len(srv.seen()))
		}
	}
	n := 0
	if err := read(t, asking(func(*http.Request) (*http.Response, error) { n++; return nil, io.ErrUnexpectedEOF }), "a"); !errors.Is(err, fetch.ErrTemporary) || n != 1 {
		t.Errorf("unreachable: %v, asked %d times", err, n)
	}
}

// The SDK would swallow the panic and go on without an answer.
func TestAPanicOfTheTransportIsNotSwallowed(t *testing.T) {
	defer func() {
		if recover() != "broken" {
			t.Error("nobody heard of it")
		}
	}()
	read(t, asking(func(*http.Request) (*http.Response, error) { panic("broken") }), "a")
}

// A key may consist of blanks, and the SDK refuses that.
func TestAKeyThatTheSDKRefusesIsAnError(t *testing.T) {
	_, store := serve(t, map[string]string{" ": "x"})
	if _, err := only(t, store).Source.ReadRange(t.Context(), 0, 1, ""); err == nil || !strings.Contains(err.Error(), "GetObject obs://"+bucket+"/ : sign: Key is empty") {
		t.Errorf("got %v", err)
	}
}

func TestManyMayReadAtOnce(t *testing.T) {
	_, store := serve(t, map[string]string{"a": text})
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

// The SDK's downloads check neither for a 206 nor a checksum, and its log, if it
// is on, has signed URLs. So the SDK only forms and signs requests.
func TestTheSDKOnlySigns(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	called := regexp.MustCompile(`\b(?:obs|client)\.([A-Z]\w*)\(`)
	var got []string
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range called.FindAllStringSubmatch(string(b), -1) {
			if !strings.HasPrefix(found[1], "With") {
				got = append(got, found[1])
			}
		}
	}
	if slices.Sort(got); !slices.Equal(got, []string{"GetObject", "ListObjects", "New", "V4Auth"}) {
		t.Errorf("it calls %q", got)
	}
}
