package worker

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"tallyman/fetch"
	"tallyman/verify/archive"
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
