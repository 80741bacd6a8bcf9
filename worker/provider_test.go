package worker

import (
	"bytes"
	"context"
	"testing"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/verify"
	"tallyman/verify/archive"
)

// newProvider returns a provider of exports of one file each, of size bytes and
// a few more.
func newProvider(size int) *fetchtest.Memory {
	return &fetchtest.Memory{Records: verify.Unknown, FilesOf: func(ref fetch.Ref) []*fetchtest.File {
		body := []byte("id,name\n1," + ref.Hash() + "\n")
		return []*fetchtest.File{fetchtest.NewFile("a.csv", append(body, bytes.Repeat([]byte("2,crate\n"), size/8)...))}
	}}
}

// newFetcher returns a fetcher of what a provider has into an archive.
func newFetcher(p fetch.Provider, a *archive.Archive) *fetch.Fetcher {
	return &fetch.Fetcher{Providers: map[string]fetch.Provider{"sls": p, "https": p}, Archive: a, PartSize: 1000, Parallel: 1}
}

// A fakeFetcher is a Fetcher that calls poll and fetch. One that is nil succeeds.
type fakeFetcher struct {
	poll  func(context.Context, fetch.Ref) error
	fetch func(context.Context, fetch.Ref) (*archive.Receipt, error)
}

func (s *fakeFetcher) Poll(ctx context.Context, ref fetch.Ref) error {
	if s.poll == nil {
		return nil
	}
	return s.poll(ctx, ref)
}

func (s *fakeFetcher) Fetch(ctx context.Context, ref fetch.Ref) (*archive.Receipt, error) {
	if s.fetch == nil {
		return &archive.Receipt{}, nil
	}
	return s.fetch(ctx, ref)
}

// newWorker returns a worker of a queue and an archive.
func newWorker(q *Queue, a *archive.Archive, f Fetcher) *Worker {
	return &Worker{Queue: q, Archive: a, Fetcher: f, PollConcurrency: 2, FetchConcurrency: 2, Wait: Forever, PollInterval: checkInterval, TaskCheckInterval: checkInterval}
}

// mustLand fails the test unless the exports have landed, and their bags are whole.
func mustLand(t testing.TB, a *archive.Archive, refs ...fetch.Ref) {
	t.Helper()
	for _, ref := range refs {
		if _, err := a.Landed(ref.Key()); err != nil {
			t.Errorf("%s: %v", ref, err)
		} else if err := a.Recheck(t.Context(), ref.Key(), nil); err != nil {
			t.Error(err)
		}
	}
}
