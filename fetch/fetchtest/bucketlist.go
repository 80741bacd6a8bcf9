package fetchtest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"tallyman/fetch"
)

// OddNames are names of objects that come out wrong if something escapes too
// little, too much or twice.
var OddNames = []string{
	"a+b c.csv", "100%.csv", "100%25.csv", "%2B", "é/ü 日本.csv", "tab\tnewline\n.csv", "<&>\"'.csv", "a?b=c&d#e", "~!*'()", "sp ace/+/plus", " lead and trail ", "..", "a//b", "nul\x01",
}

// Names returns the names of the listed objects, up to an error.
func Names(objects iter.Seq2[fetch.Object, error]) (names []string, err error) {
	for o, err := range objects {
		if err != nil {
			return names, err
		}
		names = append(names, o.Name)
	}
	return names, nil
}

// Only returns the only object of a listing.
func Only(t testing.TB, listing iter.Seq2[fetch.Object, error]) fetch.Object {
	t.Helper()
	return Object(t, &fetch.Export{Objects: listing})
}

// Run runs the suite.
func (b Bucket) Run(t *testing.T) {
	t.Run("the name of an object is its key below the prefix", b.oddNames)
	t.Run("a key that is not UTF-8 is named, and the others are listed", b.notUTF8)
	t.Run("a prefix selects the objects whose keys begin with it", b.prefixes)
	t.Run("many objects are listed page by page", b.pages)
	t.Run("a page is retried", b.retries)
	t.Run("each page may fail once", b.failingPages)
	t.Run("a page that can't be used is refused", b.unusablePages)
	t.Run("a silent store is a temporary failure", b.silent)
	t.Run("a cancelled context ends a listing", b.cancelledListing)
	t.Run("a read yields a range", b.ranges)
	t.Run("an object that changed is ErrChanged", b.changed)
	t.Run("bytes arrive as they are stored", b.encoded)
	t.Run("a range that was not asked for is a temporary failure", b.otherRanges)
	t.Run("a body that is cut short is an error", b.cutShort)
	t.Run("a cancelled context ends a read", b.cancelledRead)
	t.Run("many goroutines may read at once", b.parallel)
	t.Run("recorded refusals", b.recorded)
	t.Run("no error has a secret", b.secrets)
	t.Run("a host that may not be asked is ErrHost", b.hosts)
	t.Run("an endless refusal is cut", b.endlessRefusal)
	t.Run("unprintable keys are quoted", b.unprintable)
}

func (b Bucket) oddNames(t *testing.T) {
	objects := map[string]string{}
	for _, name := range OddNames {
		objects["e/"+name] = name
	}
	server := b.Serve(t, objects)
	var got []string
	for o, err := range server.Open(2).List(t.Context(), "e/") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, o.Name)
		if body := ReadAll(t, o, 0, -1); body != o.Name {
			t.Errorf("under the name %q is %q", o.Name, body)
		}
	}
	if diff := gocmp.Diff(slices.Sorted(slices.Values(OddNames)), got); diff != "" {
		t.Errorf("names (-want +got)\n%s", diff)
	}
	if pages := len(server.Requests()) - len(OddNames); pages != len(OddNames)/2 {
		t.Errorf("asked for %d pages of two, want %d", pages, len(OddNames)/2)
	}
}

func (b Bucket) notUTF8(t *testing.T) {
	server := b.Serve(t, map[string]string{"e/a.csv": "1", "e/b\xff.csv": "2", "e/c.csv": "3"})
	var got []string
	for o, err := range server.Open(2).List(t.Context(), "e/") {
		got = append(got, o.Name)
		if bad := o.Name == "b\xff.csv"; bad != errors.Is(err, fetch.ErrUnsafeName) || bad && !strings.Contains(err.Error(), `the key "e/b\xff.csv" is not UTF-8`) {
			t.Errorf("%q: %v", o.Name, err)
		}
	}
	if diff := gocmp.Diff([]string{"a.csv", "b\xff.csv", "c.csv"}, got); diff != "" {
		t.Errorf("names (-want +got)\n%s", diff)
	}
}

