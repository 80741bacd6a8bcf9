package unpack

import (
	"errors"
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
		{`a\b`, `'\'`},
		{`..\a`, `'\'`},
		{`\\host\share`, `'\'`},
		{"C:", "':'"},
		{"C:a", "':'"},
		{"c:/a", "':'"},
		{"a:stream", "':'"},
		{"a\x00b", "U+0000"},
		{"a\nb", "U+000A"},
		{"a\x1bb", "U+001B"},
		{"a\x7fb", "U+007F"},
		{"a\u0085b", "U+0085"},
		{"a\u00adb", "U+00AD"},
		{"a\u200bb", "U+200B"},
		{"a\u200fb", "U+200F"},
		{"a\u2028b", "U+2028"},
		{"a\u2029b", "U+2029"},
		{"gpj.\u202etxt", "U+202E"},
		{"a\u2066b", "U+2066"},
		{"\ufeffa", "U+FEFF"},
		{"a\U000e0041b", "U+E0041"},
		{"a\xffb", "not UTF-8"},
		{"\xc1\xaa\xcd\xa8", "not UTF-8"},          // GBK
		{"\x81.txt", "not UTF-8"},                  // CP437
		{"a\xed\xa0\x80", "not UTF-8"},             // a surrogate
		{"\xc0\xae\xc0\xae\xc0\xafa", "not UTF-8"}, // ../a, overlong
		{"\xe0\x80\xae./a", "not UTF-8"},
		{"~", "home directory"},
		{"~/.ssh/authorized_keys", "home directory"},
		{"~root/x", "home directory"},
		{"-rf", "option"},
		{"--/a", "option"},
		{"a.", "ends in a dot or a space"},
		{"a ", "ends in a dot or a space"},
		{"a./b", "ends in a dot or a space"},
		{"...", "ends in a dot or a space"},
		{"CON", "device"},
		{"con", "device"},
		{"a/NUL/b", "device"},
		{"aux.txt", "device"},
		{"CON.txt", "device"},
		{"PRN.tar.gz", "device"},
		{"nul .txt", "device"},
		{"CONIN$", "device"},
		{"conout$", "device"},
		{"COM1", "device"},
		{"com9.csv", "device"},
		{"COM0", "device"},
		{"lpt1", "device"},
		{"COM¹", "device"},
		{"lpt².x", "device"},
		{"LPT³", "device"},
		{strings.Repeat("a", 256), "more than 255 bytes"},
		{strings.Repeat("ü", 128), "more than 255 bytes"},
		{strings.Repeat("a/", 2048) + "b", "more than 4096"},
	} {
		refused(t, newNames(Limits{}.withDefaults()).add(c.name), ErrUnsafeName, c.says)
		zipCase{name: c.name, zip: named1(c.name), kind: ErrUnsafeName, says: c.says}.run(t)
	}
}

func TestPlainNamesAreAccepted(t *testing.T) {
	for _, name := range []string{
		"a", "a/b/c", "d/", ".hidden", "..a", "a..b", "a b", " a", "a~", "a/~", "a-b", "a/-b", "$HOME", "a*?<>|\"b", "%2e%2e", "console",
		"COM", "COM10", "COMa", "com", "LPT", "lpt11", "nul_", "aNUL", "ü.csv", "u\u0308.csv", "订单.csv", "❤️", "\ufffd",
		strings.Repeat("a", 255), strings.Repeat("a/", 2047) + "b",
	} {
		if err := newNames(Limits{}.withDefaults()).add(name); err != nil {
			t.Errorf("%q: %v", name, err)
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
		{[]string{"a", "A"}, `"a" and "A" are one`},
		{[]string{"straße", "STRASSE"}, "are one"},
		{[]string{"\u00e9", "e\u0301"}, "are one"},
		{[]string{"\u00c9", "e\u0301"}, "are one"},
		{[]string{"K", "\u212a"}, "are one"}, // Kelvin
		{[]string{"Å", "\u212b"}, "are one"}, // Ångström
		{[]string{"ς", "Σ"}, "are one"},
		{[]string{"\u0130", "i\u0307"}, "are one"}, // İ
		{[]string{"ſ", "S"}, "are one"},
		{[]string{"ﬁ", "FI"}, "are one"},
		{[]string{"ß/a", "SS/b"}, "are one"},
		{[]string{"D/a", "d/b"}, `"D" and "d" are one`},
		{[]string{"d/a", "D/"}, `"d" and "D" are one`},
		{[]string{"D/", "d/a"}, `"D" and "d" are one`},
		{[]string{"a", "a/b"}, `"a" is a file and a directory`},
		{[]string{"a/b", "a"}, `"a" is a file and a directory`},
		{[]string{"a/b/c/d", "a/b"}, `"a/b" is a file and a directory`},
		{[]string{"a/b", "A"}, `"a" and "A" are one`},
		{[]string{"x/\u00e9/a", "x/e\u0301/b"}, "are one"},
		{[]string{"d/a", "d/b", "d/", "d/e/f", "d/e/"}, ""},
		{[]string{"d/", "d/a", "d/b"}, ""},
		{[]string{"a", "a.b", "ab"}, ""},
		{[]string{"ü/a", "ü/b", "u/a"}, ""},
	} {
		n := newNames(Limits{}.withDefaults())
		var err error
		for _, name := range c.names {
			err = errors.Join(err, n.add(name))
		}
		kind := ErrUnsafeName
		if c.says == "" {
			kind = nil
		}
		t.Run(strings.Join(c.names, " "), func(t *testing.T) { refused(t, err, kind, c.says) })
	}
}

func TestAllNamesTogetherAreBounded(t *testing.T) {
	n := newNames(Limits{}.withDefaults())
	n.bytes = maxAllNames - 1
	refused(t, n.add("a"), nil, "")
	refused(t, n.add("b"), ErrBomb, "which is the limit")
}
