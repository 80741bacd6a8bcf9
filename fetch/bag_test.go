package fetch_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/verify/archive/bagtest"
)

// blanks are the characters that some reader takes for white space, and those that
// are not seen.
var blanks = strings.Split(" \t\v\f\u0085\u00a0\u1680\u180e\u2003\u200b\u200d\u2028\u2029\u202f\u205f\u2060\u3000\ufeff\u00ad\u200e\u200f\u202e\u2066", "")

// keySets are keys that a listing may give, those of one prefix together.
func keySets() (sets [][]string) {
	for _, blank := range blanks {
		sets = append(sets, []string{"a" + blank, blank + "a", "a" + blank + "/b", "b/" + blank, "c" + blank + "c.csv"})
	}
	return append(sets, [][]string{
		{"a.csv ", "a.csv"}, {"a\r\n", "a\n", "a\r", "a\nb", "\n"}, {"%", "%25", "%0A", "%0d", "100%.csv", "a%2Fb"}, {`\`, `a\b`, `a\nb`, `\\x\y`},
		{"\x00", "a\x01b", "\x7f", "\x1b[31m"}, {"..", ".", "a/..", "a/./b", "../a", "../../etc/passwd"}, {"//", "/", "/x", "_/x", "a//b", "a/_/b"},
		{"a", "a/b.csv", "a/b.csv/c"}, {"./a", "a"}, {".a", ".a.", "...", "a..b", "a."}, {"~", "~a", "~/a", "~root/a"}, {"$HOME", "$HOME/a", "${PATH}", "$", "a$b", "$1"},
		{"data/", "data", "data/data"}, {"data/a", "data/data/a"}, {"manifest-sha256.txt", "tagmanifest-sha256.txt", "bagit.txt", "bag-info.txt", "fetch.txt", "receipt.json"},
		{"*a", "* a", " *a", "a  b", "a   *b"}, {"-", "--", "-rf", "--help"}, {"CON", "con.csv", "aux", "NUL.txt", "COM1", "LPT\u00b9"}, {"A.csv", "a.csv", "a.CSV", "dir/x", "DIR/x"},
		{"\u00e9.csv", "e\u0301.csv"}, {"\u212b", "\u00c5", "A\u030a"}, {"\ufb01", "fi"}, {"日本語/レポート.csv", "订单.csv", "אבג", "עברית/x"}, {"😀", "👨‍👩‍👧", "🇨🇳.csv"},
		{strings.Repeat("a", 255), strings.Repeat("a", 254) + "b"}, {strings.Repeat("é", 127), strings.Repeat("日", 85)}, {strings.Repeat("a", 250) + ".csv", strings.Repeat("a", 250) + "b.csv"},
		{strings.Repeat("d/", 100) + "a", strings.Repeat("long-directory/", 20) + "a"}, {strings.Repeat(" ", 50), strings.Repeat("%", 100)},
		{`"`, "'", "`a`", "a;b", "a|b", "a>b", "a&b"}, {":", "a:b", "C:", `C:\x`, "a:stream"}, {"?", "*", "[a]", "{a,b}", "#", "a#b", "a?b=c&d"},
		{"_25", "%", "a_20", "a "}, {"\ufffd", "\ufffe", "\U0010ffff", "\ue000"},
		{"a,b", "a=b", "(a)", "@a", "!a", "^a"}, {"é ", " é", "\u00a0é\u00a0"}, {"con", "con/a", "con /a"}, {"0", "1e3", "true", "null"},
	}...)
}

// Whatever the keys under a prefix are, all objects land in a bag that is valid by
// the rules of RFC 8493, each under a name of its own.
func TestBagsOfOddKeysAreValid(t *testing.T) {
	for i, keys := range keySets() {
		if testing.Short() && i%6 > 0 {
			continue
		}
		s := fetchtest.NewMemory()
		want := map[string]int{}
		for i, key := range keys {
			body := fmt.Sprintf("id\n%d\n", i)
			s.Files = append(s.Files, fetchtest.NewFile(key, []byte(body)))
			want[body]++
		}
		f := newMemoryFetcher(t, s)
		if receipt, err := fetchPrefix(t, f); err != nil || len(receipt.Doubts) > 0 {
			t.Errorf("%q: %q, %v", keys, receipt.Doubts, err)
			continue
		}
		checkBag(t, f, fmt.Sprintf("%q", keys), want)
	}
	if n := len(keySets()); n < 60 {
		t.Errorf("%d sets of keys, want 60", n)
	}
}

// oddEntries are the names in containers, those of one together.
var oddEntries = [][]string{
	{"a.csv", "d/b.csv"}, {"订单.csv", "二〇二六/报表 1.csv"}, {"a ", "b/a\u00a0", "c\u3000"}, {"a\nb", "a\rb", "a\tb"}, {"100%", "%0A", "%25"},
	{"con.csv", "aux/x", "NUL"}, {"A.csv", "a.csv"}, {"é", "e\u0301"}, {"ab:c", "a?b", "a*", "<a>", `"`, "a|b"}, {"-", "-rf", "~a", "$HOME"},
	{strings.Repeat("a", 255), strings.Repeat("日", 85)}, {"manifest-sha256.txt", "data/bagit.txt", "receipt.json"}, {"a\u200bb", "\u202ea", "\ufeff", "a\u2028b"},
	{"a.", "b..", "d. /x"},
}

// Whatever a container and its entries are called, its files land in a bag that is
// valid.
func TestBagsOfContainersAreValid(t *testing.T) {
	if testing.Short() {
		t.Skip("one export after another")
	}
	n := 0
	for _, names := range oddEntries {
		var entries []file
		want := map[string]int{}
		for i, name := range names {
			body := fmt.Sprintf("id\n%d\n", i)
			entries = append(entries, file{name, []byte(body)})
			want[body]++
		}
		packed := tarOf(t, entries...)
		for name, body := range map[string][]byte{
			"e.zip": zipOf(t, 8, entries...), "e 1 .ZIP": zipOf(t, 0, entries...), "zstd": zipOf(t, 93, entries...),
			"e.tar": packed, "e.tgz": encode(t, "gzip", packed), "é.tar.zst": encode(t, "zstd", packed), "e.tar.lz4": encode(t, "lz4", packed),
		} {
			n++
			for _, keys := range [][]string{{name}, {name, "beside\u00a0.csv"}} {
				s := fetchtest.NewMemory(fetchtest.NewFile(name, body))
				want := maps.Clone(want)
				if len(keys) > 1 {
					s.Files = append(s.Files, fetchtest.NewFile(keys[1], []byte("beside\n")))
					want["beside\n"]++
				}
				f := newMemoryFetcher(t, s)
				if receipt, err := fetchPrefix(t, f); err != nil || slices.ContainsFunc(receipt.Doubts, isLeftOut) {
					t.Errorf("%q with %q: %+v, %v", keys, names, receipt, err)
					continue
				}
				checkBag(t, f, fmt.Sprintf("%q with %q", keys, names), want)
			}
		}
	}
	if n < 40 {
		t.Errorf("%d containers, want 40", n)
	}
}

func isLeftOut(doubt string) bool { return strings.HasPrefix(doubt, "incomplete") }

// checkBag checks that what landed under prefixKey is a valid bag with files of
// those contents.
func checkBag(t *testing.T, f *fetch.Fetcher, what string, want map[string]int) {
	t.Helper()
	if err := bagtest.Check(f.Archive.Path(prefixKey)); err != nil {
		t.Errorf("%s: %v", what, err)
	}
	got := map[string]int{}
	for _, body := range filesOfKey(t, f, prefixKey) {
		got[body]++
	}
	if !maps.Equal(got, want) {
		t.Errorf("%s: files with %v, want %v", what, got, want)
	}
}
