package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"tallyman/fetch/sandbox"
)

// Files made by version 0.x, of June to November 2026. Commit 079e816 made
// them: an archive in which things have landed, failed, been cancelled and been
// killed in the middle of a transfer; the Redis of a worker that was killed
// beside it, with tasks pending, active, to be tried again, archived and
// completed; and a configuration file. What is on disk or in Redis after an
// upgrade has to be taken up, so these files are never made anew: a newer
// version gets files of its own.
const earlierFiles = "testdata/v0"

// The states of the exports in those files.
var (
	earlierLanded = []string{"landed", "doubtful", "queued-landed"}
	earlierFailed = []string{"failed", "not-ready", "queued-failed"}
	earlierBegun  = []string{"partial", "queued-active", "queued-last", "queued-next", "queued-retry", "queued-waiting"} // the archive knows of them
	earlierNew    = []string{"queued-new"}                                                                               // Redis alone does
)

// repeatedRows are the bytes of the exports whose transfer was interrupted: so
// alike that an archive of them is small.
func repeatedRows(n int) []byte {
	var b bytes.Buffer
	b.WriteString("id,text\n")
	for i := range n {
		fmt.Fprintf(&b, "%d,the same words in every row of this file\n", i%10)
	}
	return b.Bytes()
}

// earlierCluster is a cloud that has the exports of those files, all of them
// ready now, and an archive made by the earlier version.
func earlierCluster(t *testing.T) *cluster {
	t.Helper()
	q := newCluster(t, testCloud())
	for name, file := range map[string]sandbox.File{
		"partial": {Rows: 12000, Body: repeatedRows(12000)}, "queued-active": {Rows: 4000, Body: repeatedRows(4000)}, "queued-retry": {Rows: 30, Seed: 7},
		"queued-waiting": {Rows: 30, Codec: "zstd", Seed: 6}, "queued-next": {Rows: 30, Codec: "zstd", Seed: 8}, "queued-last": {Rows: 30, Codec: "zstd", Seed: 8},
		"queued-new": {Rows: 30, Codec: "zstd", Seed: 9}, "not-ready": {Rows: 30, Codec: "zstd", Seed: 4}, "failed": {Rows: 30}, "queued-failed": {Rows: 30}, "cancelled": {Rows: 30},
	} {
		if file.Body != nil {
			file.Name = "x.csv"
		}
		q.cloud.AddJob(testProject, sandbox.Job{Name: name, File: file})
	}
	unpackArchive(t, filepath.Join(earlierFiles, "archive.tar.gz"), q.archive)
	return q
}

// unpackArchive puts the tree in a tar.gz in place of the directory dir.
func unpackArchive(t *testing.T, path, dir string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(dir, strings.TrimPrefix(header.Name, "archive"))
		if header.Typeflag == tar.TypeDir {
			if err := os.MkdirAll(to, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, content, header.FileInfo().Mode()); err != nil {
			t.Fatal(err)
		}
	}
}

// exportStatus is what status --json says of one export.
type exportStatus struct {
	Reference, State, Cause, Path string
	Received                      int64
}

// statuses are those of all exports of the test's project that status lists,
// by the name of the job.
func (q *cluster) statuses(t *testing.T, env ...string) map[string]exportStatus {
	t.Helper()
	p := q.command(t, "status", "--json", "--since", "2026-01-01")
	p.Env = append(p.Env, env...)
	p.runs(t, 0)
	all := map[string]exportStatus{}
	for line := range strings.Lines(p.stdout.String()) {
		var s exportStatus
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if s.Reference != "" {
			all[filepath.Base(s.Reference)] = s
		}
	}
	return all
}

func (q *cluster) servedOf(name string) int64 {
	return q.cloud.Counts().Jobs[testProject+"/"+name].Bytes
}

// noQueue has a command of a cluster do without its Redis.
const noQueue = "REDIS_URL="

func TestAnArchiveOfAnEarlierVersionIsTakenUp(t *testing.T) {
	t.Parallel()
	q := earlierCluster(t)
	before := q.statuses(t, noQueue)
	for state, names := range map[string][]string{"landed": earlierLanded, "failed": earlierFailed, "cancelled": {"cancelled"}, "idle": {"partial"}} {
		for _, name := range names {
			if got := before[name].State; got != state {
				t.Errorf("%s is %q, want %q", name, got, state)
			}
		}
	}
	for name, cause := range map[string]string{"failed": "job-failed", "not-ready": "not-ready", "queued-failed": "job-failed"} {
		if got := before[name].Cause; got != cause {
			t.Errorf("%s failed by %q, want %q", name, got, cause)
		}
	}
	verify := q.command(t, "verify", "--config", filepath.Join(earlierFiles, "config.yaml"))
	verify.runs(t, 0)

	run := func(args ...string) {
		t.Helper()
		p := q.command(t, args...)
		p.Env = append(p.Env, noQueue)
		p.runs(t, 0)
	}
	size, received := int64(len(repeatedRows(12000))), before["partial"].Received
	run("fetch", strings.TrimSpace(jobRefs("partial")), "--part-size", "64KiB")
	if served := q.servedOf("partial"); received == 0 || served != size-received {
		t.Errorf("%d bytes were served of a file of %d, of which %d had been received", served, size, received)
	}
	run("fetch", strings.TrimSpace(jobRefs("landed")))
	if served := q.servedOf("landed"); served != 0 {
		t.Errorf("%d bytes were served of what had landed", served)
	}
	run("retry", "--all")
	after := q.statuses(t, noQueue)
	for _, name := range append(append([]string{"partial"}, earlierFailed...), earlierLanded...) {
		if after[name].State != "landed" {
			t.Errorf("%s is %q, want it landed", name, after[name].State)
		}
	}
	run("verify")
}

