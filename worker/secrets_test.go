package worker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"tallyman/fetch"
	"tallyman/verify/archive"
)

const canary = "K4n4ryK4n4ry"

var leakyText = "GET https://bucket.oss-cn-hangzhou.aliyuncs.com/a.csv?Expires=1&OSSAccessKeyId=" + canary + "&Signature=" + canary + "%3D: connection reset"

func TestNoSecretOfAnErrorIsStored(t *testing.T) {
	if testing.Short() {
		t.Skip("hours of simulated time")
	}
	t.Parallel()
	for name, err := range map[string]error{
		"retried": fmt.Errorf("%s: %w", leakyText, fetch.ErrTemporary), "final": errors.New(leakyText), "outside": fmt.Errorf("%s: %w", leakyText, fetch.ErrThrottled),
		"waiting": &fetch.NotReadyError{State: fetch.Running, Status: leakyText}, "unknown": &fetch.NotReadyError{Status: leakyText},
	} {
		for _, asked := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", asked ", asked), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s, w := &scriptedFetcher{ends: []error{err}, polled: asked}, &Worker{Wait: time.Minute, PollInterval: time.Second, TaskCheckInterval: 2 * time.Second}
					p := s.setUp(t, w)
					if _, err := w.Queue.Enqueue(t.Context(), parseRef(t, jobRef), Options{}); err != nil {
						t.Fatal(err)
					}
					defer startWorker(t, w)()
					for range 3 { // it is retried, and then fails
						time.Sleep(22 * time.Second)
						checkNoSecrets(t, w.Archive, p.client, s)
					}
				})
			})
		}
	}
}

func checkNoSecrets(t testing.TB, a *archive.Archive, client redis.UniversalClient, s *scriptedFetcher) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, text := range map[string]string{"redis": dumpRedis(t, client), "archive": dumpArchive(t, a), "notes": strings.Join(s.notes, "\n")} {
		if strings.Contains(text, canary) {
			t.Errorf("a secret is in the %s: %s", name, text)
		}
	}
	if !strings.Contains(dumpRedis(t, client)+strings.Join(s.notes, "\n"), "Signature") {
		t.Error("nothing tells of the error")
	}
}

// dumpRedis returns all that a Redis holds.
func dumpRedis(t testing.TB, client redis.UniversalClient) string {
	t.Helper()
	var all strings.Builder
	ctx := t.Context()
	for _, key := range client.Keys(ctx, "*").Val() {
		var held any // a command of another type would be waited for
		switch client.Type(ctx, key).Val() {
		case "string":
			held = client.Get(ctx, key).Val()
		case "hash":
			held = client.HGetAll(ctx, key).Val()
		case "list":
			held = client.LRange(ctx, key, 0, -1).Val()
		case "set":
			held = client.SMembers(ctx, key).Val()
		case "zset":
			held = client.ZRange(ctx, key, 0, -1).Val()
		case "none": // it was removed meanwhile
			continue
		default:
			t.Errorf("%s holds something else", key)
		}
		fmt.Fprintln(&all, key, held)
	}
	return all.String()
}

// dumpArchive returns the paths and contents of all files of an archive.
func dumpArchive(t testing.TB, a *archive.Archive) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(a.Path(""), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		fmt.Fprintln(&all, path, string(b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

func TestASignedURLStaysInTheProcess(t *testing.T) {
	t.Parallel()
	secret := "?Expires=1700000000&OSSAccessKeyId=id&Signature=" + canary
	ref := parseRef(t, "https://bucket.oss-cn-hangzhou.aliyuncs.com/a.csv"+secret)
	synctest.Test(t, func(t *testing.T) {
		s, shelf, w := &scriptedFetcher{}, newProvider(0), &Worker{Wait: Forever, PollInterval: time.Second}
		p := s.setUp(t, w)
		w.Fetcher = newFetcher(shelf, w.Archive)
		tried := 0
		shelf.BeforeAnswer = func(context.Context, int64) error {
			checkNoSecretIn(t, "redis, while it is fetched", dumpRedis(t, p.client))
			checkNoSecretIn(t, "the archive, while it is fetched", dumpArchive(t, w.Archive))
			if tried++; tried == 1 {
				return &fs.PathError{Op: "write", Path: "a", Err: syscall.ECONNRESET}
			}
			return nil
		}
		w.Attempts = 3
		l := StartLocal(w)
		defer l.Close()
		_, err := l.Fetch(t.Context(), ref)
		if err != nil { // it had only one attempt: a person asks again
			_, err = l.Fetch(t.Context(), ref)
		}
		if err != nil || tried < 2 || shelf.Answered(ref) == 0 || !strings.Contains(ref.URL(), canary) {
			t.Errorf("%v after %d requests", err, tried)
		}
		checkNoSecretIn(t, "redis", dumpRedis(t, p.client))
		checkNoSecretIn(t, "the archive", dumpArchive(t, w.Archive))
		mustLand(t, w.Archive, ref)
	})
}

func checkNoSecretIn(t testing.TB, where, text string) {
	t.Helper()
	if strings.Contains(text, canary) {
		t.Errorf("a secret is in %s", where)
	}
}

func TestAnyTextOfAnErrorCanBeStored(t *testing.T) {
	t.Parallel()
	for _, text := range []string{strings.Repeat("数据导出失败", 500), "x" + strings.Repeat("数据", 500), "a\xffb\xc3", strings.Repeat("\x00", 5000)} {
		synctest.Test(t, func(t *testing.T) {
			s, w, ref := &scriptedFetcher{ends: []error{errors.New(text)}}, &Worker{}, parseRef(t, jobRef)
			s.setUp(t, w)
			if err := fetchByWorker(t, w, ref); err == nil || err.Error() != text {
				t.Errorf("ended with %v", err)
			}
			if task, err := w.Queue.inspector.GetTaskInfo(pollQueue, taskID(typePoll, ref.Hash())); err != nil || task.State.String() != "archived" {
				t.Errorf("%.20q: %v, %v", text, task, err)
			}
		})
	}
}
