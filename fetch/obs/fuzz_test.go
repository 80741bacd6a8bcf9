package obs

import (
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/rogpeppe/go-internal/txtar"

	"tallyman/fetch"
)

const canaryListing = `<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><Name>b</Name><Prefix>e/</Prefix><EncodingType>url</EncodingType>` +
	`<IsTruncated>false</IsTruncated><Contents><Key>e%2Fa+b.csv</Key><Size>3</Size><ETag>"v1"</ETag><LastModified>2025-08-30T06:00:00.000Z</LastModified></Contents></ListBucketResult>`

// recorded are the bodies of the answers on record.
func recorded(t testing.TB) (bodies []string) {
	t.Helper()
	for _, pattern := range []string{"testdata/*.txtar", "testdata/*/*.txtar"} {
		names, _ := filepath.Glob(pattern)
		for _, name := range names {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			_, body, _ := strings.Cut(string(archive.Files[0].Data), "\n\n")
			bodies = append(bodies, body)
		}
	}
	return append(bodies, canaryListing, strings.ReplaceAll(canaryListing, "false", "true"), strings.ReplaceAll(canaryListing, "e%2F", "f%2F"), "<ListBucketResult>", "")
}

// told is a store whose service always says that.
func told(status int, body string) *Store {
	return &Store{Region: "cn-north-4", Keys: StaticKeys(temporary), Client: &http.Client{Transport: transport(func(req *http.Request) (*http.Response, error) {
		resp := &http.Response{StatusCode: status, ProtoMajor: 1, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: req}
		return resp, nil
	})}}
}

// Whatever a bucket's listing is, it ends, each object is below the prefix, and
// an error is of a kind and tells no key of ours.
func FuzzListing(f *testing.F) {
	for _, body := range recorded(f) {
		f.Add(200, []byte(body), "e/")
		f.Add(403, []byte(body), "")
		f.Add(200, []byte(body), "e/a")
	}
	f.Fuzz(func(t *testing.T, status int, body []byte, prefix string) {
		synctest.Test(t, func(t *testing.T) {
			n := 0
			store := told(200+(status%300+300)%300, strings.ReplaceAll(string(body), "keyOfOurs", temporary.SK))
			for o, err := range store.Objects(t.Context(), Selection{Bucket: bucket, Prefix: prefix}) {
				if n++; n > len(body)+1 {
					t.Fatal("it does not end")
				}
				if err == nil && (o.Want.Size < 0 || o.Source == nil) {
					t.Errorf("%+v", o)
				}
				mustBeARefusal(t, err)
			}
			if n == 0 {
				t.Error("neither an object nor an error")
			}
		})
	})
}

func mustBeARefusal(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	call, ok := errors.AsType[*fetch.CallError](err)
	if !ok || call.Kind == nil || strings.Contains(err.Error(), temporary.SK) || strings.Contains(err.Error(), temporary.SecurityToken) ||
		strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r == 0x7f }) {
		t.Errorf("%q", err)
	}
}

// A listing names the keys that are written in it.
func FuzzKeysAreReadAsTheyAreWritten(f *testing.F) {
	for _, key := range odd {
		f.Add(key, int64(3))
	}
	f.Fuzz(func(t *testing.T, key string, size int64) {
		key, size = "e/"+strings.ToValidUTF8(key, ""), max(size, 0)
		p := page{XMLName: xml.Name{Local: "ListBucketResult"}, Contents: []entry{{Key: key, Size: size, ETag: `"v1"`}}}
		for _, encoded := range []bool{true, false} {
			if encoded {
				p.EncodingType, p.Contents[0].Key = "url", escaped(key)
			} else if p.EncodingType, p.Contents[0].Key = "", key; !isXML(key) {
				continue
			}
			body, err := xml.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			l := &listing{Selection: Selection{Bucket: bucket, Prefix: "e/"}}
			if got, err := l.read(body, ""); err != nil || len(got.Contents) != 1 || got.Contents[0].Key != key || got.Contents[0].Size != size {
				t.Errorf("%s: %+v, %v", body, got, err)
			}
		}
	})
}

// escaped is a key as OBS encodes it: all bytes but letters and digits.
func escaped(key string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range []byte(key) {
		if c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}

// isXML reports whether XML can hold a text.
func isXML(s string) bool {
	for i, r := range s {
		if r < ' ' && r != '\t' && r != '\n' || r == '\ufffd' && !strings.HasPrefix(s[i:], "\ufffd") || r == '\ufffe' || r == '\uffff' {
			return false
		}
	}
	return true
}
