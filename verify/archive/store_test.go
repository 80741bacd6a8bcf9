package archive_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"io/fs"
	"iter"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"tallyman/fetch"
	"tallyman/fetch/hostguard"
	"tallyman/fetch/web"
	"tallyman/verify"
	"tallyman/verify/archive"
	"tallyman/worker"

	_ "tallyman/fetch/oss"
	_ "tallyman/fetch/sls"
)

// A testStore serves one export on the loopback: a file that is not encoded, an
// encoded one, a container, and an empty file.
type testStore struct {
	*httptest.Server
	hosts  hostguard.Policy
	client *http.Client
	bodies map[string][]byte
	total  int64        // bytes of all bodies
	asked  atomic.Int64 // bytes that were requested
}

const storeRef = "oss://bucket/export/"

// partSize divides the larger bodies into several parts.
const partSize = 1000

func newTestStore(t testing.TB) *testStore {
	y := &testStore{bodies: map[string][]byte{
		"a.csv": lines(2500), "b.csv.zst": encoded(t, lines(4000)), "c.zip": zipped(t, "d.csv", "deep/e.csv"), "empty.csv": {},
	}}
	for _, body := range y.bodies {
		y.total += int64(len(body))
	}
	y.Server = httptest.NewServer(http.HandlerFunc(y.serve))
	y.hosts = hostguard.Policy{Domains: []string{"*"}, Allow: []string{"127.0.0.1"}}
	y.client = y.hosts.Client()
	y.client.Transport = &countingTransport{y, y.client.Transport}
	t.Cleanup(func() {
		y.client.CloseIdleConnections()
		y.Close()
	})
	return y
}

// content returns the files that should land, by name.
func (y *testStore) content() map[string]string {
	return map[string]string{
		"a.csv": string(lines(2500)), "b.csv": string(lines(4000)), "empty.csv": "",
		"c.zip/d.csv": "of d.csv\n", "c.zip/deep/e.csv": "of deep/e.csv\n",
	}
}

func lines(n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%d,INFO,request %x\n", 1722409860+i, i*i*7919)
	}
	return b.Bytes()[:n]
}

func encoded(t testing.TB, content []byte) []byte {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(content, nil)
}

func zipped(t testing.TB, names ...string) []byte {
	files := map[string]string{}
	for _, name := range names {
		files[name] = "of " + name + "\n"
	}
	return zipOf(t, files)
}

func zipOf(t testing.TB, files map[string]string) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f, err := w.Create(name)
		if err == nil {
			_, err = io.WriteString(f, files[name])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func (y *testStore) serve(w http.ResponseWriter, r *http.Request) {
	body := y.bodies[strings.TrimPrefix(r.URL.Path, "/")]
	w.Header().Set("ETag", `"v1"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

// A countingTransport counts the bytes that are requested.
type countingTransport struct {
	store *testStore
	http.RoundTripper
}

func (a *countingTransport) CloseIdleConnections() {
	a.RoundTripper.(*http.Transport).CloseIdleConnections()
}

func (a *countingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	body := a.store.bodies[strings.TrimPrefix(r.URL.Path, "/")]
	first, last := 0, len(body)-1
	fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &first, &last)
	a.store.asked.Add(int64(min(last+1, len(body)) - first))
	return a.RoundTripper.RoundTrip(r)
}

// Export implements fetch.Provider.
func (y *testStore) Export(context.Context, fetch.Ref) (*fetch.Export, error) {
	return &fetch.Export{State: fetch.Ready, Status: "there", Snapshot: true, Records: verify.Unknown, Objects: y.objects()}, nil
}

func (y *testStore) objects() iter.Seq2[fetch.Object, error] {
	return func(yield func(fetch.Object, error) bool) {
		for _, name := range slices.Sorted(maps.Keys(y.bodies)) {
			body := y.bodies[name]
			source, err := web.Open(y.client, &y.hosts, y.URL+"/"+name)
			want := verify.Want{Size: int64(len(body)), CRC64: fmt.Sprint(crc64.Checksum(body, crc64.MakeTable(crc64.ECMA)))}
			if !yield(fetch.Object{Name: name, Want: want, Source: source}, err) {
				return
			}
		}
	}
}

// fetcher returns a Fetcher for the export.
func (y *testStore) fetcher(a *archive.Archive, keep fetch.Keep) *fetch.Fetcher {
	return &fetch.Fetcher{Providers: map[string]fetch.Provider{"oss": y}, Archive: a, Parallel: 2, PartSize: partSize, Keep: keep}
}

func (y *testStore) fetch(a *archive.Archive, keep fetch.Keep) (*archive.Receipt, error) {
	ref, err := fetch.ParseRef(storeRef)
	if err != nil {
		return nil, err
	}
	return y.fetcher(a, keep).Fetch(context.Background(), ref)
}

// key is the key of the export.
func (y *testStore) key(t testing.TB) string {
	t.Helper()
	ref, err := fetch.ParseRef(storeRef)
	if err != nil {
		t.Fatal(err)
	}
	return ref.Key()
}

// work fetches the export by a worker in this process.
func (y *testStore) work(a *archive.Archive) error {
	ref, err := fetch.ParseRef(storeRef)
	if err != nil {
		return err
	}
	local := worker.StartLocal(&worker.Worker{
		Archive: a, Fetcher: y.fetcher(a, ""), PollConcurrency: 1, FetchConcurrency: 1, Wait: time.Minute, PollInterval: time.Millisecond,
	})
	_, err = local.Fetch(context.Background(), ref)
	return errors.Join(err, local.Close())
}

// checkWhole checks the content of the export that landed, and rechecks its bag.
func (y *testStore) checkWhole(t testing.TB, a *archive.Archive, keep fetch.Keep) {
	t.Helper()
	key := y.key(t)
	if err := a.Recheck(context.Background(), key, nil); err != nil {
		t.Error(err)
	}
	want := y.content()
	if keep == fetch.KeepBoth {
		want["b.csv.zst"], want["c.zip.wire"] = string(y.bodies["b.csv.zst"]), string(y.bodies["c.zip"])
	}
	if diff := cmp.Diff(want, filesIn(t, filepath.Join(a.Path(key), "data"))); diff != "" {
		t.Error(diff)
	}
}

func filesIn(t testing.TB, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		files[filepath.ToSlash(strings.TrimPrefix(path, dir+"/"))] = string(b)
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return files
}

// checkWholeOrAbsent checks that the export is whole or absent, and reports whether it
// has landed.
func (y *testStore) checkWholeOrAbsent(t testing.TB, a *archive.Archive, keep fetch.Keep) (landed bool) {
	t.Helper()
	key := y.key(t)
	_, err := a.Receipt(key)
	switch {
	case err == nil:
		y.checkWhole(t, a, keep)
		return true
	case !errors.Is(err, fs.ErrNotExist):
		t.Error(err)
	}
	for key, err := range a.All() {
		t.Errorf("%s is visible, %v", key, err)
	}
	return false
}
