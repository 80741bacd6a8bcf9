package obs

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/fetch/sandbox"
)

// oddKeys come out wrong if something escapes too little, too much or twice.
var oddKeys = []string{
	"a+b c.csv", "100%.csv", "100%25.csv", "%2B", "é/ü 日本.csv", "tab\tnewline\n.csv", "<&>\"'.csv", "a?b=c&d#e", "~!*'()", "sp ace/+/plus", " lead and trail ", "..", "a//b", "nul\x01",
}

func TestKeysAreNamesBelowThePrefix(t *testing.T) {
	all := map[string]string{}
	for _, name := range oddKeys {
		all["e/"+name] = name
	}
	srv, store := serve(t, all)
	store.PageSize = 2
	var got []string
	for o, err := range store.Objects(t.Context(), Selection{Bucket: bucket, Prefix: "e/"}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, o.Name)
		if body := fetchtest.ReadAll(t, o, 0, -1); body != o.Name {
			t.Errorf("under the name %q is %q", o.Name, body)
		}
	}
	want := slices.Sorted(slices.Values(oddKeys))
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if pages := len(srv.seen()) - len(oddKeys); pages != len(oddKeys)/2 {
		t.Errorf("asked for %d pages of two, want %d", pages, len(oddKeys)/2)
	}
}

func TestNamesBelowAPrefix(t *testing.T) {
	_, store := serve(t, map[string]string{
		"e/part1.csv": "1", "e/part2.csv": "2", "e/a/b.csv": "3", "e/a/": "", "e/": "",
		"top.csv": "4", "/lead.csv": "5", "f/": "", "f/full/": "6",
	})
	for _, c := range []struct {
		prefix string
		want   []string
	}{
		{"e/", []string{"a/b.csv", "part1.csv", "part2.csv"}},
		{"e/par", []string{"part1.csv", "part2.csv"}},
		{"e", []string{"e/a/b.csv", "e/part1.csv", "e/part2.csv"}},
		{"e/part1.csv", []string{"part1.csv"}},
		{"top", []string{"top.csv"}},
		{"/", []string{"lead.csv"}},
		{"f/", []string{"full/"}},
		{"", []string{"/lead.csv", "e/a/b.csv", "e/part1.csv", "e/part2.csv", "f/full/", "top.csv"}},
	} {
		got, err := names(store.Objects(t.Context(), Selection{Bucket: bucket, Prefix: c.prefix}))
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("prefix %q: got %q, %v, want %q", c.prefix, got, err, c.want)
		}
	}
}

func TestNothingUnderAPrefixIsNotFound(t *testing.T) {
	_, store := serve(t, map[string]string{"e/": ""})
	for _, prefix := range []string{"nope/", "e/"} {
		_, err := names(store.Objects(t.Context(), Selection{Bucket: bucket, Prefix: prefix}))
		if want := fmt.Sprintf("bucket %s has no object with the prefix %q", bucket, prefix); !errors.Is(err, fetch.ErrNotFound) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if _, err := names(store.Objects(t.Context(), Selection{Bucket: "other"})); !errors.Is(err, fetch.ErrNotFound) || !strings.Contains(err.Error(), "NoSuchBucket") {
		t.Errorf("no bucket: got %v", err)
	}
}

func TestManyObjectsAreStreamed(t *testing.T) {
	srv, store := serve(t, nil)
	for i := range 3_000 {
		srv.AddObject(bucket, fmt.Sprintf("e/%05d.csv", i), sandbox.File{Body: []byte("x")})
	}
	listing := store.Objects(t.Context(), Selection{Bucket: bucket, Prefix: "e/"})
	n := 0
	for o, err := range listing {
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("%05d.csv", n); o.Name != want {
			t.Fatalf("got %s, want %s", o.Name, want)
		}
		if pages := len(srv.seen()); pages != n/1000+1 {
			t.Fatalf("%d pages were asked for by object %d", pages, n)
		}
		n++
	}
	if n != 3_000 {
		t.Errorf("got %d objects", n)
	}
	for _, key := range srv.Keys(bucket)[1:] {
		srv.RemoveObject(bucket, key)
	}
	if again, err := names(listing); err != nil || !slices.Equal(again, []string{"00000.csv"}) {
		t.Errorf("ranged over again: %q, %v, want what is there now", again, err)
	}
}

// Stores like S3 give no NextMarker, and some of them encode no keys.
func TestAStoreThatTellsNoMarkerAndEncodesNoKeys(t *testing.T) {
	want := []string{"100%.csv", "100%25.csv", "a b.csv", "a+b.csv", "é&<.csv"}
	srv, store := serve(t, nil)
	srv.lie = func(w http.ResponseWriter, r *http.Request) bool {
		next := slices.IndexFunc(want, func(name string) bool { return "e/"+name > r.URL.Query().Get("marker") })
		fmt.Fprintf(w, "<ListBucketResult><IsTruncated>%t</IsTruncated><Contents><Key>%s</Key><Size>1</Size></Contents></ListBucketResult>",
			next < len(want)-1, html.EscapeString("e/"+want[next]))
		return true
	}
	got, err := names(store.Objects(t.Context(), Selection{Bucket: bucket, Prefix: "e/"}))
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

// answering returns a store whose calls all get that answer.
func answering(status int, body string, headers ...string) (s *Store, calls *int) {
	calls = new(int)
	return asking(func(req *http.Request) (*http.Response, error) {
		*calls++
		resp := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: req}
		for i := 0; i < len(headers); i += 2 {
			resp.Header.Set(headers[i], headers[i+1])
		}
		return resp, nil
	}), calls
}

func TestUnusablePagesAreRefused(t *testing.T) {
	one := "<Contents><Key>e/a</Key><Size>1</Size></Contents>"
	for _, c := range []struct {
		name, body string
		kind       error
		said       string
	}{
		{"no XML", "busy", fetch.ErrTemporary, "not a listing"},
		{"cut short", "<ListBucketResult><Contents>", fetch.ErrTemporary, "not a listing"},
		{"another answer", "<Error/>", fetch.ErrTemporary, "not a listing"},
		{"a key that was not asked for", "<ListBucketResult><Contents><Key>f/a</Key></Contents></ListBucketResult>", fetch.ErrRefused, `an object "f/a"`},
		{"no key", "<ListBucketResult><Contents><Size>1</Size></Contents></ListBucketResult>", fetch.ErrRefused, `an object ""`},
		{"a size below zero", "<ListBucketResult><Contents><Key>e/a</Key><Size>-1</Size></Contents></ListBucketResult>", fetch.ErrRefused, "of -1 bytes"},
		{"a key that can't be decoded", "<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>%zz</Key></Contents></ListBucketResult>", fetch.ErrRefused, "can't be decoded"},
		{"a key of which the SDK would make another", "<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>e/%FF</Key></Contents></ListBucketResult>", fetch.ErrRefused, `"e/\xff"`},
		{"more, but not from where", "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>", fetch.ErrRefused, "how to go on"},
		{"more, from there again", "<ListBucketResult><IsTruncated>true</IsTruncated><NextMarker>e/a</NextMarker>" + one + "</ListBucketResult>", fetch.ErrRefused, "how to go on"},
		{"too long", strings.Repeat(" ", 8<<20+1), fetch.ErrRefused, "longer than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, _ := answering(200, c.body)
				_, err := names(store.Objects(t.Context(), Selection{Bucket: bucket, Prefix: "e/"}))
				if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.said) {
					t.Errorf("got %v, want %v: %s", err, c.kind, c.said)
				}
			})
		})
	}
}

