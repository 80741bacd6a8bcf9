package main

import (
	"bytes"
	"errors"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/fetch"
	"tallyman/fetch/hostguard"
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

// A shell reads a quoted reference as it is.
func FuzzQuoted(f *testing.F) {
	for _, s := range []string{"sls://cn-hangzhou/ali-test-project/download-123", "https://host/it's $HOME `here` \"too\" (1)", "''", "oss://b/~a=b%20", "obs://b/日", "dms://r/1/k?tid=1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := fetch.ParseRef(s)
		if err != nil {
			return
		}
		for _, text := range []string{ref.String(), s} {
			if words, ok := shellWords(quoted(text)); !ok || !slices.Equal(words, []string{text}) {
				t.Errorf("%q is quoted as %s, which a shell reads as %q", text, quoted(text), words)
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

// Whatever the configuration file is, it is taken or refused as usage, and what
// is in it is not shown but for the words of its keys and the names of hosts.
func FuzzConfig(f *testing.F) {
	for _, s := range []string{"part-size: 4MiB\nwait: 3600\n", "endpoint: {sls: http://127.0.0.1:1}\n", "places:\n  - {match: \"sls://cn-hangzhou/\", profile: a}\n", "allow-host: [a, 'b:1']\n",
		"schedule:\n  - place: sls://cn-hangzhou/p/\n    cron: \"0 6 * * *\"\n    since: 7d\n", "schedule: [{place: sls://r/p/, every: 1h, match: 'a*'}]", "a: &a {b: *a}\n", "? a\n: b\n", "--- \n---\na: 1\n",
		"redis: redis://:canary@h\n", "access-key-secret: canary\n", "%YAML 1.3\n---\n", "wait: !!int \"canary\"\n", "<<: {a: 1}\n", "\xff\xfe", "wait: |\n  1h\n", "- a\n", "json: yes\n", "a", ""} {
		f.Add([]byte(s))
	}
	known := allFlags()
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 10_000 || anchors(text) {
			return
		}
		o := &options{}
		cmd := &cobra.Command{}
		o.endpoints = flagvalue.NewEndpoints(providerNames)
		o.transfer(cmd.Flags())
		c := &config{name: "config.yaml", o: o, flags: cmd.Flags(), known: known}
		err := c.read(text)
		if _, usage := errors.AsType[*usageError](err); err != nil && !usage {
			t.Errorf("%q: %v", text, err)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "config.yaml:") {
			t.Errorf("%q: %v", text, err)
		}
		for _, entry := range o.schedule {
			if whole(entry) != nil {
				t.Errorf("%q: %+v", text, entry)
			}
		}
		for _, p := range o.places {
			if p.Profile == "" || !strings.Contains(p.Match, "://") {
				t.Errorf("%q: %+v", text, p)
			}
		}
	})
}

// anchors reports whether a file may refer to itself.
func anchors(text []byte) bool {
	return bytes.IndexByte(text, '*') >= 0 && bytes.IndexByte(text, '&') >= 0
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

// A host that --allow-host takes is allowed.
func FuzzAllowHost(f *testing.F) {
	for _, s := range []string{"127.0.0.1:80", "[::1]:80", "h/", "u@h", "h:1:2", "host.example"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		o := options{hosts: []string{s}}
		if u := (&url.URL{Scheme: "https", Host: s, Path: "/a"}); strings.Count(s, ":") < 2 && o.checkHosts() == nil && (&hostguard.Policy{Allow: o.hosts}).Check(u) != nil {
			t.Errorf("--allow-host %q does not allow it", s)
		}
	})
}