func (b Bucket) prefixes(t *testing.T) {
	store := b.Serve(t, map[string]string{
		"e/part1.csv": "1", "e/part2.csv": "2", "e/a/b.csv": "3", "e/a/": "", "e/": "",
		"top.csv": "4", "/lead.csv": "5", "f/": "", "f/full/": "6", "g/": "",
	}).Open(0)
	for prefix, want := range map[string][]string{
		"e/":          {"a/b.csv", "part1.csv", "part2.csv"},
		"e/par":       {"part1.csv", "part2.csv"},
		"e":           {"e/a/b.csv", "e/part1.csv", "e/part2.csv"},
		"e/part1.csv": {"part1.csv"},
		"top":         {"top.csv"},
		"/":           {"lead.csv"},
		"f/":          {"full/"},
		"":            {"/lead.csv", "e/a/b.csv", "e/part1.csv", "e/part2.csv", "f/full/", "top.csv"},
	} {
		got, err := Names(store.List(t.Context(), prefix))
		if diff := gocmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("prefix %q: %v; names (-want +got)\n%s", prefix, err, diff)
		}
	}
	for _, prefix := range []string{"nope/", "g/"} {
		_, err := Names(store.List(t.Context(), prefix))
		if want := fmt.Sprintf("bucket %s has no object with the prefix %q", b.Name, prefix); !errors.Is(err, fetch.ErrNotFound) || !strings.Contains(err.Error(), want) {
			t.Errorf("prefix %q: got %v, want ErrNotFound: %s", prefix, err, want)
		}
	}
}

func (b Bucket) pages(t *testing.T) {
	const all = 10_000
	objects := map[string]string{}
	for i := range all {
		objects[fmt.Sprintf("e/%05d.csv", i)] = "x"
	}
	server := b.Serve(t, objects)
	listing := server.Open(0).List(t.Context(), "e/")
	n := 0
	for o, err := range listing {
		if want := fmt.Sprintf("%05d.csv", n); err != nil || o.Name != want {
			t.Fatalf("got %s, %v, want %s", o.Name, err, want)
		}
		if pages := len(server.Requests()); pages != n/1000+1 {
			t.Fatalf("%d pages were asked for by object %d", pages, n)
		}
		n++
	}
	if n != all {
		t.Errorf("got %d objects, want %d", n, all)
	}
	for key := range maps.Keys(objects) {
		if key != "e/00007.csv" {
			server.Remove(key)
		}
	}
	if again, err := Names(listing); err != nil || len(again) != 1 || again[0] != "00007.csv" {
		t.Errorf("ranged over again: %q, %v, want the object that is left", again, err)
	}
}

// The SDKs retry nothing, or in a way that no context ends.
func (b Bucket) retries(t *testing.T) {
	const wait = 1400 * time.Millisecond
	for _, c := range append([]Retry{
		{"when the store is throttled", 503, "", b.Throttled, 4, wait, fetch.ErrThrottled},
		{"as late as the store asks", 503, "3", "", 4, 9 * time.Second, fetch.ErrTemporary},
		{"not meanwhile if it asks for more than ten seconds", 429, "3600", "", 1, 0, fetch.ErrThrottled},
		{"when the store fails", 500, "", "InternalError", 4, wait, fetch.ErrTemporary},
		{"but not if it is refused", 403, "", "AccessDenied", 1, 0, fetch.ErrAuth},
		{"but not if there is no bucket", 404, "", "NoSuchBucket", 1, 0, fetch.ErrNotFound},
	}, b.Retries...) {
		t.Run(c.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				answer := Answering(c.Status, "<Error><Code>"+c.Code+"</Code></Error>", "Retry-After", c.RetryAfter)
				store := b.New("", &http.Client{Transport: Transport(func(req *http.Request) (*http.Response, error) {
					calls++
					return answer(req)
				})})
				began := time.Now()
				_, err := Names(store.List(t.Context(), ""))
				if took := time.Since(began); !errors.Is(err, c.Kind) || calls != c.Calls || took != c.Wait {
					t.Errorf("%v after %d calls in %v, want %v after %d in %v", err, calls, took, c.Kind, c.Calls, c.Wait)
				}
			})
		})
	}
}

