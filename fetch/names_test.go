package fetch

import (
	"errors"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// listed yields objects of those names, and then that error if there is one.
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
			o.Content = tt.content
			if got := o.file(); got != tt.want || err != nil {
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
		got = append(got, o.file())
	}
	want := []string{"a/1.csv", "a/2.csv", "a/_/b", "_2e_2e/c.json", "d.tar", "e."}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestFailedListingIsToldAfterWhatItListed(t *testing.T) {
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

func TestListingIsReadNoFurtherThanIsAsked(t *testing.T) {
	for range nameAll(parse(t, "oss://b/a"), listed(errors.New("broken"), "a", "b", "c")) {
		break
	}
}

func TestSafeNameEscapesWhatAManifestCannotHold(t *testing.T) {
	long := strings.Repeat("a", 200)
	for _, tt := range []struct{ in, want string }{
		{"a.csv", "a.csv"},
		{"", "_"},
		{"/a", "_/a"},
		{"a//b/", "a/_/b/_"},
		{".", "_2e"},
		{"../../a", "_2e_2e/_2e_2e/a"},
		{"...", "..."},
		{".hidden", ".hidden"},
		{`a\b`, "a_5cb"},
		{"a%2Fb", "a_252Fb"},
		{"a\nb\tc\x00\x7f", "a_0ab_09c_00_7f"},
		{"a\u0085b", "a_c2_85b"},
		{"a\u202egpj.exe", "a_e2_80_aegpj.exe"},
		{"a\u2028b", "a_e2_80_a8b"},
		{"\xff\xfe", "_ff_fe"},
		{"é\xc3", "é_c3"},
		{"日志 2025.csv", "日志 2025.csv"},
		{"\u3000", "\u3000"},
		{"C:x", "C:x"},
		{long + ".csv", long[:120] + "~" + hash32(long+".csv") + ".csv"},
		{"d/" + long, "d/" + long[:120] + "~" + hash32(long)},
		{strings.Repeat("日", 70), strings.Repeat("日", 40) + "~" + hash32(strings.Repeat("日", 70))},
		{"a" + strings.Repeat("日", 70), "a" + strings.Repeat("日", 39) + "~" + hash32("a"+strings.Repeat("日", 70))},
	} {
		if got := safeName(tt.in); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.in, got, tt.want)
		}
		checkName(t, tt.in)
	}
}

func checkName(t *testing.T, in string) {
	t.Helper()
	name := safeName(in)
	if !filepath.IsLocal(name) || filepath.Clean(name) != name || !utf8.ValidString(name) {
		t.Errorf("%q: %q is not local, clean UTF-8", in, name)
	}
	if strings.ContainsAny(name, `%\`) || strings.ContainsFunc(name, unicode.IsControl) {
		t.Errorf("%q: %q", in, name)
	}
	for e := range strings.SplitSeq(name, "/") {
		if len(e) > 255 {
			t.Errorf("%q: an element has %d bytes", in, len(e))
		}
	}
}

func FuzzSafeName(f *testing.F) {
	for _, s := range []string{"", "..", "a/../b", "a\\b", "\xff", "日\u202e", strings.Repeat("%", 100), strings.Repeat("日.", 90)} {
		f.Add(s)
	}
	f.Fuzz(checkName)
}
