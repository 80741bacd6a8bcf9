package unpack

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

func TestUnsafeNamesAreRefused(t *testing.T) {
	for _, c := range []struct{ name, says string }{
		{"", "empty element"},
		{"/", "empty element"},
		{"/etc/passwd", "absolute"},
		{"//host/share", "absolute"},
		{"a//b", "empty element"},
		{"a//", "empty element"},
		{".", "the element ."},
		{"./a", "the element ."},
		{"a/./b", "the element ."},
		{"..", "the element .."},
		{"../a", "the element .."},
		{"a/../b", "the element .."},
		{"a/..", "the element .."},
		{"...", "the element ..."},
		{".. /a", "the element .. "},
		{"a/. ./b", "the element . ."},
		{`..\a`, "the element .."},
		{`a\..\..\b`, "the element .."},
		{`\a`, "absolute"},
		{`\\host\share`, "absolute"},
		{"C:", "drive"},
		{"C:a", "drive"},
		{"c:/a", "drive"},
		{`C:\a`, "drive"},
		{"a\x00b", "U+0000"},
		{"\xc0\xae\xc0\xae\xc0\xafa", "the element .."}, // ../a, overlong
		{"\xe0\x80\xae./a", "the element .."},
		{"~", "home directory"},
		{"~/.ssh/authorized_keys", "home directory"},
		{"~root/x", "home directory"},
		{`~root\x`, "home directory"},
		{strings.Repeat("a/", 2048) + "b", "more than 4096"},
	} {
		_, err := newNames(Limits{}.withDefaults()).add(c.name)
		refused(t, err, ErrUnsafeName, c.says)
		zipCase{name: c.name, zip: named1(c.name), kind: ErrUnsafeName, says: c.says}.run(t)
	}
}

// What other tools write is unpacked, whatever system it is from.
func TestNamesThatSomeSystemCanNotHoldAreEscaped(t *testing.T) {
	hash := func(s string) string { return fmt.Sprintf("~%x", sha256.Sum256([]byte(s)))[:33] }
	for name, want := range map[string]string{
		`win\path\a.csv`:                  "win_5cpath_5ca.csv",
		"2026-01-02T03:04.csv":            "2026-01-02T03_3a04.csv",
		`a*?<>|"b`:                        "a_2a_3f_3c_3e_7c_22b",
		"a\nb":                            "a_0ab",
		"a\x1bb\x7f":                      "a_1bb_7f",
		"a\u0085b":                        "a_c2_85b",
		"a\u00adb\u200bb":                 "a_c2_adb_e2_80_8bb",
		"gpj.\u202etxt":                   "gpj._e2_80_aetxt",
		"\ufeffa":                         "_ef_bb_bfa",
		"a\U000e0041b":                    "a_f3_a0_81_81b",
		"\xb6\xa9\xb5\xa5.csv":            "_b6_a9_b5_a5.csv", // GBK
		"\xb3\x5c\xa5\x5c/a":              "_b3_5c_a5_5c/a",   // Big5
		"\x81.txt":                        "_81.txt",          // CP437
		"a\xed\xa0\x80":                   "a_ed_a0_80",       // a surrogate
		"-":                               "_2d",              // as "… | zip" writes it
		"-rf":                             "_2drf",
		"--/a":                            "_2d-/a",
		"~$book.xlsx":                     "_7e$book.xlsx",
		"a.":                              "a_2e",
		"a ":                              "a_20",
		"a./b":                            "a_2e/b",
		"a\u3000/b\u00a0":                 "a_e3_80_80/b_c2_a0",
		"CON":                             "_43ON",
		"con.csv":                         "_63on.csv",
		"a/NUL/b":                         "a/_4eUL/b",
		"PRN.tar.gz":                      "_50RN.tar.gz",
		"nul .txt":                        "_6eul .txt",
		"conout$":                         "_63onout$",
		"COM0":                            "_43OM0",
		"lpt².x":                          "_6cpt².x",
		"100%":                            "100_25",
		"$HOME":                           "_24HOME",
		strings.Repeat("a", 256) + ".csv": strings.Repeat("a", 120) + hash(strings.Repeat("a", 256)+".csv") + ".csv",
		strings.Repeat("订", 100) + ".csv": strings.Repeat("订", 40) + hash(strings.Repeat("订", 100)+".csv") + ".csv",
	} {
		got, err := newNames(Limits{}.withDefaults()).add(name)
		if got != want || err != nil {
			t.Errorf("%q: %q, %v, want %q", name, got, err, want)
		}
		files, err := unzip(t, named1(name).bytes(t), Limits{})
		if _, ok := files[want]; !ok || err != nil {
			t.Errorf("a zip with %q: %q, %v, want %q", name, files, err, want)
		}
	}
}