func (b Bucket) failingPages(t *testing.T) {
	server := b.Serve(t, map[string]string{"a": "x", "b": "y", "c": "z"})
	failed := 0
	server.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
		if failed++; failed%2 == 1 {
			w.WriteHeader(http.StatusInternalServerError)
			return true
		}
		return false
	})
	got, err := Names(server.Open(1).List(t.Context(), ""))
	if diff := gocmp.Diff([]string{"a", "b", "c"}, got); diff != "" || err != nil {
		t.Errorf("%v; names (-want +got)\n%s", err, diff)
	}
}

func (b Bucket) unusablePages(t *testing.T) {
	list := func(s string) string { return "<ListBucketResult>" + s + "</ListBucketResult>" }
	object := func(key string, size int) string {
		return fmt.Sprintf("<Contents><Key>%s</Key><Size>%d</Size></Contents>", key, size)
	}
	const more, encoded = "<IsTruncated>true</IsTruncated>", "<EncodingType>url</EncodingType>"
	for _, c := range []struct {
		name, body string
		kind       error
		message    string
	}{
		{"a page of HTML", "<html><body>please log in</body></html>", fetch.ErrTemporary, "not a listing"},
		{"no XML", "busy", fetch.ErrTemporary, "not a listing"},
		{"nothing", "", fetch.ErrTemporary, "not a listing"},
		{"another answer", "<Error/>", fetch.ErrTemporary, "not a listing"},
		{"cut short", list(object("e/a", 1))[:40], fetch.ErrTemporary, "not a listing"},
		{"endless", strings.Repeat(" ", 8<<20+1), fetch.ErrRefused, "longer than"},
		{"more, but not from where", list(more), fetch.ErrRefused, "how to go on"},
		{"more, from the same place for ever", list(more + b.Next + object("e/a", 1)), fetch.ErrRefused, "how to go on"},
		{"a key that was not asked for", list(object("f/a", 1)), fetch.ErrRefused, `an object "f/a"`},
		{"no key", list("<Contents><Size>1</Size></Contents>"), fetch.ErrRefused, `an object ""`},
		{"a negative size", list(object("e/a", -1)), fetch.ErrRefused, "of -1 bytes"},
		{"a key that can't be decoded", list(encoded + object("e/%zz", 1)), fetch.ErrRefused, "can't be decoded"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, err := Names(b.New("", &http.Client{Transport: Answering(200, c.body)}).List(t.Context(), "e/"))
				call, ok := errors.AsType[*fetch.CallError](err)
				if !ok || !errors.Is(call.Kind, c.kind) || !strings.Contains(call.Message, c.message) || call.Call != b.ListCall+" "+b.location()+"e/" {
					t.Errorf("got %v, want a CallError of kind %v: %s", err, c.kind, c.message)
				}
			})
		})
	}
}

func (b Bucket) silent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := b.New("", &http.Client{Transport: Transport(func(req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		})})
		_, err := Names(store.List(t.Context(), ""))
		if !errors.Is(err, fetch.ErrTemporary) || !strings.Contains(err.Error(), "no answer within 1m0s") {
			t.Errorf("got %v, want ErrTemporary: no answer within 1m0s", err)
		}
	})
}

func (b Bucket) cancelledListing(t *testing.T) {
	server := b.Serve(t, map[string]string{"a": "x", "b": "y"})
	reason := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	server.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Has(b.NextParam) {
			cancel(reason)
			<-r.Context().Done()
			return true
		}
		return false
	})
	got, err := Names(server.Open(1).List(ctx, ""))
	if diff := gocmp.Diff([]string{"a"}, got); diff != "" || !errors.Is(err, reason) {
		t.Errorf("%v, want the cause; names (-want +got)\n%s", err, diff)
	}
}
