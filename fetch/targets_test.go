package fetch

import (
	"errors"
	"iter"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// listed yields objects with those names, and then err if it is not nil.
func listed(err error, names ...string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		for _, name := range names {
			if !yield(Object{Name: name}, nil) {
				return
			}
		}
		if err != nil {
			yield(Object{}, err)
		}
	}
}

func TestOnlyObjectIsNamedAfterItsReference(t *testing.T) {
	for _, tt := range []struct{ ref, object, content, want string }{
		{"sls://r/p/download-123", "x.csv.zst", "csv", "download-123.csv"},
		{"sls://r/p/download-123", "x.CSV.GZIP", "", "download-123.CSV"},
		{"sls://r/p/download-123", "x", "json", "download-123.json"},
		{"sls://r/p/download-123", "x.zst", "json", "download-123.json"},
		{"sls://r/p/download-123", "x", "", "download-123"},
		{"sls://r/p/nightly.csv", "x.csv.lz4", "csv", "nightly.csv"},
		{"sls://r/p/2025.08.30", "x.csv", "", "2025.08.30.csv"},
		{"sls://r/p/100%", "x.csv", "", "100_25.csv"},
		{"sls://r/p/...", "x.csv", "", "....csv"},
		{"dms://r/1/k?tid=3", "x.sql", "", "k.sql"},
		{"oss://b/logs/2025/", "logs/2025/a.csv.gz", "", "2025.csv"},
		{"oss://b/", "a.csv", "", "b.csv"},
		{"https://h/dir/export.csv.zst", "export.csv.zst", "", "export.csv"},
		{"https://h/export.csv.zst?page=2", "export.csv.zst", "", "export.csv"},
		{"https://h/dir%2Fa%20b.csv.gz", "a b.csv.gz", "", "a b.csv"},
		{"https://h/", "h", "", "h"},
		{"https://h/a/..", "..", "", "_2e_2e"},
		{"https://h/%FF.csv", "\xff.csv", "", "_ff.csv"},
		{"https://h/.zst", ".zst", "", ".zst"},
	} {
		ref := parse(t, tt.ref)
		for o, err := range nameAll(ref, listed(nil, tt.object)) {
			o.names.Content = tt.content
			if got := o.names.File(); got != tt.want || err != nil {
				t.Errorf("%s of %s: %s, want %s (%v)", tt.object, tt.ref, got, tt.want, err)
			}
		}
	}
}

func TestSeveralObjectsKeepTheirOwnNames(t *testing.T) {
	names := []string{"a/1.csv.zst", "a/2.csv.GZ", "a//b", "../c.json.lz4", "d.tar", "e."}
	var got []string
	for o, err := range nameAll(parse(t, "oss://b/a"), listed(nil, names...)) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, o.names.File())
	}
	want := []string{"a/1.csv", "a/2.csv", "a/_/b", "_2e_2e/c.json", "d.tar", "e."}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names (-want +got)\n%s", diff)
	}
}

func TestAListingYieldsItsErrorAfterItsObjects(t *testing.T) {
	broken := errors.New("broken")
	for n := range 4 {
		var got []error
		for o, err := range nameAll(parse(t, "oss://b/a"), listed(broken, []string{"a", "b", "c"}[:n]...)) {
			got = append(got, err)
			if (err == nil) != (o.Name != "") {
				t.Errorf("object %q with %v", o.Name, err)
			}
		}
		if len(got) != n+1 || got[n] != broken {
			t.Errorf("after %d objects: %v", n, got)
		}
	}
}

func TestAListingIsReadOnlyAsFarAsItIsRanged(t *testing.T) {
	for range nameAll(parse(t, "oss://b/a"), listed(errors.New("broken"), "a", "b", "c")) {
		break
	}
}
