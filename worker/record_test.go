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

// crashAttempt is an attempt that begins and never ends, since its worker dies.
func crashAttempt(t testing.TB, a *archive.Archive, ref fetch.Ref) {
	t.Helper()
	v := &run{&Worker{Archive: a}, newTask(ref, Options{}), ref}
	if err := v.begin(); err != nil {
		t.Fatal(err)
	}
}

func stateOf(t testing.TB, a *archive.Archive, ref fetch.Ref) (archive.State, archive.Counters) {
	t.Helper()
	state, tally, err := a.State(ref.Key())
	if err != nil {
		t.Fatal(err)
	}
	return state, tally
}

func TestAnExportThatKillsItsWorkersFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, w, ref := &scriptedFetcher{ends: []error{nil}}, &Worker{}, parseRef(t, jobRef)
		s.setUp(t, w)
		for range maxStarts {
			crashAttempt(t, w.Archive, ref)
		}
		if err := fetchByWorker(t, w, ref); Classify(err).Cause != "crashed" || len(s.times) != 0 {
			t.Errorf("ended with %v after %d attempts", err, len(s.times))
		}
		if state, _ := stateOf(t, w.Archive, ref); state.Phase != archive.Failed || state.Cause != "crashed" {
			t.Errorf("%+v", state)
		}
	})
}

func TestAnAttemptThatEndsResetsTheCountOfCrashes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, w, ref := &scriptedFetcher{ends: append(repeat(jobRunning, 3), networkErr, nil)}, &Worker{Wait: Forever, PollInterval: time.Second}, parseRef(t, jobRef)
		s.setUp(t, w)
		for range maxStarts - 1 {
			crashAttempt(t, w.Archive, ref)
		}
		if err := fetchByWorker(t, w, ref); err != nil {
			t.Error(err)
		}
	})
}

func TestCrashesWithProgressAreUnlimited(t *testing.T) {
	t.Parallel()
	a, ref := openArchive(t), parseRef(t, jobRef)
	for range maxStarts + 5 {
		crashAttempt(t, a, ref)
		receivePart(t, a, ref)
	}
	if _, tally := stateOf(t, a, ref); tally.Starts != 1 || tally.Progress == 0 {
		t.Errorf("%+v", tally)
	}
	if _, err := newFetcher(newProvider(100_000), a).Fetch(t.Context(), ref); err != nil {
		t.Error(err)
	}
	mustLand(t, a, ref)
}

// receivePart makes an attempt that receives more of an export, and then fails.
func receivePart(t testing.TB, a *archive.Archive, ref fetch.Ref) {
	t.Helper()
	n := 0
	s := newProvider(100_000)
	s.BeforeAnswer = func(context.Context, int64) error {
		if n++; n == 2 {
			return fetch.ErrAuth
		}
		return nil
	}
	if _, err := newFetcher(s, a).Fetch(t.Context(), ref); !errors.Is(err, fetch.ErrAuth) {
		t.Fatal(err)
	}
}

func TestNoAttemptIsMadeAtAFailedOrCancelledExport(t *testing.T) {
	t.Parallel()
	for _, phase := range []archive.Phase{archive.Failed, archive.Cancelled} {
		synctest.Test(t, func(t *testing.T) {
			s, w, ref := &scriptedFetcher{ends: []error{nil}}, &Worker{}, parseRef(t, jobRef)
			s.setUp(t, w)
			setPhase(t, w.Archive, ref, phase)
			stop := startWorker(t, w)
			if _, err := w.Queue.Enqueue(t.Context(), ref, Options{}); err != nil {
				t.Fatal(err)
			}
			waitUntilIdle(t, w.Queue, ref)
			stop()
			if len(s.times) != 0 {
				t.Errorf("%s: %d attempts", phase, len(s.times))
			}
			if state, tally := stateOf(t, w.Archive, ref); state.Phase != phase || tally.Starts != 0 {
				t.Errorf("%+v, %+v", state, tally)
			}
			if err := ResetBudget(w.Archive, ref, Options{}); err != nil {
				t.Fatal(err)
			}
			if err := fetchByWorker(t, w, ref); err != nil || len(s.times) != 1 {
				t.Errorf("renewed: %v after %d attempts", err, len(s.times))
			}
		})
	}
}

