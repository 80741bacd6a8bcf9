package oss

import (
	"context"
	"errors"
	"fmt"
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
	"tallyman/fetch/internal/acs"
)

// oddKeys come out wrong if something escapes too little, too much or twice.
var oddKeys = []string{
	"a+b c.csv", "100%.csv", "100%25.csv", "%2B", "é/ü 日本.csv", "tab\tnewline\n.csv", "<&>\"'.csv", "a?b=c&d#e", "~!*'()", "sp ace/+/plus", " lead and trail ", "..", "a//b", "nul\x01",
}

func TestKeysAreNamesBelowThePrefix(t *testing.T) {
	all := map[string]*object{}
	for _, name := range oddKeys {
		all["e/"+name] = &object{body: name}
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
	objects := map[string]*object{
		"e/part1.csv": {body: "1"}, "e/part2.csv": {body: "2"}, "e/a/b.csv": {body: "3"}, "e/a/": {}, "e/": {},
		"top.csv": {body: "4"}, "/lead.csv": {body: "5"}, "f/": {}, "f/full/": {body: "6"},
	}
	_, store := serve(t, objects)
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
	_, store := serve(t, map[string]*object{"e/": {}, "old": {body: "x", modified: time.Unix(1, 0)}})
	for _, c := range []struct {
		in   Selection
		want string
	}{
		{Selection{Prefix: "nope/"}, `bucket ` + bucket + ` has no object with the prefix "nope/"`},
		{Selection{Prefix: "e/"}, `has no object with the prefix "e/"`},
		{Selection{Prefix: "old", Since: time.Unix(1722411060, 0)}, `with the prefix "old" modified since 2024-07-31T07:31:00Z`},
	} {
		c.in.Bucket = bucket
		_, err := names(store.Objects(t.Context(), c.in))
		if !errors.Is(err, fetch.ErrNotFound) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}

func TestSelectionsByTimeAndName(t *testing.T) {
	at := func(s int64) *object { return &object{body: "x", modified: time.Unix(s, 0)} }
	_, store := serve(t, map[string]*object{
		"d/old.csv": at(100), "d/download-1.csv": at(200), "d/download-12.csv": at(200), "d/x_download-1_2.csv": at(300), "d/other.csv": at(300),
		"d/download-7.csv": at(100), "d/x2/download-22_download-2.csv": at(100),
	})
	store.PageSize = 2
	for _, c := range []struct {
		name string
		in   Selection
		want []string
	}{
		{"since, that second included", Selection{Since: time.Unix(200, 999)}, []string{"download-1.csv", "download-12.csv", "other.csv", "x_download-1_2.csv"}},
		{"named, as a word", Selection{JobName: "download-1"}, []string{"download-1.csv", "x_download-1_2.csv"}},
		{"named, as a word that is not the first like it", Selection{JobName: "download-2"}, []string{"x2/download-22_download-2.csv"}},
		{"named, but no name holds it", Selection{JobName: "download-99", Since: time.Unix(250, 0)}, []string{"other.csv", "x_download-1_2.csv"}},
		{"named, but what holds it is too old", Selection{JobName: "download-7", Since: time.Unix(250, 0)}, []string{"other.csv", "x_download-1_2.csv"}},
		{"the prefix does not count as a name", Selection{JobName: "d"}, []string{"download-1.csv", "download-12.csv", "download-7.csv", "old.csv", "other.csv", "x2/download-22_download-2.csv", "x_download-1_2.csv"}},
		{"named and since", Selection{JobName: "download-1", Since: time.Unix(300, 0)}, []string{"x_download-1_2.csv"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.in.Bucket, c.in.Prefix = bucket, "d/"
			got, err := names(store.Objects(t.Context(), c.in))
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("got %q, %v, want %q", got, err, c.want)
			}
		})
	}
}

func TestManyObjectsAreStreamed(t *testing.T) {
	objects := map[string]*object{}
	for i := range 10_000 {
		objects[fmt.Sprintf("e/%05d.csv", i)] = &object{body: "x"}
	}
	srv, store := serve(t, objects)
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
	if n != 10_000 {
		t.Errorf("got %d objects", n)
	}
	srv.objects = map[string]*object{"e/new.csv": {body: "x"}}
	if again, err := names(listing); err != nil || !slices.Equal(again, []string{"new.csv"}) {
		t.Errorf("ranged over again: %q, %v, want what is there now", again, err)
	}
}

// Old and small stores encode no keys. The SDK decodes them all the same: to it
// a+b.csv is "a b.csv", and 100%.csv an error.
func TestAStoreThatDoesNotEncodeKeys(t *testing.T) {
	want := []string{"100%.csv", "100%25.csv", "a b.csv", "a+b.csv", "é&<.csv"}
	objects := map[string]*object{}
	for _, name := range want {
		objects["e/"+name] = &object{body: name}
	}
	srv, store := serve(t, objects)
	srv.bare, store.PageSize = true, 2
	var got []string
	for o, err := range store.Objects(t.Context(), Selection{Bucket: bucket, Prefix: "e/"}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fetchtest.ReadAll(t, o, 0, 100))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// answering returns a store whose calls all get that answer.
func answering(status int, body string, headers ...string) (s *Store, calls *int) {
	calls = new(int)
	return &Store{Region: "cn-hangzhou", Keys: acs.Static(sts).Keys, Client: &http.Client{Transport: transport(func(req *http.Request) (*http.Response, error) {
		*calls++
		resp := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: req}
		for i := 0; i < len(headers); i += 2 {
			resp.Header.Set(headers[i], headers[i+1])
		}
		return resp, nil
	})}}, calls
}

func TestUnusableListingsAreRefused(t *testing.T) {
	list := func(s string) string { return "<ListBucketResult>" + s + "</ListBucketResult>" }
	one := "<Contents><Key>e/a</Key><Size>1</Size></Contents>"
	for _, c := range []struct {
		name, body string
		want       error
	}{
		{"a page of HTML", "<html><body>please log in</body></html>", fetch.ErrTemporary},
		{"nothing", "", fetch.ErrTemporary},
		{"a listing cut short", list(one)[:40], fetch.ErrTemporary},
		{"an endless listing", list(strings.Repeat(" ", 8<<20)), fetch.ErrRefused},
		{"more, but no token", list("<IsTruncated>true</IsTruncated>" + one), fetch.ErrRefused},
		{"the same token for ever", list("<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>" + one), fetch.ErrRefused},
		{"an object that is not under the prefix", list("<Contents><Key>f/a</Key><Size>1</Size></Contents>"), fetch.ErrRefused},
		{"a negative size", list("<Contents><Key>e/a</Key><Size>-1</Size></Contents>"), fetch.ErrRefused},
		{"a key that can't be decoded", list("<EncodingType>url</EncodingType><Contents><Key>e/%zz</Key><Size>1</Size></Contents>"), fetch.ErrRefused},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, _ := answering(200, c.body)
				_, err := names(store.Objects(t.Context(), Selection{Bucket: bucket, Prefix: "e/"}))
				var call *fetch.CallError
				if !errors.As(err, &call) || !errors.Is(call.Kind, c.want) || call.Call != "ListObjectsV2 oss://"+bucket+"/e/" {
					t.Errorf("got %v, want a CallError of kind %v", err, c.want)
				}
			})
		})
	}
}

