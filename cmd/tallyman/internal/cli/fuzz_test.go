package cli

import (
	"slices"
	"strings"
	"testing"

	"tallyman/fetch"

	_ "tallyman/fetch/dbs"
	_ "tallyman/fetch/dis"
	_ "tallyman/fetch/dms"
	_ "tallyman/fetch/obs"
	_ "tallyman/fetch/oss"
	_ "tallyman/fetch/sls"
	_ "tallyman/fetch/web"
)

// A shell reads a quoted reference as it is.
func FuzzShellQuote(f *testing.F) {
	for _, s := range []string{"sls://cn-hangzhou/ali-test-project/download-123", "https://host/it's $HOME `here` \"too\" (1)", "''", "oss://b/~a=b%20", "obs://b/日", "dms://r/1/k?tid=1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := fetch.ParseRef(s)
		if err != nil {
			return
		}
		for _, text := range []string{ref.String(), s} {
			if words, ok := shellWords(ShellQuote(text)); !ok || !slices.Equal(words, []string{text}) {
				t.Errorf("%q is quoted as %s, which a shell reads as %q", text, ShellQuote(text), words)
			}
		}
	})
}

// shellWords are the words of a command line, by the rules of POSIX for single
// quotes and backslashes. It is not ok where another rule would apply.
func shellWords(s string) (words []string, ok bool) {
	var word strings.Builder
	begun := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\'':
			end := strings.IndexByte(s[i+1:], '\'')
			if end < 0 {
				return nil, false
			}
			word.WriteString(s[i+1 : i+1+end])
			i, begun = i+1+end, true
		case c == '\\' && i+1 < len(s):
			i++
			word.WriteByte(s[i])
			begun = true
		case c == ' ' || c == '\t' || c == '\n':
			if begun {
				words = append(words, word.String())
			}
			word.Reset()
			begun = false
		case strings.IndexByte("\"`$&|;<>()*?[#~!{}", c) >= 0:
			return nil, false
		default:
			word.WriteByte(c)
			begun = true
		}
	}
	if begun {
		words = append(words, word.String())
	}
	return words, true
}