func TestPlainNamesAreAccepted(t *testing.T) {
	for _, name := range []string{
		"a", "a/b/c", "d/", ".hidden", "..a", "a..b", "a b", " a", "a~", "a/~", "a-b", "a/-b", "console",
		"COM", "COM10", "COMa", "com", "LPT", "lpt11", "nul_", "aNUL", "ü.csv", "u\u0308.csv", "订单.csv", "❤️", "\ufffd",
		strings.Repeat("a", 180), strings.Repeat("a/", 2047) + "b",
	} {
		if file, err := newNames(Limits{}.withDefaults()).add(name); file != strings.TrimSuffix(name, "/") || err != nil {
			t.Errorf("%q: %q, %v", name, file, err)
		}
	}
}

func TestNamesThatCollideOnSomeFileSystemAreRefused(t *testing.T) {
	for _, c := range []struct {
		names []string
		says  string // "": pass
	}{
		{[]string{"a", "b", "a/"}, `"a" is a file and a directory`},
		{[]string{"a", "a"}, `"a" is there twice`},
		{[]string{"d/", "d/"}, `"d" is there twice`},
		{[]string{"a/b", "a/b"}, `"a/b" is there twice`},
		{[]string{"A", "a", "A"}, `"A" is there twice`},
		{[]string{"A", "a", "a"}, `"a" is there twice`},
		{[]string{"a", "a/b"}, `"a" is a file and a directory`},
		{[]string{"a/b", "a"}, `"a" is a file and a directory`},
		{[]string{"a/b/c/d", "a/b"}, `"a/b" is a file and a directory`},
		{[]string{"aa:b", "aa_3ab"}, `"aa:b" and "aa_3ab" would be one file`},
		{[]string{"aa_3ab", "aa:b"}, "would be one file"},
		{[]string{"A", "a", "a~ca978112ca1bbdcafac231b39a23dc4d"}, "would be one file"},
		{[]string{"A", "a~ca978112ca1bbdcafac231b39a23dc4d", "a"}, "would be one file"},
		{[]string{"d/a", "d/b", "d/", "d/e/f", "d/e/"}, ""},
		{[]string{"d/", "d/a", "d/b"}, ""},
		{[]string{"a", "a.b", "ab"}, ""},
		{[]string{"ü/a", "ü/b", "u/a"}, ""},
	} {
		n := newNames(Limits{}.withDefaults())
		var err error
		for _, name := range c.names {
			_, another := n.add(name)
			err = errors.Join(err, another)
		}
		kind := ErrUnsafeName
		if c.says == "" {
			kind = nil
		}
		t.Run(strings.Join(c.names, " "), func(t *testing.T) { refused(t, err, kind, c.says) })
	}
}

// The first of them has its own name, each other one a hash.
func TestNamesThatDifferInCaseOrNormalFormGetDifferentFiles(t *testing.T) {
	for _, c := range []struct{ names, files []string }{
		{[]string{"Data.csv", "data.csv", "DATA.csv"}, []string{"Data.csv", "data~#.csv", "DATA~#.csv"}},
		{[]string{"straße", "STRASSE"}, []string{"straße", "STRASSE~#"}},
		{[]string{"\u00e9", "e\u0301"}, []string{"\u00e9", "e\u0301~#"}},
		{[]string{"\u00c9", "e\u0301"}, []string{"\u00c9", "e\u0301~#"}},
		{[]string{"K", "\u212a"}, []string{"K", "\u212a~#"}}, // Kelvin
		{[]string{"Å", "\u212b"}, []string{"Å", "\u212b~#"}}, // Ångström
		{[]string{"ς", "Σ"}, []string{"ς", "Σ~#"}},
		{[]string{"\u0130", "i\u0307"}, []string{"\u0130", "i\u0307~#"}}, // İ
		{[]string{"ſ", "S"}, []string{"ſ", "S~#"}},
		{[]string{"ﬁ", "FI"}, []string{"ﬁ", "FI~#"}},
		{[]string{"D/a", "d/b", "D/c", "d/e"}, []string{"D/a", "d~#/b", "D/c", "d~#/e"}},
		{[]string{"d/a", "D/", "D/a"}, []string{"d/a", "D~#", "D~#/a"}},
		{[]string{"a/b", "A"}, []string{"a/b", "A~#"}},
		{[]string{"x/\u00e9/a", "x/e\u0301/a"}, []string{"x/\u00e9/a", "x/e\u0301~#/a"}},
		{[]string{"Con", "con"}, []string{"_43on", "_63on"}},
	} {
		n := newNames(Limits{}.withDefaults())
		for i, name := range c.names {
			got, err := n.add(name)
			if got = hashes.ReplaceAllString(got, "~#"); got != c.files[i] || err != nil {
				t.Errorf("%q of %q: %q, %v, want %q", name, c.names, got, err, c.files[i])
			}
		}
	}
}

var hashes = regexp.MustCompile(`~[0-9a-f]{32}`)

func TestAllNamesTogetherAreBounded(t *testing.T) {
	n := newNames(Limits{}.withDefaults())
	n.bytes = maxAllNames - 1
	_, err := n.add("a")
	refused(t, err, nil, "")
	_, err = n.add("b")
	refused(t, err, ErrBomb, "which is the limit")
}