// A valueOf is a text of Redis in a file: as it is, or in base64.
type valueOf string

func (v *valueOf) UnmarshalJSON(b []byte) error {
	var encoded struct{ Base64 string }
	if json.Unmarshal(b, &encoded) != nil {
		return json.Unmarshal(b, (*string)(v))
	}
	text, err := base64.StdEncoding.DecodeString(encoded.Base64)
	*v = valueOf(text)
	return err
}

// loadRedis puts the keys of a file into a Redis as they are after a day: what
// was to be tried again is due, and what had little time left is gone.
func loadRedis(t *testing.T, url, path string) {
	t.Helper()
	options, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	client, ctx := redis.NewClient(options), t.Context()
	defer client.Close()
	lines, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(lines)) {
		var entry struct {
			Key, Type string
			TTL       int64
			Value     json.RawMessage
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatal(err)
		}
		if entry.TTL > 0 && entry.TTL < 24*60*60 || strings.HasSuffix(entry.Key, ":completed") || strings.Contains(entry.Key, ":t:discover.") {
			continue
		}
		var text valueOf
		var texts []valueOf
		var scores map[string]float64
		var fields map[string]valueOf
		into, ok := map[string]any{"string": &text, "list": &texts, "set": &texts, "zset": &scores, "hash": &fields}[entry.Type]
		if !ok {
			t.Fatalf("%s is a %q", entry.Key, entry.Type)
		}
		if err := json.Unmarshal(entry.Value, into); err != nil {
			t.Fatalf("%s: %v", entry.Key, err)
		}
		switch {
		case entry.Type == "string":
			err = client.Set(ctx, entry.Key, string(text), 0).Err()
		case scores != nil:
			for member, score := range scores {
				err = errors.Join(err, client.ZAdd(ctx, entry.Key, redis.Z{Member: member, Score: min(score, float64(time.Now().Add(-time.Minute).Unix()))}).Err())
			}
		case fields != nil:
			for name, value := range fields {
				err = errors.Join(err, client.HSet(ctx, entry.Key, name, string(value)).Err())
			}
		default:
			for _, value := range texts {
				if entry.Type == "set" {
					err = errors.Join(err, client.SAdd(ctx, entry.Key, string(value)).Err())
				} else {
					err = errors.Join(err, client.RPush(ctx, entry.Key, string(value)).Err())
				}
			}
		}
		if err != nil {
			t.Fatalf("%s: %v", entry.Key, err)
		}
	}
}

func TestAQueueOfAnEarlierVersionIsTakenUp(t *testing.T) {
	t.Parallel()
	q := earlierCluster(t)
	loadRedis(t, q.redis.URL, filepath.Join(earlierFiles, "redis.jsonl"))
	before := q.statuses(t)
	for state, names := range map[string][]string{"landed": earlierLanded, "failed": earlierFailed, "queued": {"queued-new", "queued-next", "queued-last"}} {
		for _, name := range names {
			if got := before[name].State; got != state {
				t.Errorf("%s is %q, want %q", name, got, state)
			}
		}
	}
	nightly := "nightly-1" // which the schedule of the configuration file finds
	q.cloud.AddJob(testProject, sandbox.Job{Name: nightly, File: sandbox.File{Rows: 30}})
	w := q.start(t, "worker", "--config", filepath.Join(earlierFiles, "config.yaml"), "--endpoint", "dbs="+q.endpoint)
	want := append(append(append([]string{nightly}, earlierBegun...), earlierNew...), earlierLanded...)
	q.landed(t, len(want))
	w.ends(t, syscall.SIGTERM, 0)

	after := q.statuses(t)
	for _, name := range want {
		if after[name].State != "landed" {
			t.Errorf("%s is %q, want it landed", name, after[name].State)
		}
		delete(after, name)
	}
	for _, name := range earlierFailed {
		if after[name].State != "failed" {
			t.Errorf("%s is %q, want it failed", name, after[name].State)
		}
		delete(after, name)
	}
	if len(after) != 1 || after["cancelled"].State != "cancelled" {
		t.Errorf("beside them there are %v, want one that was cancelled", after)
	}
	for name, rows := range map[string]int{"partial": 12000, "queued-active": 4000} {
		size, received := int64(len(repeatedRows(rows))), before[name].Received
		if served := q.servedOf(name); received == 0 || served != size-received {
			t.Errorf("%s: %d bytes were served of a file of %d, of which %d had been received", name, served, size, received)
		}
	}
	p := q.command(t, "retry", "--all")
	p.runs(t, 0)
	w = q.start(t, "worker")
	q.landed(t, len(want)+len(earlierFailed))
	w.ends(t, syscall.SIGTERM, 0)
	q.command(t, "verify").runs(t, 0)
}
