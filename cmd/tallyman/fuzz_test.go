package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"tallyman/fetch"
)

// The lines of a file are those that are not blank and no comments, each with
// its number, up to one that is too long.
func FuzzReadLines(f *testing.F) {
	for _, s := range []string{"", "sls://r/p/j\n", "\ufeffsls://r/p/j\r\n# no\n\n  #no\n oss://b/k #yes", "a\rb\n\x00\n", "\n\n\ufeffa", strings.Repeat("x", 100) + "\n\x85"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var want, got []line
		for i, s := range strings.Split(text, "\n") {
			if s = strings.TrimSpace(strings.TrimPrefix(strings.TrimSuffix(s, "\r"), "\ufeff")); s != "" && s[0] != '#' {
				want = append(want, line{file: "f", number: i + 1, text: s})
			}
		}
		readLines("f", strings.NewReader(text), func(l line) bool { got = append(got, l); return true })
		if !slices.Equal(got, want) {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	})
}

// A path of the archive is inside it, whatever the reference is.
func FuzzPathsStayInTheArchive(f *testing.F) {
	for _, s := range []string{"sls://r/p/..", "oss://b/../../etc", "https://h/a/../..", "obs://b/%2e%2e/", "dis://r/t/" + strings.Repeat("x", 200)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := fetch.ParseRef(s)
		if err != nil {
			return
		}
		if key := ref.Key(); !filepath.IsLocal(key) || filepath.Clean(key) != key || strings.ContainsFunc(key, func(r rune) bool { return r < ' ' }) {
			t.Errorf("%q has key %q", s, key)
		}
	})
}
