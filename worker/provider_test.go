package worker

import (
	"bytes"
	"context"
	"fmt"
	"hash/crc64"
	"io"
	"iter"
	"sync"
	"testing"

	"tallyman/fetch"
	"tallyman/verify"
	"tallyman/verify/archive"
)

// A shelf is a provider of exports of one file each, all ready.
type memoryProvider struct {
	size        int                                        // of the file; 0 means a few bytes
	beforeRange func(ctx context.Context, off int64) error // of a request, before it is answered

	mu   sync.Mutex
	sent map[string]int // answers, by the reference's address
}

// fetcher makes a fetcher of what is on the shelf into the archive.
func (s *memoryProvider) fetcher(a *archive.Archive) *fetch.Fetcher {
	s.sent = map[string]int{}
	providers := map[string]fetch.Provider{"sls": s, "https": s}
	return &fetch.Fetcher{Providers: providers, Archive: a, PartSize: 1000, Parallel: 1}
}

func (s *memoryProvider) Export(_ context.Context, ref fetch.Ref) (*fetch.Export, error) {
	body := []byte("id,name\n1," + ref.Hash() + "\n")
	body = append(body, bytes.Repeat([]byte("2,crate\n"), s.size/8)...)
	item := &memoryObject{s, ref, body}
	objects := func(yield func(fetch.Object, error) bool) {
		yield(fetch.Object{Name: "a.csv", Want: item.want(), Source: item}, nil)
	}
	return &fetch.Export{State: fetch.Ready, Status: "there", Records: verify.Unknown, Objects: iter.Seq2[fetch.Object, error](objects)}, nil
}

type memoryObject struct {
	provider *memoryProvider
	ref      fetch.Ref
	body     []byte
}

func (i *memoryObject) want() verify.Want {
	return verify.Want{Size: int64(len(i.body)), CRC64: fmt.Sprint(crc64.Checksum(i.body, verify.ECMA))}
}

func (i *memoryObject) ReadRange(ctx context.Context, off, n int64, _ string) (*fetch.Range, error) {
	if i.provider.beforeRange != nil {
		if err := i.provider.beforeRange(ctx, off); err != nil {
			return nil, err
		}
	}
	i.provider.mu.Lock()
	i.provider.sent[i.ref.URL()]++
	i.provider.mu.Unlock()
	end := int64(len(i.body))
	if n != verify.Unknown {
		end = min(end, off+n)
	}
	return &fetch.Range{ReadCloser: io.NopCloser(bytes.NewReader(i.body[off:end])), Off: off, Len: end - off, Want: i.want()}, nil
}

func (s *memoryProvider) rangesRead(ref fetch.Ref) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent[ref.URL()]
}

// steps is a Fetcher that does what it is told. What it is not told succeeds.
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

// newWorker is one of a queue and an archive that others may serve too.
func newWorker(q *Queue, a *archive.Archive, f Fetcher) *Worker {
	return &Worker{Queue: q, Archive: a, Fetcher: f, PollConcurrency: 2, FetchConcurrency: 2, Wait: Forever, PollInterval: checkInterval, TaskCheckInterval: checkInterval}
}

// mustLand holds the archive to having the exports, each as it should be.
func mustLand(t testing.TB, a *archive.Archive, refs ...fetch.Ref) {
	t.Helper()
	for _, ref := range refs {
		if _, err := a.Landed(ref.Key()); err != nil {
			t.Errorf("%s: %v", ref, err)
		} else if err := a.Recheck(t.Context(), ref.Key()); err != nil {
			t.Error(err)
		}
	}
}
