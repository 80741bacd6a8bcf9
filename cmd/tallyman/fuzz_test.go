package main

import (
	"bytes"
	"errors"
	"maps"
	"math/big"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"tallyman/fetch"
)

// A size is as many bytes as arithmetic makes of it, or it is refused and the
// flag stays as it was; what is shown of it is read as about the same.
func FuzzSize(f *testing.F) {
	for _, s := range []string{"0", "65536", "64 KiB", "2GiB", "7B", "-1", "1.5MiB", "KiB", "1TiB", "9223372036854775807GiB", "+1KB", "0x10"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := size(7)
		if err := got.Set(text); err != nil {
			if got != 7 {
				t.Errorf("%q is refused, and %d", text, got)
			}
			return
		}
		number := strings.TrimRight(text, "KMGiB")
		n, ok := new(big.Int).SetString(strings.TrimSpace(number), 10)
		unit := map[string]int64{"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}[text[len(number):]]
		if !ok || n.Mul(n, big.NewInt(unit)).Cmp(big.NewInt(int64(got))) != 0 || got < 0 {
			t.Errorf("%q is %d, want %v", text, got, n)
		}
	})
}

// A duration without days and weeks is Go's, with them it is as much longer,
// and it is never less than nothing; a time is read alike each time.
func FuzzSpanAndWhen(f *testing.F) {
	for _, s := range []string{"0", "90s", "1w2d3h", "1d0s", "1.5s", "7", "d", "-1d", "1d-25h", "8000w8000w", "1w2562047h", "fri", "Wednesday", "2026-01-31", "2026-01-31T06:00:00+14:00", "0000-01-01", "9999-12-31T23:59:60Z", ""} {
		f.Add(s, int64(1772600767))
	}
	f.Fuzz(func(t *testing.T, text string, at int64) {
		d := span(7)
		err := d.Set(text)
		if err != nil && d != 7 || d < 0 {
			t.Errorf("%q: %v, and %v", text, err, time.Duration(d))
		}
		if plain, goErr := time.ParseDuration(text); goErr == nil && !strings.ContainsAny(text, "dw") && (err == nil) != (plain >= 0) || err == nil && goErr == nil && plain != time.Duration(d) {
			t.Errorf("%q is %v, %v; in Go %v", text, time.Duration(d), err, plain)
		}
		if again := span(0); err == nil && (again.Set(d.String()) != nil || again != d) {
			t.Errorf("%q is %v, and that %v", text, &d, &again)
		}
		now := time.Unix(at%(1<<34), 0).UTC()
		w := when{now: func() time.Time { return now }}
		if w.Set(text) != nil {
			if !w.IsZero() || err == nil {
				t.Errorf("%q is refused, and %v", text, w.Time)
			}
			return
		}
		if _, named := weekday(text); named && (w.After(now) || now.Sub(w.Time) >= 7*24*time.Hour || w.Hour() != 0) {
			t.Errorf("%q at %v is %v", text, now, w.Time)
		}
		if err == nil && !w.Equal(now.Add(-time.Duration(d))) {
			t.Errorf("%q before %v is %v", text, now, w.Time)
		}
	})
}

// A share of the archive is one of as many as there are.
func FuzzPart(f *testing.F) {
	for _, s := range []string{"", "1/1", "1/7", "7/7", "8/7", "0/7", "1/0", "1", "/", "1/7/7", "-1/7", "01/007", "4294967295/4294967295"} {
		f.Add(s, "sls/r/p/j")
	}
	f.Fuzz(func(t *testing.T, s, key string) {
		p, err := parsePart(s)
		if err == nil && (p.k < 1 || p.k > p.n) {
			t.Errorf("%q is %+v", s, p)
		}
		if err != nil || p.n > 100 {
			return
		}
		holders := 0
		for k := range p.n {
			if (part{k + 1, p.n}).has(key) {
				holders++
			}
		}
		if holders != 1 {
			t.Errorf("%d of %d have %q", holders, p.n, key)
		}
	})
}

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

// Values of flags with a form of their own are shown as what they were given
// as, or as something that means the same; none keeps a password.
func FuzzFormsOfFlags(f *testing.F) {
	for _, s := range []string{"my-backups@cn-hangzhou", "b", "bucket", "a@", "sls=http://127.0.0.1:8080/", "sls=https://u:p@h", "oss=http://[::1]:1", "dis=ftp://h", "redis://h:6379/0", "redis:pw@h",
		"rediss://u:p@h", "redis://h?password=x", "unix:///s?db=1", "127.0.0.1:80", "[::1]:80", "h/", "u@h", "h:1:2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var bucket, again sink
		if bucket.Set(s) == nil && (bucket.String() != s || again.Set(bucket.String()) != nil || again != bucket) {
			t.Errorf("sink %q is %+v", s, bucket)
		}
		e := endpoints{}
		if e.Set(s) == nil {
			for name, address := range maps.All(e) {
				u, err := url.Parse(address)
				if err != nil || u.Host == "" || u.User != nil || u.Path+u.RawQuery != "" || !strings.HasPrefix(s, name+"=") {
					t.Errorf("endpoint %q is %s", s, address)
				}
			}
		} else if len(e) > 0 {
			t.Errorf("endpoint %q is refused, and %v", s, e)
		}
		var r redisURL
		if r.Set(s) == nil && (r.text != s || strings.Contains(s, ":canary@")) || r.Set("redis://h/"+s+"?password=canary") == nil && strings.Contains(r.text, "?") && !strings.ContainsAny(s, "?#") {
			t.Errorf("Redis %q is %q", s, r.text)
		}
		if err := (&redisURL{}).Set("redis:" + s + "canary@h"); err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("Redis %q: %v", s, err)
		}
		o := options{hosts: []string{s}}
		if u := (&url.URL{Scheme: "https", Host: s, Path: "/a"}); strings.Count(s, ":") < 2 && o.checkHosts() == nil && (&fetch.Hosts{Allow: o.hosts}).Check(u) != nil {
			t.Errorf("--allow-host %q does not allow it", s)
		}
	})
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
		o.endpoints = endpoints{}
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
