package fetch_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"tallyman/fetch"
	"tallyman/fetch/hostguard"
	"tallyman/fetch/web"
	"tallyman/verify/archive"
)

// csv returns a header row and n rows. Some rows have a quoted newline.
func csv(n int) []byte {
	var b bytes.Buffer
	b.WriteString("time,level,message\n")
	r := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		fmt.Fprintf(&b, "%d,INFO,\"request %x, took %d ms\"\n", 1722409860+i, r.Uint64(), r.IntN(1000))
		if i%97 == 0 {
			b.WriteString("1,WARN,\"two\nlines\"\n")
		}
	}
	return b.Bytes()
}

// encode encodes with zstd, gzip or lz4, or with zstd or lz4 without a checksum
// ("zstd-" and "lz4-"). Any other codec returns content itself.
func encode(t testing.TB, codec string, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	switch codec {
	case "zstd", "zstd-":
		w, _ = zstd.NewWriter(&b, zstd.WithEncoderCRC(codec == "zstd"), zstd.WithZeroFrames(true), zstd.WithEncoderConcurrency(1))
	case "gzip":
		w = gzip.NewWriter(&b)
	case "lz4", "lz4-":
		z := lz4.NewWriter(&b)
		if err := z.Apply(lz4.ChecksumOption(codec == "lz4")); err != nil {
			t.Fatal(err)
		}
		w = z
	default:
		return content
	}
	w.Write(content)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// newFetcher makes a fetcher of URLs on 127.0.0.1. The test fails if the body of an
// answer is not closed.
func newFetcher(t testing.TB, dir string) (*fetch.Fetcher, *tracker) {
	t.Helper()
	a, err := archive.Open(dir, "", archive.SiteEmpty)
	if err != nil {
		t.Fatal(err)
	}
	hosts := &hostguard.Policy{Domains: []string{"*"}, Allow: []string{"127.0.0.1"}}
	client := hosts.Client()
	tracker := &tracker{transport: client.Transport}
	client.Transport = tracker
	p := &web.Provider{Hosts: hosts, Client: client}
	t.Cleanup(func() {
		tracker.transport.(*http.Transport).CloseIdleConnections()
		if open, _ := tracker.counts(); open != 0 {
			t.Errorf("%d bodies of answers were not closed", open)
		}
	})
	f := &fetch.Fetcher{
		Providers: map[string]fetch.Provider{"http": p, "https": p},
		Archive:   a, PartSize: 64 << 10, Parallel: 4,
	}
	fetch.SetFirstWait(f, time.Millisecond)
	return f, tracker
}

// A tracker counts the requests that are under way: from when they are made to
// when the body of the answer is closed.
type tracker struct {
	transport  http.RoundTripper
	mu         sync.Mutex
	open, most int
}

func (t *tracker) add(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open += n
	t.most = max(t.most, t.open)
}

func (t *tracker) counts() (open, most int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.open, t.most
}

func (t *tracker) RoundTrip(r *http.Request) (*http.Response, error) {
	t.add(1)
	resp, err := t.transport.RoundTrip(r)
	if err != nil {
		t.add(-1)
		return nil, err
	}
	resp.Body = &tracked{ReadCloser: resp.Body, tracker: t}
	return resp, nil
}

type tracked struct {
	io.ReadCloser
	tracker *tracker
	once    sync.Once
}

func (b *tracked) Close() error {
	b.once.Do(func() { b.tracker.add(-1) })
	return b.ReadCloser.Close()
}

// content reads the one file of an export that landed.
func content(t testing.TB, f *fetch.Fetcher, key string) []byte {
	t.Helper()
	var content []byte
	files := 0
	err := filepath.WalkDir(filepath.Join(f.Archive.Path(key), "data"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files++
			content, err = os.ReadFile(path)
		}
		return err
	})
	if err != nil || files != 1 {
		t.Fatalf("%s holds %d files: %v", key, files, err)
	}
	return content
}

// checkLanded checks that an export has landed as one file with that content, and
// that no attempt has left anything in the archive.
func checkLanded(t testing.TB, f *fetch.Fetcher, key string, want []byte) {
	t.Helper()
	if got := content(t, f, key); !bytes.Equal(got, want) {
		t.Errorf("%d bytes landed that are not the %d wanted", len(got), len(want))
	}
	if err := f.Archive.Recheck(t.Context(), key, nil); err != nil {
		t.Error(err)
	}
	if left, _ := os.ReadDir(f.Archive.Path(".ingest")); len(left) > 0 {
		t.Errorf("left in the ingest area: %v", left)
	}
}

// checkAbsent checks that no export has landed under the key.
func checkAbsent(t testing.TB, f *fetch.Fetcher, key string) {
	t.Helper()
	if _, err := os.Lstat(f.Archive.Path(key)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is an export under the final name: %v", err)
	}
}
