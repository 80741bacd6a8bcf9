package flagvalue

import (
	"maps"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	"tallyman/verify/archive"
)

// A size is as many bytes as arithmetic makes of it, or it is refused.
func FuzzSize(f *testing.F) {
	for _, s := range []string{"0", "65536", "64 KiB", "2GiB", "7B", "-1", "1.5MiB", "KiB", "1TiB", "9223372036854775807GiB", "+1KB", "0x10", "4m", "1e3", "1/2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseSize(text)
		if err != nil {
			return
		}
		number := strings.TrimRight(text, "kKmMgGtTiIbB \t\n\v\f\r\u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000\u212a")
		n, ok := new(big.Rat).SetString(number)
		unit := map[string]int64{"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40,
			"KI": 1 << 10, "MI": 1 << 20, "GI": 1 << 30, "TI": 1 << 40, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40}[strings.ToUpper(strings.TrimSpace(text[len(number):]))]
		if !ok || got < 0 {
			t.Fatalf("%q is %d", text, got)
		}
		rest := n.Sub(n.Mul(n, new(big.Rat).SetInt64(unit)), new(big.Rat).SetInt64(got))
		if rest.Sign() < 0 || rest.Cmp(big.NewRat(1, 1)) >= 0 {
			t.Errorf("%q is %d, and %v more", text, got, rest)
		}
	})
}

// A duration without days and weeks is Go's, with them it is as much longer,
// and it is never less than nothing; a time is read alike each time.
func FuzzDurationAndTime(f *testing.F) {
	for _, s := range []string{"0", "90s", "1w2d3h", "1d0s", "1.5s", "7", "d", "-1d", "1d-25h", "8000w8000w", "1w2562047h", "fri", "Wednesday", "yesterday", "today", "now", "2 days ago", "1 week", "7d ago", "2026-01-31", "2026-01-31T06:00:00+14:00", "0000-01-01", "9999-12-31T23:59:60Z", ""} {
		f.Add(s, int64(1772600767))
	}
	f.Fuzz(func(t *testing.T, text string, at int64) {
		d, err := ParseDuration(text)
		if err != nil && d != 0 || d < 0 {
			t.Errorf("%q: %v, and %v", text, err, d)
		}
		if plain, goErr := time.ParseDuration(text); goErr == nil && !strings.ContainsAny(text, "dw") && (err == nil) != (plain >= 0) || err == nil && goErr == nil && plain != d {
			t.Errorf("%q is %v, %v; in Go %v", text, d, err, plain)
		}
		if again, againErr := ParseDuration(d.String()); err == nil && (againErr != nil || again != d) {
			t.Errorf("%q is %v, and that %v", text, d, again)
		}
		now := time.Unix(at%(1<<34), 0).UTC()
		w, timeErr := parseTime(text, now)
		if timeErr != nil {
			if !w.IsZero() || err == nil {
				t.Errorf("%q is refused, and %v", text, w)
			}
			return
		}
		_, dateErr := time.Parse(time.DateOnly, text)
		_, exactErr := time.Parse(time.RFC3339, text)
		if timeErr == nil && (text == "now" || strings.HasSuffix(text, "ago")) {
			if w.After(now) {
				t.Errorf("%q at %v is %v", text, now, w)
			}
			return
		}
		if weekday := err != nil && dateErr != nil && exactErr != nil; weekday && (w.After(now) || now.Sub(w) >= 7*24*time.Hour || w.Hour() != 0) {
			t.Errorf("%q at %v is %v", text, now, w)
		}
		if err == nil && !w.Equal(now.Add(-d)) {
			t.Errorf("%q before %v is %v", text, now, w)
		}
	})
}

// A share of the archive is one of as many as there are.
func FuzzShard(f *testing.F) {
	for _, s := range []string{"", "1/1", "1/7", "7/7", "8/7", "0/7", "1/0", "1", "/", "1/7/7", "-1/7", "01/007", "4294967295/4294967295"} {
		f.Add(s, "sls/r/p/j")
	}
	f.Fuzz(func(t *testing.T, s, key string) {
		p, err := ParseShard(s)
		if err == nil && s != "" && (p.K < 1 || p.K > p.N) {
			t.Errorf("%q is %+v", s, p)
		}
		if err != nil || s == "" || p.N > 100 {
			return
		}
		holders := 0
		for k := range p.N {
			if (archive.Shard{K: k + 1, N: p.N}).Has(key) {
				holders++
			}
		}
		if holders != 1 {
			t.Errorf("%d of %d have %q", holders, p.N, key)
		}
	})
}

// Values of flags with a form of their own are shown as what they were given
// as, or as something that means the same; none keeps a password.
func FuzzBucketEndpointsAndRedisURL(f *testing.F) {
	for _, s := range []string{"my-backups@cn-hangzhou", "b", "bucket", "a@", "sls=http://127.0.0.1:8080/", "sls=https://u:p@h", "oss=http://[::1]:1", "dis=ftp://h", "redis://h:6379/0", "redis:pw@h",
		"rediss://u:p@h", "redis://h?password=x", "unix:///s?db=1", "127.0.0.1:80", "[::1]:80", "h/", "u@h", "h:1:2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if bucket, err := ParseBucket(s); err == nil && strings.TrimSuffix(bucket.Name+"@"+bucket.Region, "@") != s {
			t.Errorf("bucket %q is %+v", s, bucket)
		}
		e := NewEndpoints([]string{"sls", "dms", "dbs", "dis", "oss", "obs"})
		if e.Set(s) == nil {
			for name, address := range maps.All(e.Value) {
				u, err := url.Parse(address)
				if err != nil || u.Host == "" || u.User != nil || u.Path+u.RawQuery != "" || !strings.HasPrefix(s, name+"=") {
					t.Errorf("endpoint %q is %s", s, address)
				}
			}
		} else if len(e.Value) > 0 {
			t.Errorf("endpoint %q is refused, and %v", s, e.Value)
		}
		r, err := ParseRedisURL(s)
		if err == nil && (r != s || strings.Contains(s, ":canary@")) {
			t.Errorf("Redis %q is %q", s, r)
		}
		if r, err := ParseRedisURL("redis://h/" + s + "?password=canary"); err == nil && strings.Contains(r, "?") && !strings.ContainsAny(s, "?#") {
			t.Errorf("Redis %q with a password is %q", s, r)
		}
		if _, err := ParseRedisURL("redis:" + s + "canary@h"); err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("Redis %q: %v", s, err)
		}
	})
}
