package worker

import (
	"bytes"
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"tallyman/fetch"
	"tallyman/verify/archive"
)

// What readDiscoverTask accepts is a payload as this package writes it, of a place.
func FuzzReadDiscoverTask(f *testing.F) {
	for _, place := range []string{"sls://cn-hangzhou/ali-test-project/", "dbs://r/i/", jobRef, "", "sls://r/../"} {
		b := payloadOf(discoverTask{Version: taskVersion, Place: place, Since: "7d", Match: "download-*", Wait: Duration(time.Hour)})
		f.Add(b)
		f.Add(b[:len(b)-1])
		f.Add(bytes.ReplaceAll(b, []byte("*"), []byte("[")))
	}
	for _, bad := range poisonPayloads {
		if len(bad.payload) < 1000 {
			f.Add([]byte(bad.payload))
		}
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		d, place, err := readDiscoverTask(asynq.NewTask(typeDiscover, payload))
		if err != nil {
			if Classify(err).Cause != "bad-task" {
				t.Errorf("refused as %v", err)
			}
			return
		}
		if !bytes.Equal(payloadOf(d), payload) || !place.IsPlace() || d.Wait < 0 {
			t.Errorf("%q: %+v of %s", payload, d, place)
		}
	})
}

// The times of what CheckCron accepts come one after the other.
func FuzzCron(f *testing.F) {
	for _, spec := range []string{"0 6 * * *", "*/15 * * * 1-5", "TZ=Asia/Shanghai 0 6 * * *", "CRON_TZ=UTC 0 0 30 2 *", "TZ=", "TZ=UTC", "@every 1s", "@daily", "", "0 0 31 2 *",
		"* * * * *", "0-59/0 * * * *", "1-1/9999999999999999999 * * * *", "? ? ? ? ?", "0 6 * * mon,TUE", "TZ=../../etc/passwd 0 0 * * *", "TZ= * * * * *"} {
		f.Add(spec)
	}
	f.Fuzz(func(t *testing.T, spec string) {
		if CheckCron(spec) != nil {
			return
		}
		e := ScheduleEntry{Cron: spec}
		now := time.Now()
		if interval := e.interval(now); interval < 0 || interval > Forever {
			t.Errorf("%q: every %v", spec, interval)
		}
		times, err := parseCron(spec)
		if err != nil {
			t.Fatalf("%q: %v", spec, err)
		}
		for at := now; !at.IsZero(); {
			next := times.Next(at)
			if !next.IsZero() && !next.After(at) {
				t.Fatalf("%q: %v after %v", spec, next, at)
			}
			if at = next; at.Sub(now) > 100*24*time.Hour || time.Since(now) > time.Second {
				return
			}
		}
	})
}

// passwordPlace matches where a URL may hold a password, be it by mistake.
var passwordPlace = regexp.MustCompile(`^[^?#]*:%s@|^[^#]*[?&](sentinel_)?password=%s`)

// No error of NewRedisClient holds the password, whatever the URL is.
func FuzzNewRedisClientErrorsHoldNoPassword(f *testing.F) {
	for _, s := range []string{"redis://u:%s@h:6379/0", "rediss://:%s@h?addr=h:1", "redis://h?password=%s", "redis://h?master_name=m&sentinel_password=%s&addr=h:1", "unix://u:%s@/s?db=x",
		"redis://:%s@h/a/b", "redis://:%s@h:x", "redis://:%s@h?dial_timeout=x", "://%s@", "redis://:%s@[::1", "redis://h:6379?unknown=x&password=%s", "redis://:%s@h:6379/x?db=1&db=2"} {
		f.Add(s, "canary+/=")
		f.Add(s, `a"b`)
	}
	f.Fuzz(func(t *testing.T, form, password string) {
		password = "canary" + password
		quoted := url.QueryEscape(password)
		if strings.Contains(form, "canary") || strings.Count(form, "%s") != 1 || !passwordPlace.MatchString(form) {
			return
		}
		address := strings.ReplaceAll(form, "%s", quoted)
		client, err := NewRedisClient(RedisOptions{URL: address})
		if err == nil {
			client.Close()
			return
		}
		if strings.Contains(err.Error(), "canary") {
			t.Errorf("%s with %q: %v", form, password, err)
		}
	})
}

// Any answer to INFO can be parsed, and a version that can't be read is not older.
func FuzzParseInfo(f *testing.F) {
	f.Add("# Server\r\nredis_version:7.2.4\r\nmaxmemory_policy:noeviction\r\n", 6, 2)
	f.Add("redis_version:6", 6, 2)
	f.Add("redis_version:-1.5\nredis_version:+9.99999999999999999999", 7, 0)
	f.Fuzz(func(t *testing.T, said string, major, minor int) {
		facts := parseInfo(said)
		for name, value := range facts {
			if !strings.Contains(said, name) || !strings.Contains(said, value) || strings.ContainsAny(name+value, "\n") {
				t.Errorf("%q: %q is %q", said, name, value)
			}
		}
		if version := facts["redis_version"]; olderThan(version, major, minor) && (version == "" || newer(version, major)) {
			t.Errorf("%q is older than %d.%d", version, major, minor)
		}
	})
}

// newer reports whether a version begins with a number greater than major.
func newer(version string, major int) bool {
	first, _, _ := strings.Cut(version, ".")
	var n int
	return json.Unmarshal([]byte(first), &n) == nil && n > major
}

// RefOf returns the reference that a record was written with, or none.
func FuzzRefOf(f *testing.F) {
	ref := parseRef(f, jobRef)
	options, _ := json.Marshal(Options{Wait: Duration(time.Hour), Revision: parseTime("2026-03-04T05:06:07Z")})
	f.Add(ref.String(), ref.Key(), options)
	f.Add(ref.String(), ref.WithRevision(parseTime("2026-03-04T05:06:07Z")).Key(), options)
	f.Add("https://h/a?Signature=x", "https/h/a", []byte(`{"signed":true}`))
	f.Add("sls://r/p/..", "../../etc", []byte(`{"again":"0000-01-01T00:00:00Z"}`))
	f.Fuzz(func(t *testing.T, reference, key string, options []byte) {
		got, o, ok := RefOf(archive.State{Reference: reference, Key: key, Options: options})
		if !ok {
			return
		}
		plain, err := fetch.ParseRef(reference)
		if err != nil || got.Key() != key || strings.Contains("/"+key+"/", "/../") || o.Revision.IsZero() && got.String() != plain.String() {
			t.Errorf("%q with key %q and %s is %s", reference, key, options, got)
		}
	})
}