// The SDK has an option for retries, and makes none.
func TestAPageIsRetried(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		header []string
		body   string
		calls  int
		wait   time.Duration
	}{
		{"when the store is throttled", 503, nil, "<Error><Code>TotalQpsLimitExceeded</Code></Error>", 4, 1400 * time.Millisecond},
		{"as late as the store asks", 503, []string{"Retry-After", "3"}, "", 4, 9 * time.Second},
		{"but within reason", 429, []string{"Retry-After", "3600"}, "", 4, 30 * time.Second},
		{"when the store fails", 500, nil, "<Error><Code>InternalError</Code></Error>", 4, 1400 * time.Millisecond},
		{"but not what is refused", 403, nil, "<Error><Code>AccessDenied</Code></Error>", 1, 0},
		{"but not what isn't there", 404, nil, "<Error><Code>NoSuchBucket</Code></Error>", 1, 0},
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
	srv, store := serve(t, map[string]*object{"a": {body: "x"}, "b": {body: "y"}, "c": {body: "z"}})
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
		store := &Store{Region: "cn-hangzhou", Keys: acs.Static(keys).Keys, Client: &http.Client{Transport: transport(func(req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		})}}
		_, err := names(store.Objects(t.Context(), Selection{Bucket: bucket}))
		if !errors.Is(err, fetch.ErrTemporary) || !strings.Contains(err.Error(), "no answer within 1m0s") {
			t.Errorf("got %v", err)
		}
	})
}

func TestCancelEndsAListing(t *testing.T) {
	srv, store := serve(t, map[string]*object{"a": {body: "x"}, "b": {body: "y"}})
	store.PageSize = 1
	reason := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	srv.lie = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Has("continuation-token") {
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
