package oss

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/verify"
)

const text = "0123456789"

func TestAWeakETagOfTheStoreIsNotSent(t *testing.T) {
	srv, store := serve(t, map[string]*object{"a": {body: text, header: map[string]string{"ETag": `W/"weak"`}}})
	if got := fetchtest.ReadAll(t, only(t, store), 0, 4); got != "0123" || srv.seen()[1].Header.Get("If-Match") != "" {
		t.Errorf("got %q, %v", got, srv.seen()[1].Header)
	}
}

// By default OSS answers with the whole object if a range reaches beyond its end.
func TestRangesAreReadByTheStandard(t *testing.T) {
	srv, store := serve(t, map[string]*object{"a": {body: text}})
	o := only(t, store)
	for _, n := range []int64{verify.Unknown, 0, int64(len(text))} {
		fetchtest.ReadAll(t, o, 0, n)
	}
	for _, r := range srv.seen() {
		if got, want := r.Header.Get("x-oss-range-behavior") == "standard", r.Header.Get("Range") != ""; got != want {
			t.Errorf("%s: standard ranges: %t, want %t", r.URL, got, want)
		}
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
