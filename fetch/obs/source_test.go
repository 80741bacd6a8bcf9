package obs

import (
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/fetch/sandbox"
)

const text = "0123456789"

func TestAnETagThatIsNoHashIsWeak(t *testing.T) {
	for _, header := range []string{
		"x-obs-server-side-encryption: kms", "x-obs-server-side-encryption: AES256", "x-amz-server-side-encryption: aws:kms",
		"x-obs-server-side-encryption-customer-algorithm: AES256", "x-amz-server-side-encryption-customer-algorithm: AES256",
		"x-obs-object-type: Appendable", "x-obs-object-type: Normal",
	} {
		t.Run(header, func(t *testing.T) {
			srv, store := serve(t, map[string]string{"a": text})
			o := only(t, store)
			srv.intercept = func(w http.ResponseWriter, r *http.Request) bool {
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

func TestIfMatchHasTheFormOfTheSignature(t *testing.T) {
	etag := fmt.Sprintf("%x", md5.Sum([]byte(text)))
	for mode, settings := range signingModes {
		srv, store := serve(t, map[string]string{"a": text})
		want := `"` + etag + `"`
		if settings.Signature == "" && settings.Endpoint != "" {
			want = etag
		}
		fetchtest.ReadAll(t, only(t, withMode(settings, store)), 0, 4)
		if got := srv.seen()[1].Header.Get("If-Match"); got != want {
			t.Errorf("%s: got %s, want %s", mode, got, want)
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

// The SDK would retry by itself, with the date and the signature of the first
// try.
func TestARangeIsAskedForOnce(t *testing.T) {
	for status, kind := range map[int]error{500: fetch.ErrTemporary, 503: fetch.ErrTemporary, 301: fetch.ErrRefused, 307: fetch.ErrRefused, 403: fetch.ErrAuth} {
		srv, store := serve(t, nil)
		srv.intercept = func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Location", store.Endpoint+"/elsewhere")
			refuse(w, status, "", "")
			return true
		}
		if err := read(t, store, "a"); !errors.Is(err, kind) || len(srv.seen()) != 1 {
			t.Errorf("%d: got %v, want %v; asked %d times, want once", status, err, kind, len(srv.seen()))
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
			t.Error("the panic was lost")
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
	slices.Sort(got)
	if diff := cmp.Diff([]string{"GetObject", "ListObjects", "New", "V4Auth"}, got); diff != "" {
		t.Errorf("calls of the SDK (-want +got)\n%s", diff)
	}
}
