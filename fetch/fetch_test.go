package fetch_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"fmt"
	"hash/crc64"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"tallyman/fetch"
	"tallyman/fetch/web"
	"tallyman/verify"
	"tallyman/verify/archive"
)

// csv makes n rows under a header row, with a quoted newline now and then.
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

func encode(t testing.TB, codec string, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	switch codec {
	case "zstd":
		w, _ := zstd.NewWriter(&b)
		w.Write(content)
		w.Close()
	case "gzip":
		w := gzip.NewWriter(&b)
		w.Write(content)
		w.Close()
	case "lz4":
		w := lz4.NewWriter(&b)
		w.Write(content)
		w.Close()
	default:
		b.Write(content)
	}
	return b.Bytes()
}

// A store serves one file as OSS would, unless lie answers in its place.
type store struct {
	*httptest.Server
	body     []byte
	header   http.Header
	lie      func(w http.ResponseWriter, r *http.Request, n int) bool
	requests atomic.Int64
	sent     atomic.Int64
}

func serve(t testing.TB, body []byte) *store {
	s := &store{body: body, header: http.Header{}}
	s.header.Set("ETag", fmt.Sprintf(`"%X"`, md5.Sum(body)))
	s.header.Set("X-Oss-Hash-Crc64ecma", fmt.Sprint(crc64.Checksum(body, verify.ECMA)))
	s.Server = httptest.NewServer(http.HandlerFunc(s.answer))
	t.Cleanup(s.Close)
	return s
}

func (s *store) answer(w http.ResponseWriter, r *http.Request) {
	n := int(s.requests.Add(1))
	for k, v := range s.header {
		w.Header()[k] = v
	}
	if s.lie != nil && s.lie(w, r, n) {
		return
	}
	http.ServeContent(&counting{w, s}, r, "", time.Time{}, bytes.NewReader(s.body))
}

type counting struct {
	http.ResponseWriter
	s *store
}

func (c *counting) Write(p []byte) (int, error) {
	c.s.sent.Add(int64(len(p)))
	return c.ResponseWriter.Write(p)
}

func (s *store) ref(t testing.TB, name, promises string) fetch.Ref {
	t.Helper()
	ref, err := fetch.ParseRef(s.URL + "/dir/" + name + promises)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func newFetcher(t testing.TB, dir string) *fetch.Fetcher {
	t.Helper()
	a, err := archive.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	hosts := &fetch.Hosts{Domains: []string{"*"}, Allow: []string{"127.0.0.1"}}
	p := &web.Provider{Hosts: hosts, Client: hosts.Client()}
	t.Cleanup(p.Client.CloseIdleConnections)
	return &fetch.Fetcher{
		Providers: map[string]fetch.Provider{"http": p, "https": p},
		Archive:   a, PartSize: 64 << 10, Parallel: 4,
	}
}

func TestEachCodecLands(t *testing.T) {
	content := csv(20000)
	for _, codec := range []string{"zstd", "gzip", "lz4", "plain"} {
		t.Run(codec, func(t *testing.T) {
			s := serve(t, encode(t, codec, content))
			f := newFetcher(t, t.TempDir())
			suffix := map[string]string{"zstd": ".zst", "gzip": ".gzip", "lz4": ".lz4"}[codec]
			ref := s.ref(t, "export.csv"+suffix, "#records=20207")
			receipt, err := f.Fetch(context.Background(), ref)
			if err != nil {
				t.Fatal(err)
			}
			if len(receipt.Doubts) > 0 {
				t.Errorf("doubts: %q", receipt.Doubts)
			}
			got, err := os.ReadFile(filepath.Join(f.Archive.Path(ref.Key()), "data", "export.csv"))
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf("the content is not what was encoded: %v", err)
			}
			if err := f.Archive.Recheck(context.Background(), ref.Key()); err != nil {
				t.Error(err)
			}
			left, _ := os.ReadDir(filepath.Join(f.Archive.Path(""), ".ingest"))
			if len(left) > 0 {
				t.Errorf("left in the ingest area: %v", left)
			}
			before := s.requests.Load()
			if _, err := f.Fetch(context.Background(), ref); err != nil || s.requests.Load() != before {
				t.Errorf("what had landed was asked for again (%v)", err)
			}
		})
	}
}

var _ = strings.Contains
var _ url.URL
