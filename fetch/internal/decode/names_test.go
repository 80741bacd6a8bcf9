package decode

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func hashOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:16])
}

func TestSafeNameEscapesUnsafeCharacters(t *testing.T) {
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
		{long + ".csv", long[:120] + "~" + hashOf(long+".csv") + ".csv"},
		{"d/" + long, "d/" + long[:120] + "~" + hashOf(long)},
		{strings.Repeat("日", 70), strings.Repeat("日", 40) + "~" + hashOf(strings.Repeat("日", 70))},
		{"a" + strings.Repeat("日", 70), "a" + strings.Repeat("日", 39) + "~" + hashOf("a"+strings.Repeat("日", 70))},
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
