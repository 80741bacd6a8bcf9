package fetch_test

import (
	"bytes"
	"context"
	"hash/crc64"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/verify"
	"tallyman/verify/archive"
)

// The export that most tests fetch is one whose objects a job promised together.
const exportRef, exportKey = "box://bucket/e/", "box/bucket/e%2F"

func init() {
	fetch.RegisterScheme(fetch.Scheme{
		Name: "box", Segments: []fetch.Segment{{Name: "BUCKET"}, {Name: "PREFIX", Kind: fetch.Rest}}, NoPlaces: "a box is an export itself",
	})
}

// onlySize promises the size and nothing else.
func onlySize(w verify.Want) verify.Want { return verify.Want{Size: w.Size} }

// flipped flips a bit of the byte at that offset in every answer.
func flipped(at int64) func(int64, io.ReadCloser) io.ReadCloser {
	return func(off int64, answer io.ReadCloser) io.ReadCloser {
		b, _ := io.ReadAll(answer)
		if at >= off && at < off+int64(len(b)) {
			b[at-off] ^= 1
		}
		return io.NopCloser(bytes.NewReader(b))
	}
}

// blockUntilDone blocks a request until ctx ends.
func blockUntilDone(ctx context.Context, _ int64) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// newMemoryFetcher makes a fetcher of a provider in memory, for exportRef. The
// test fails if an answer is left open.
func newMemoryFetcher(t testing.TB, s *fetchtest.Memory) *fetch.Fetcher {
	t.Helper()
	a, err := archive.Open(t.TempDir(), "", archive.SiteEmpty)
	if err != nil {
		t.Fatal(err)
	}
	f := &fetch.Fetcher{Providers: map[string]fetch.Provider{"box": s, "oss": s}, Archive: a, PartSize: 1000, Parallel: 4}
	fetch.SetFirstWait(f, time.Millisecond)
	t.Cleanup(func() {
		if open, _ := s.Requests(); open != 0 {
			t.Errorf("%d answers were not closed", open)
		}
	})
	return f
}

func fetchOnce(t testing.TB, f *fetch.Fetcher) (*archive.Receipt, error) {
	t.Helper()
	return f.Fetch(context.Background(), parseRef(t, exportRef))
}

func mustFetch(t testing.TB, f *fetch.Fetcher) *archive.Receipt {
	t.Helper()
	receipt, err := fetchOnce(t, f)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Archive.Recheck(t.Context(), exportKey, nil); err != nil {
		t.Error(err)
	}
	return receipt
}

// files returns the content of the files in the bag, by name.
func files(t testing.TB, f *fetch.Fetcher) map[string]string {
	t.Helper()
	return filesOfKey(t, f, exportKey)
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

// checkFiles checks that the bag has those files, by name, and no others. A
// difference shows the length and the CRC-64 of their contents.
func checkFiles(t testing.TB, f *fetch.Fetcher, want map[string]string) {
	t.Helper()
	type summary struct {
		Bytes int
		CRC64 uint64
	}
	summarize := cmp.Transformer("summarize", func(content string) summary {
		return summary{len(content), crc64.Checksum([]byte(content), crc64.MakeTable(crc64.ECMA))}
	})
	if diff := cmp.Diff(want, files(t, f), summarize); diff != "" {
		t.Errorf("files (-want +got)\n%s", diff)
	}
}
