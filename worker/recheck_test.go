package worker

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"tallyman/fetch"
	"tallyman/verify/archive"
	"tallyman/verify/archive/ledger"
)

// landAll lands exports of size bytes, and returns where their content is.
func landAll(t *testing.T, f Fetcher, a *archive.Archive, names ...string) (paths []string) {
	t.Helper()
	for _, name := range names {
		ref := parseRef(t, "sls://cn-hangzhou/project/"+name)
		if _, err := f.Fetch(t.Context(), ref); err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(a.Path(ref.Key()), "data", "*"))
		if err != nil || len(files) != 1 {
			t.Fatal(files, err)
		}
		paths = append(paths, files[0])
	}
	return paths
}

// damageFile changes a byte of a file.
func damageFile(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		b[0] ^= 1
		_ = os.Chmod(path, 0o600)
		err = os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// startRechecking has a worker do nothing but recheck, until stop is called.
func startRechecking(t *testing.T, a *archive.Archive, f Fetcher, r Recheck) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- (&Worker{Archive: a, Fetcher: f, PollConcurrency: 1, FetchConcurrency: 1, Wait: Forever, PollInterval: time.Second, Recheck: r}).Run(ctx)
	}()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// kinds counts the lines of a ledger by their kinds.
func kinds(t *testing.T, a *archive.Archive) map[ledger.Kind]int {
	t.Helper()
	counts := map[ledger.Kind]int{}
	for l, err := range a.Ledger().All() {
		if err != nil {
			t.Fatal(err)
		}
		counts[l.Kind]++
	}
	return counts
}

// All is rechecked within its time, by one of the workers that there are; what is damaged or
// gone is told, and whole again if its source still has it.
func TestAllIsRecheckedWithinItsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, p := openArchive(t), newProvider(100)
		f := newFetcher(p, a)
		paths := landAll(t, f, a, "whole", "spoilt", "gone", "lost")
		damageFile(t, paths[1])
		if err := os.RemoveAll(filepath.Dir(filepath.Dir(paths[2]))); err != nil {
			t.Fatal(err)
		}
		damageFile(t, paths[3])
		lacking := &fakeFetcher{fetch: func(ctx context.Context, ref fetch.Ref) (*archive.Receipt, error) {
			if filepath.Base(ref.String()) == "lost" {
				return nil, &fetch.CallError{Kind: fetch.ErrNotFound, Message: "it is no more"}
			}
			return f.Fetch(ctx, ref)
		}}
		const every = recheckShards * time.Hour
		for range 2 {
			defer startRechecking(t, a, lacking, Recheck{Every: every})()
		}
		time.Sleep(every / 2)
		synctest.Wait()
		if n := kinds(t, a)[ledger.Rechecked]; n < recheckShards/2-2 || n > recheckShards/2+2 {
			t.Errorf("after half of the time %d of %d shards were rechecked", n, recheckShards)
		}
		time.Sleep(every/2 + time.Hour)
		synctest.Wait()
		at, err := a.Rechecked(recheckShards)
		for k := range at {
			if err != nil || time.Since(at[k]) > every+2*time.Hour {
				t.Fatalf("shard %d was rechecked %v ago, %v", k, time.Since(at[k]), err)
			}
		}
		got := kinds(t, a)
		if got[ledger.Damaged] != 2 || got[ledger.Absent] != 1 || got[ledger.Restored] != 2 {
			t.Errorf("the ledger has %v", got)
		}
		for _, name := range []string{"whole", "spoilt", "gone"} {
			mustLand(t, a, parseRef(t, "sls://cn-hangzhou/project/"+name))
		}
	})
}

// It reads no faster than it may, and ends at once when the worker stops. The next begins
// the shard anew.
func TestARecheckIsSlowAndStopsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := openArchive(t)
		f := newFetcher(newProvider(8<<20), a)
		f.PartSize = 1 << 20
		landAll(t, f, a, "large")
		shard := 0 // the number of the shard that it is in
		for k := range uint64(recheckShards) {
			if keys, _, _ := a.Landings(archive.Shard{K: k + 1, N: recheckShards}); len(keys) > 0 {
				shard = int(k)
			}
		}
		const perShard = 16 * time.Second
		recheck := Recheck{Every: recheckShards * perShard, Rate: 1 << 20}
		stop := startRechecking(t, a, f, recheck)
		time.Sleep(time.Duration(shard)*perShard + 4*time.Second)
		began := time.Now()
		if stop(); time.Since(began) > 0 {
			t.Errorf("it took %v to stop", time.Since(began))
		}
		at, err := a.Rechecked(recheckShards)
		if err != nil || !at[shard].IsZero() {
			t.Fatalf("after half of its time the shard was rechecked at %v, %v", at[shard], err)
		}
		began = time.Now()
		defer startRechecking(t, a, f, recheck)()
		time.Sleep(7 * time.Second)
		if at, _ = a.Rechecked(recheckShards); !at[shard].IsZero() {
			t.Errorf("8 MiB took %v at 1 MiB a second", at[shard].Sub(began))
		}
		time.Sleep(perShard + 10*time.Second)
		if at, _ = a.Rechecked(recheckShards); at[shard].IsZero() {
			t.Error("a shard that was cut short was not rechecked")
		}
	})
}
