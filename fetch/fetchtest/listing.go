package fetchtest

import (
	"context"
	"errors"
	"io"
	"iter"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/rogpeppe/go-internal/txtar"

	"tallyman/fetch"
)

// keyPlace stands in a fuzzed answer for a key that signed the request.
const keyPlace = "keyOfOurs"

// bucketListing is the answer of a bucket with one object.
const bucketListing = `<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><Name>b</Name><Prefix>e/</Prefix><EncodingType>url</EncodingType>` +
	`<IsTruncated>false</IsTruncated><Contents><Key>e%2Fa+b.csv</Key><Size>3</Size><ETag>"v1"</ETag><LastModified>2025-08-30T06:00:00.000Z</LastModified></Contents></ListBucketResult>`

// Recorded are the bodies of the answers on record in the files of a pattern.
func Recorded(t testing.TB, pattern string) (bodies []string) {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		_, body, _ := strings.Cut(string(archive.Files[0].Data), "\n\n")
		bodies = append(bodies, body)
	}
	return bodies
}

// ReadAll reads a range of an object, from where it was asked for.
func ReadAll(t testing.TB, o fetch.Object, off, n int64) string {
	t.Helper()
	answer, err := o.Source.ReadRange(t.Context(), off, n, "")
	if err != nil {
		t.Fatalf("%s: %v", o.Name, err)
	}
	defer answer.Close()
	b, err := io.ReadAll(answer)
	if err != nil || answer.Off > off {
		t.Fatalf("%s: %v, from %d on", o.Name, err, answer.Off)
	}
	return string(b[off-answer.Off:])
}

// FuzzObjects holds a store to its promise that, whatever a bucket's listing
// is, it ends, each object has a source, and an error is of a kind, in one line,
// and tells none of the keys. Objects lists what is below a prefix by a service
// that always answers so.
func FuzzObjects(f *testing.F, objects func(ctx context.Context, status int, body, prefix string) iter.Seq2[fetch.Object, error], keys ...string) {
	bodies := append(Recorded(f, "testdata/*.txtar"), Recorded(f, "testdata/*/*.txtar")...)
	bodies = append(bodies, bucketListing, strings.ReplaceAll(bucketListing, "false", "true"), strings.ReplaceAll(bucketListing, "e%2F", "f%2F"), "<ListBucketResult>", "")
	for _, body := range bodies {
		f.Add(200, body, "e/")
		f.Add(403, body, "")
		f.Add(200, body, "e/a")
	}
	f.Fuzz(func(t *testing.T, status int, body, prefix string) {
		synctest.Test(t, func(t *testing.T) {
			n := 0
			for o, err := range objects(t.Context(), 200+(status%300+300)%300, strings.ReplaceAll(body, keyPlace, keys[0]), prefix) {
				if n++; n > len(body)+1 {
					t.Fatal("it does not end")
				}
				if err == nil && (o.Want.Size < 0 || o.Source == nil) {
					t.Errorf("%+v", o)
				}
				isRefusal(t, err, keys)
			}
			if n == 0 {
				t.Error("neither an object nor an error")
			}
		})
	})
}

func isRefusal(t *testing.T, err error, keys []string) {
	t.Helper()
	if err == nil {
		return
	}
	call, ok := errors.AsType[*fetch.CallError](err)
	if !ok || call.Kind == nil || strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r == 0x7f }) {
		t.Errorf("%q", err)
	}
	for _, key := range keys {
		if strings.Contains(err.Error(), key) {
			t.Errorf("%q", err)
		}
	}
}

// FuzzJobs holds a provider to its promise that, whatever the list of jobs in a
// place is, it ends, each job is named once and by a reference of the place, and
// an error is in one line and tells no key. List asks a service that always
// answers so, and is signed with Secret.
func FuzzJobs(f *testing.F, bodies []string, place string, list func(t *testing.T, status int, body string) iter.Seq2[fetch.Listed, error]) {
	for _, body := range bodies {
		f.Add(200, body)
		f.Add(403, body)
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		synctest.Test(t, func(t *testing.T) {
			seen := map[string]bool{}
			for job, err := range list(t, 100+(status%500+500)%500, strings.ReplaceAll(body, keyPlace, Secret)) {
				if err != nil {
					if got := err.Error(); strings.Contains(got, Secret) || strings.ContainsAny(got, "\r\n") {
						t.Errorf("%q", got)
					}
					continue
				}
				key := job.Ref.Key()
				if seen[key] || !strings.HasPrefix(job.Ref.String(), place) || strings.Contains(job.Status, Secret) {
					t.Errorf("%s, %q", job.Ref, job.Status)
				}
				seen[key] = true
			}
		})
	})
}

// PercentEncoded is a text of which all bytes but letters and digits are
// escaped, as OSS and OBS escape the keys in a listing.
func PercentEncoded(s string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range []byte(s) {
		if c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}

// IsXML reports whether XML can hold a text.
func IsXML(s string) bool {
	for i, r := range s {
		if r < ' ' && r != '\t' && r != '\n' || r == '\ufffd' && !strings.HasPrefix(s[i:], "\ufffd") || r == '\ufffe' || r == '\uffff' {
			return false
		}
	}
	return true
}