func setPhase(t testing.TB, a *archive.Archive, ref fetch.Ref, phase archive.Phase) {
	t.Helper()
	d, err := a.Record(ref.String(), ref.Key())
	if err != nil {
		t.Fatal(err)
	}
	d.State.Phase = phase
	if err := errors.Join(d.Save(), d.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestResetBudgetGivesANewBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, w, ref := &scriptedFetcher{ends: []error{mismatchErr}}, &Worker{}, parseRef(t, jobRef)
		s.setUp(t, w)
		first := fetchByWorker(t, w, ref)
		old, _ := stateOf(t, w.Archive, ref)
		time.Sleep(time.Hour)
		if err := ResetBudget(w.Archive, ref, Options{Wait: Duration(time.Minute)}); err != nil {
			t.Fatal(err)
		}
		state, tally := stateOf(t, w.Archive, ref)
		if state.Phase != archive.Waiting || state.Attempts != 0 || state.Failures != nil || state.Cause+state.Message != "" ||
			!state.FirstSeen.Equal(old.FirstSeen) || !state.Asked.After(old.Asked.Add(time.Hour-time.Second)) || !state.Next.IsZero() || tally != (archive.Counters{}) {
			t.Errorf("%+v, %+v", state, tally)
		}
		if _, o, ok := RefOf(state); !ok || o.Wait != Duration(time.Minute) {
			t.Errorf("options %s", state.Options)
		}
		if _, err := w.Queue.Remove(ref.Hash()); err != nil {
			t.Fatal(err)
		}
		if second := fetchByWorker(t, w, ref); !errors.Is(first, mismatchErr) || !errors.Is(second, mismatchErr) || len(s.times) != 6 {
			t.Errorf("%v, %v after %d attempts", first, second, len(s.times))
		}
	})
}

func TestResetBudgetFailsIfTheExportIsBusyOrLanded(t *testing.T) {
	t.Parallel()
	a, ref := openArchive(t), parseRef(t, jobRef)
	d, err := a.Record(ref.String(), ref.Key())
	if err != nil {
		t.Fatal(err)
	}
	if err := ResetBudget(a, ref, Options{}); !errors.Is(err, archive.ErrBusy) {
		t.Errorf("held: %v", err)
	}
	d.Close()
	if _, err := newFetcher(newProvider(0), a).Fetch(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	if err := ResetBudget(a, ref, Options{}); !errors.Is(err, archive.ErrLanded) {
		t.Errorf("landed: %v", err)
	}
}

func TestTheRecordTellsWhereAnExportStands(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, w, ref := &scriptedFetcher{ends: append(repeat(jobRunning, 3), networkErr, networkErr, mismatchErr, jobRunning)}, &Worker{Wait: Forever, PollInterval: time.Second}, parseRef(t, jobRef)
		s.setUp(t, w)
		if _, err := w.Queue.Enqueue(t.Context(), ref, Options{}); err != nil {
			t.Fatal(err)
		}
		stop := startWorker(t, w)
		until := func(n int) (archive.State, archive.Counters) {
			for {
				s.mu.Lock()
				made := len(s.times)
				s.mu.Unlock()
				if made == n {
					time.Sleep(checkInterval / 10)
					return stateOf(t, w.Archive, ref)
				}
				time.Sleep(checkInterval / 10)
			}
		}
		if state, tally := until(3); state.Phase != archive.Waiting || tally.Polls != 3 || tally.Ready || tally.Status != jobRunning.Error() || tally.Starts != 0 || state.Attempts != 0 {
			t.Errorf("waiting: %+v, %+v", state, tally)
		}
		state, tally := until(5)
		if state.Attempts != 2 || state.Failures["network"] != 2 || state.Cause != "network" || state.Message != networkErr.Error() || !tally.Ready || tally.Status != "" {
			t.Errorf("failing: %+v, %+v", state, tally)
		}
		if next := time.Until(state.Next); next <= 0 || next > 3*time.Second {
			t.Errorf("the next attempt is in %v", next)
		}
		if state, _ := until(6); state.Attempts != 3 || state.Failures["network"] != 2 || state.Failures["checksum-mismatch"] != 1 || state.Cause != "checksum-mismatch" {
			t.Errorf("failing otherwise: %+v", state)
		}
		if state, tally := until(7); state.Failures != nil || state.Cause+state.Message != "" || !state.Next.IsZero() || tally.Ready {
			t.Errorf("well again: %+v, %+v", state, tally)
		}
		stop()
	})
}

const canary = "K4n4ryK4n4ry"

var leakyText = "GET https://bucket.oss-cn-hangzhou.aliyuncs.com/a.csv?Expires=1&OSSAccessKeyId=" + canary + "&Signature=" + canary + "%3D: connection reset"

func TestNoSecretOfAnErrorIsStored(t *testing.T) {
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
	for _, key := range client.Keys(t.Context(), "*").Val() {
		ctx := t.Context()
		fmt.Fprintln(&all, key, client.Get(ctx, key).Val(), client.HGetAll(ctx, key).Val(), client.LRange(ctx, key, 0, -1).Val(),
			client.SMembers(ctx, key).Val(), client.ZRange(ctx, key, 0, -1).Val())
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
			if task, err := w.Queue.inspector.GetTaskInfo(fetchQueue, fetchID(ref.Hash())); err != nil || task.State.String() != "archived" {
				t.Errorf("%.20q: %v, %v", text, task, err)
			}
		})
	}
}