func TestAPageIsRetried(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		header []string
		body   string
		calls  int
		wait   time.Duration
	}{
		{"when the store is throttled", 503, nil, "<Error><Code>SlowDown</Code></Error>", 4, 1400 * time.Millisecond},
		{"as late as the store asks", 503, []string{"Retry-After", "3"}, "", 4, 9 * time.Second},
		{"but within reason", 429, []string{"Retry-After", "3600"}, "", 4, 30 * time.Second},
		{"when the store fails", 500, nil, "<Error><Code>InternalError</Code></Error>", 4, 1400 * time.Millisecond},
		{"while a name spreads", 307, nil, "<Error><Code>TemporaryRedirect</Code></Error>", 4, 1400 * time.Millisecond},
		{"but not what is refused", 403, nil, "<Error><Code>AccessDenied</Code></Error>", 1, 0},
		{"but not what isn't there", 404, nil, "<Error><Code>NoSuchBucket</Code></Error>", 1, 0},
		{"but not with a wrong signature", 400, nil, "<Error><Code>TooManyWrongSignature</Code></Error>", 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, calls := answering(c.status, c.body, c.header...)
				begun := time.Now()
				_, err := names(store.Objects(t.Context(), Selection{Bucket: bucket}))
				if err == nil || *calls != c.calls || time.Since(begun) != c.wait {
					t.Errorf("%d calls in %v, want %d in %v (%v)", *calls, time.Since(begun), c.calls, c.wait, err)
				}
			})
		})
	}
}

func TestEachPageMayFailOnce(t *testing.T) {
	srv, store := serve(t, map[string]string{"a": "x", "b": "y", "c": "z"})
	failed := 0
	srv.lie = func(w http.ResponseWriter, r *http.Request) bool {
		if failed++; failed%2 == 1 {
			w.WriteHeader(500)
			return true
		}
		return false
	}
	store.PageSize = 1
	if got, err := names(store.Objects(t.Context(), Selection{Bucket: bucket})); err != nil || !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestAStoreThatIsSilentTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := asking(func(req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		})
		_, err := names(store.Objects(t.Context(), Selection{Bucket: bucket}))
		if !errors.Is(err, fetch.ErrTemporary) || !strings.Contains(err.Error(), "no answer within 1m0s") {
			t.Errorf("got %v", err)
		}
	})
}

func TestCancelEndsAListing(t *testing.T) {
	srv, store := serve(t, map[string]string{"a": "x", "b": "y"})
	store.PageSize = 1
	reason := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	srv.lie = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Has("marker") {
			cancel(reason)
			<-r.Context().Done()
			return true
		}
		return false
	}
	got, err := names(store.Objects(ctx, Selection{Bucket: bucket}))
	if !errors.Is(err, reason) || !reflect.DeepEqual(got, []string{"a"}) {
		t.Errorf("got %q, %v, want one object and what ended the context", got, err)
	}
}
