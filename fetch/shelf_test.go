package fetch_test

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"tallyman/fetch"
	"tallyman/verify"
	"tallyman/verify/archive"
)

const shelfRef, shelfKey = "oss://bucket/e/", "oss/bucket/e%2F"

// A shelf is a provider of one export, whose objects are in memory.
type shelf struct {
	snapshot bool
	records  int64 // promised
	items    []*item
	broken   error // ends the listing

	mu         sync.Mutex
	open, most int // requests in flight
}

// An item is an object of a shelf.
type item struct {
	name    string
	body    []byte
	content string                                              // declared
	coded   string                                              // declared
	want    func(verify.Want) verify.Want                       // what is promised, nil: all that is true
	hinder  func(ctx context.Context, off int64) error          // of a request, before it is answered
	bend    func(off int64, answer io.ReadCloser) io.ReadCloser // the answer

	shelf    *shelf
	mu       sync.Mutex
	requests int
	sent     int // bytes asked for and answered
}

func newShelf(items ...*item) *shelf {
	return &shelf{snapshot: true, records: verify.Unknown, items: items}
}

func object(name string, body []byte) *item { return &item{name: name, body: body} }

func (s *shelf) Export(context.Context, fetch.Ref) (*fetch.Export, error) {
	return &fetch.Export{State: fetch.Ready, Status: "there", Snapshot: s.snapshot, Records: s.records, Objects: s.objects()}, nil
}

func (s *shelf) objects() iter.Seq2[fetch.Object, error] {
	return func(yield func(fetch.Object, error) bool) {
		for _, i := range s.items {
			if i.shelf != s {
				i.shelf = s // others may be reading it
			}
			if !yield(fetch.Object{Name: i.name, Content: i.content, Encoding: i.coded, Want: i.promise(), Source: i}, nil) {
				return
			}
		}
		if s.broken != nil {
			yield(fetch.Object{}, s.broken)
		}
	}
}

func (s *shelf) add(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open += n
	s.most = max(s.most, s.open)
}

func (i *item) promise() verify.Want {
	want := verify.Want{Size: int64(len(i.body)), ETag: etagOf(i.body), CRC64: crcOf(i.body)}
	if i.want != nil {
		want = i.want(want)
	}
	return want
}

// sizeAlone promises no more than the length.
func sizeAlone(w verify.Want) verify.Want { return verify.Want{Size: w.Size} }

func (i *item) counts() (requests, sent int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.requests, i.sent
}

func (i *item) ReadRange(ctx context.Context, off, n int64, etag string) (*fetch.Range, error) {
	if etag != "" && !verify.SameETag(etag, i.promise().ETag) {
		return nil, fetch.ErrChanged
	}
	i.shelf.add(1)
	end, length := int64(len(i.body)), int64(verify.Unknown)
	switch {
	case i.promise().Size == verify.Unknown: // it sends all, and does not say how much that is
		off = 0
	case n != verify.Unknown:
		end = min(end, off+n)
		length = end - off
	}
	if i.hinder != nil {
		if err := i.hinder(ctx, off); err != nil {
			i.shelf.add(-1)
			return nil, err
		}
	}
	i.mu.Lock()
	i.requests++
	i.sent += int(end - off)
	i.mu.Unlock()
	answer := io.NopCloser(bytes.NewReader(i.body[off:end]))
	if i.bend != nil {
		answer = i.bend(off, answer)
	}
	return &fetch.Range{ReadCloser: &leaving{ReadCloser: answer, shelf: i.shelf}, Off: off, Len: length, Want: i.promise()}, nil
}

type leaving struct {
	io.ReadCloser
	shelf *shelf
	once  sync.Once
}

func (l *leaving) Close() error {
	l.once.Do(func() { l.shelf.add(-1) })
	return l.ReadCloser.Close()
}

// flipped turns a bit over in the byte at.
func flipped(at int64) func(int64, io.ReadCloser) io.ReadCloser {
	return func(off int64, answer io.ReadCloser) io.ReadCloser {
		b, _ := io.ReadAll(answer)
		if at >= off && at < off+int64(len(b)) {
			b[at-off] ^= 1
		}
		return io.NopCloser(bytes.NewReader(b))
	}
}

// until blocks a request until ctx ends.
func until(ctx context.Context, _ int64) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// shelved makes a fetcher of what is on the shelf.
func shelved(t testing.TB, s *shelf) *fetch.Fetcher {
	t.Helper()
	a, err := archive.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	f := &fetch.Fetcher{Providers: map[string]fetch.Provider{"oss": s}, Archive: a, PartSize: 1000, Parallel: 4}
	fetch.SetFirstWait(f, time.Millisecond)
	t.Cleanup(func() {
		if s.open != 0 {
			t.Errorf("%d answers were not closed", s.open)
		}
	})
	return f
}

func fetchShelf(t testing.TB, f *fetch.Fetcher) (*archive.Receipt, error) {
	t.Helper()
	return f.Fetch(context.Background(), parseRef(t, shelfRef))
}

func mustFetch(t testing.TB, f *fetch.Fetcher) *archive.Receipt {
	t.Helper()
	receipt, err := fetchShelf(t, f)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Archive.Recheck(t.Context(), shelfKey); err != nil {
		t.Error(err)
	}
	return receipt
}

// files are the content files of the bag, by name.
func files(t testing.TB, f *fetch.Fetcher) map[string]string {
	t.Helper()
	return filesOfKey(t, f, shelfKey)
}

func filesOfKey(t testing.TB, f *fetch.Fetcher, key string) map[string]string {
	t.Helper()
	files := map[string]string{}
	data := filepath.Join(f.Archive.Path(key), "data")
	err := filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		name, _ := filepath.Rel(data, path)
		files[filepath.ToSlash(name)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// checkFiles holds the bag to those files, by name.
func checkFiles(t testing.TB, f *fetch.Fetcher, want map[string]string) {
	t.Helper()
	got := files(t, f)
	if g, w := slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)); !slices.Equal(g, w) {
		t.Errorf("files %q, want %q", g, w)
		return
	}
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("%s has %d bytes that are not the %d wanted", name, len(got[name]), len(want[name]))
		}
	}
}
