package worker

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"tallyman/fetch"
	"tallyman/verify/archive"
	"tallyman/verify/archive/ledger"
)

// An orderFetcher notes in which order exports are fetched. Their jobs are ready, and what
// they yielded is there for as many hours as life says, by the last letter of the reference.
type orderFetcher struct {
	life  map[string]int
	block chan struct{} // the first fetch waits for it
	takes time.Duration // each other one

	mu    sync.Mutex
	order string
}

func lastLetter(ref fetch.Ref) string { s := ref.String(); return s[len(s)-1:] }

func (f *orderFetcher) Poll(ctx context.Context, ref fetch.Ref) error {
	if hours := f.life[lastLetter(ref)]; hours > 0 {
		fetch.TellLifetime(ctx, fetch.Lifetime{Ended: time.Now().Truncate(time.Hour), Lasts: time.Duration(hours) * time.Hour})
	}
	return nil
}

// fetches returns f as a Fetcher whose fetches are noted.
func (f *orderFetcher) fetches() Fetcher {
	return &fakeFetcher{poll: f.Poll, fetch: func(_ context.Context, ref fetch.Ref) (*archive.Receipt, error) {
		f.mu.Lock()
		first := f.order == ""
		if !strings.Contains(f.order, lastLetter(ref)) { // it does not land, and may be asked for again
			f.order += lastLetter(ref)
		}
		f.mu.Unlock()
		if first {
			<-f.block
		} else {
			time.Sleep(f.takes)
		}
		return &archive.Receipt{}, nil
	}}
}

// Of the exports that wait to be fetched, that one is fetched first which is gone first,
// whatever the order in which they were enqueued, and though one has been taken away since.
func TestAQueueGivesFirstWhatIsGoneFirst(t *testing.T) {
	onEachRedis(t, func(t *testing.T, s redisServer) {
		f := &orderFetcher{block: make(chan struct{})}
		close(f.block)
		w, ended := newFastWorker(s, openArchive(t), f.fetches())
		w.FetchConcurrency = 1
		now := time.Now()
		for _, e := range []struct {
			job  string
			ends time.Time
		}{{"a", time.Time{}}, {"b", now.Add(3 * time.Hour)}, {"c", now.Add(time.Hour)}, {"d", time.Time{}}, {"e", now.Add(-time.Hour)}, {"f", now.Add(time.Minute)}} {
			ref := parseRef(t, "sls://cn-hangzhou/p/"+e.job)
			if _, err := w.Queue.enqueueTask(t.Context(), typeFetch, ref, Options{}); err != nil {
				t.Fatal(err)
			}
			if err := w.Queue.setEnds(t.Context(), ref.Hash(), e.ends); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.Queue.Remove(parseRef(t, "sls://cn-hangzhou/p/f").Hash()); err != nil {
			t.Fatal(err)
		}
		defer startWorker(t, w)()
		order := ""
		for len(order) < 5 {
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			f.mu.Lock()
			order = f.order
			f.mu.Unlock()
		}
		if order != "ecbad" {
			t.Errorf("they were fetched in the order %s", order)
		}
		putSoonestFirst(t.Context(), w.Queue.redis)
		if n, err := w.Queue.redis.ZCard(t.Context(), endsKey).Result(); err != nil || n > 1 { // the last may not be gone yet
			t.Errorf("%d are still noted, %v", n, err)
		}
	})
}

// In one process too, whether its job or its URL tells; those of which nobody knows come last.
func TestADispatcherFetchesFirstWhatIsGoneFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &orderFetcher{life: map[string]int{"b": 72, "c": 24, "e": 48}, block: make(chan struct{}), takes: time.Second}
		w := &Worker{Archive: openArchive(t), PollConcurrency: 3, FetchConcurrency: 1, Wait: time.Hour, PollInterval: time.Second, Fetcher: f.fetches()}
		l := StartLocal(w)
		defer l.Close()
		var all sync.WaitGroup
		fetchOne := func(s string) {
			all.Go(func() {
				if _, err := l.Fetch(t.Context(), parseRef(t, s)); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		url := func(name string, hours int) string {
			return fmt.Sprintf("https://example.com/%s?OSSAccessKeyId=k&Signature=s&Expires=%d", name, time.Now().Add(time.Duration(hours)*time.Hour).Unix())
		}
		fetchOne("sls://cn-hangzhou/p/a")
		for _, job := range []string{"d", "b", "c"} { // these take the slots of polls
			fetchOne("sls://cn-hangzhou/p/" + job)
		}
		for _, s := range []string{"sls://cn-hangzhou/p/e", url("g", 2), url("f", 1)} { // and these wait for one
			fetchOne(s)
		}
		close(f.block)
		all.Wait()
		if f.order != "acfgebd" {
			t.Errorf("they were fetched in the order %s", f.order)
		}
	})
}

// readyLines are the lines of the ledger that tell until when exports are there: the last
// letter of each, and how long from a time.
func readyLines(t *testing.T, a *archive.Archive, from time.Time) (lines []string) {
	t.Helper()
	for line, err := range a.Ledger().OfKind(ledger.Ready) {
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprint(line.Ref[strings.LastIndexByte(line.Ref, '/')+1:], " ", line.Ends.Sub(from).Round(time.Hour)))
	}
	return lines
}

// A lastingJobs is a jobFetcher whose results are there for three days.
type lastingJobs struct {
	*jobFetcher
	created time.Time
}

func (f *lastingJobs) Poll(ctx context.Context, ref fetch.Ref) error {
	err := f.jobFetcher.Poll(ctx, ref)
	if err == nil {
		fetch.TellLifetime(ctx, fetch.Lifetime{Ended: f.created, Lasts: 72 * time.Hour})
	}
	return err
}

// The ledger tells once until when a result is there, counted from when its job was last seen
// to go on, in one process and by a queue.
func TestTheLedgerTellsUntilWhenAResultIsThere(t *testing.T) {
	t.Parallel()
	for _, local := range []bool{true, false} {
		t.Run(fmt.Sprint("local ", local), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				f, ref := &lastingJobs{newJobFetcher(), began.Add(-100 * time.Hour)}, parseRef(t, jobRef)
				w, _, e := newWaitingWorker(t, f)
				w.Wait = 100 * time.Hour
				if local {
					l := StartLocal(w)
					defer l.Close()
					go l.Fetch(t.Context(), ref)
				} else {
					mustEnqueue(t, w.Queue, ref)
					defer startWorker(t, w)()
				}
				time.Sleep(time.Hour)
				f.say(ref, nil)
				time.Sleep(2 * time.Minute)
				if at, err := e.ended(ref); err != nil || at.IsZero() {
					t.Fatalf("it has not landed: %v", err)
				}
				if diff := cmp.Diff([]string{"job 73h0m0s"}, readyLines(t, w.Archive, began)); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}