func TestAnAttemptThatCannotBeRecordedIsRepeated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, w, ref := 0, &Worker{}, parseRef(t, jobRef)
		(&scriptedFetcher{}).setUp(t, w)
		w.Fetcher = &fakeFetcher{fetch: func(context.Context, fetch.Ref) (*archive.Receipt, error) {
			if n++; n > 1 {
				return &archive.Receipt{}, nil
			}
			d, err := w.Archive.Record(ref.String(), ref.Key()) // another attempt has taken it
			if err != nil {
				return nil, err
			}
			time.AfterFunc(20*time.Second, func() { d.Close() })
			return nil, fetch.ErrAuth
		}}
		if err := fetchByWorker(t, w, ref); err != nil || n != 2 {
			t.Errorf("%v after %d attempts", err, n)
		}
		if state, _ := stateOf(t, w.Archive, ref); state.Attempts != 0 {
			t.Errorf("%+v", state)
		}
	})
}

func TestAnExportThatAnotherAttemptLandedHasLanded(t *testing.T) {
	t.Parallel()
	for _, local := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w, ref := &Worker{}, parseRef(t, jobRef)
			(&scriptedFetcher{}).setUp(t, w)
			w.Fetcher = &fakeFetcher{fetch: func(ctx context.Context, ref fetch.Ref) (*archive.Receipt, error) {
				if _, err := newFetcher(newProvider(0), w.Archive).Fetch(ctx, ref); err != nil {
					return nil, err
				}
				return nil, fetch.ErrAuth
			}}
			w.OnEnd = func(_ fetch.Ref, _ *archive.Receipt, err error) {
				if err != nil {
					t.Errorf("local %v: %v", local, err)
				}
			}
			if local {
				l := StartLocal(w)
				defer l.Close()
				if receipt, err := l.Fetch(t.Context(), ref); err != nil || receipt == nil {
					t.Errorf("%v, %v", receipt, err)
				}
			} else {
				defer startWorker(t, w)()
				if _, err := w.Queue.Enqueue(t.Context(), ref, Options{}); err != nil {
					t.Fatal(err)
				}
			}
			waitUntilIdle(t, w.Queue, ref)
			mustLand(t, w.Archive, ref)
		})
	}
}

func TestABusyExportFailsLocalOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, w, ref := &scriptedFetcher{ends: []error{nil}}, &Worker{}, parseRef(t, jobRef)
		s.setUp(t, w)
		d, err := w.Archive.Record(ref.String(), ref.Key())
		if err != nil {
			t.Fatal(err)
		}
		l := StartLocal(w)
		if _, err := l.Fetch(t.Context(), ref); Classify(err).Exit != ExitBusy || len(s.times) != 0 {
			t.Errorf("%v after %d attempts", err, len(s.times))
		}
		l.Close()
		w.local = nil
		time.AfterFunc(time.Minute, func() { d.Close() })
		if err := fetchByWorker(t, w, ref); err != nil || len(s.times) != 1 {
			t.Errorf("a worker: %v after %d attempts", err, len(s.times))
		}
	})
}

func TestAPanicIsAFailedAttempt(t *testing.T) {
	t.Parallel()
	for _, asked := range []bool{false, true} {
		for _, local := range []bool{false, true} {
			t.Run(fmt.Sprint("asked ", asked, ", local ", local), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { testPanic(t, asked, local) })
			})
		}
	}
}

func testPanic(t *testing.T, asked, local bool) {
	s, n, w, ref := &scriptedFetcher{}, 0, &Worker{TaskCheckInterval: 5 * time.Second}, parseRef(t, jobRef)
	p := s.setUp(t, w)
	fails := func() { n++; panic(leakyText) }
	w.Fetcher = &fakeFetcher{fetch: func(context.Context, fetch.Ref) (*archive.Receipt, error) { fails(); return nil, nil }}
	if asked {
		w.Fetcher = &fakeFetcher{poll: func(context.Context, fetch.Ref) error { fails(); return nil }}
	}
	var err error
	if local {
		l := StartLocal(w)
		defer l.Close()
		_, err = l.Fetch(t.Context(), ref)
	} else {
		err = fetchByWorker(t, w, ref)
	}
	if Classify(err).Cause != "crashed" || n != 10 || strings.Contains(err.Error(), canary) {
		t.Errorf("%v after %d attempts", err, n)
	}
	if state, tally := stateOf(t, w.Archive, ref); state.Phase != archive.Failed || state.Attempts != 10 || tally.Starts != 0 {
		t.Errorf("%+v, %+v", state, tally)
	}
	checkNoSecrets(t, w.Archive, p.client, s)
}
