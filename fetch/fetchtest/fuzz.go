package fetchtest

import (
	"context"
	"errors"
	"iter"
	"strings"
	"testing"
	"testing/synctest"

	"tallyman/fetch"
)

// keyPlaceholder stands in a fuzzed answer for a key that signed the request.
const keyPlaceholder = "signingKey"

// bucketListing is the answer of a bucket with one object.
const bucketListing = `<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><Name>b</Name><Prefix>e/</Prefix><EncodingType>url</EncodingType>` +
	`<IsTruncated>false</IsTruncated><Contents><Key>e%2Fa+b.csv</Key><Size>3</Size><ETag>"v1"</ETag><LastModified>2025-08-30T06:00:00.000Z</LastModified></Contents></ListBucketResult>`

// FuzzObjects tests that, whatever a store answers to a listing, the listing
// ends, each object has a source, and each error is a *fetch.CallError of a known
// kind, in one line, without the secrets. The function objects lists what is
// below a prefix by a service that always gives that answer. The secrets are
// those that sign the call.
func FuzzObjects(f *testing.F, objects func(ctx context.Context, status int, body, prefix string) iter.Seq2[fetch.Object, error], secret string, secrets ...string) {
	secrets = append(secrets, secret)
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
			for o, err := range objects(t.Context(), 200+(status%300+300)%300, strings.ReplaceAll(body, keyPlaceholder, secret), prefix) {
				if n++; n > len(body)+1 {
					t.Fatal("the listing does not end")
				}
				if err == nil {
					if o.Want.Size < 0 || o.Source == nil {
						t.Errorf("%q has size %d and source %v", o.Name, o.Want.Size, o.Source)
					}
					continue
				}
				call, ok := errors.AsType[*fetch.CallError](err)
				if !ok || call.Kind == nil || strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r == 0x7f }) {
					t.Errorf("got the error %q, want a CallError of a kind in one line", err)
				}
				for _, secret := range secrets {
					if strings.Contains(err.Error(), secret) {
						t.Errorf("the error %q has a secret", err)
					}
				}
			}
			if n == 0 {
				t.Error("got neither an object nor an error")
			}
		})
	})
}

// FuzzJobs tests that, whatever a service answers when it is asked for the jobs
// of a place, the listing ends, each job is named once and by a reference of that
// place, and each error is one line without a secret. The function list asks a
// service that always gives that answer, with calls that Secret signs.
func FuzzJobs(f *testing.F, bodies []string, place string, list func(t *testing.T, status int, body string) iter.Seq2[fetch.Listed, error]) {
	for _, body := range bodies {
		f.Add(200, body)
		f.Add(403, body)
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		synctest.Test(t, func(t *testing.T) {
			seen := map[string]bool{}
			for job, err := range list(t, 100+(status%500+500)%500, strings.ReplaceAll(body, keyPlaceholder, Secret)) {
				if err != nil {
					if got := err.Error(); strings.Contains(got, Secret) || strings.ContainsAny(got, "\r\n") {
						t.Errorf("got the error %q, want one line without a secret", got)
					}
					continue
				}
				key := job.Ref.Key()
				if seen[key] || !strings.HasPrefix(job.Ref.String(), place) || strings.Contains(job.Status, Secret) {
					t.Errorf("got %s with status %q, want each job of %s once and without a secret", job.Ref, job.Status, place)
				}
				seen[key] = true
			}
		})
	})
}
