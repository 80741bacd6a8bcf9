package fetch_test

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"testing"

	"tallyman/fetch"
	"tallyman/verify"
)

// A urlProvider has one export, of objects that each have a URL of a server.
type urlProvider struct {
	provider fetch.Provider
	url      string
	names    []string
}

func (m *urlProvider) Export(ctx context.Context, _ fetch.Ref) (*fetch.Export, error) {
	return &fetch.Export{State: fetch.Ready, Records: verify.Unknown, Snapshot: true, Objects: m.objects(ctx)}, nil
}

func (m *urlProvider) objects(ctx context.Context) iter.Seq2[fetch.Object, error] {
	return func(yield func(fetch.Object, error) bool) {
		for _, name := range m.names {
			o, err := m.object(ctx, name)
			if !yield(o, err) {
				return
			}
		}
	}
}

func (m *urlProvider) object(ctx context.Context, name string) (fetch.Object, error) {
	ref, err := fetch.ParseRef(m.url + "/" + name)
	if err != nil {
		return fetch.Object{}, err
	}
	export, err := m.provider.Export(ctx, ref)
	if err != nil {
		return fetch.Object{}, err
	}
	for o, err := range export.Objects {
		o.Name = name
		return o, err
	}
	return fetch.Object{}, fetch.ErrNotFound
}

func BenchmarkFetch(b *testing.B) {
	big := encode(b, "zstd", csv(64<<20/46))
	small := encode(b, "zstd", csv(440))
	for _, bb := range []struct {
		name string
		n    int
		body []byte
		size int
	}{
		{"64MiB", 1, big, 64 << 20},
		{"1000x20KiB", 1000, small, 1000 * len(csv(440))},
	} {
		b.Run(bb.name, func(b *testing.B) { benchmarkFetch(b, bb.n, bb.size, bb.body) })
	}
}

func benchmarkFetch(b *testing.B, n, size int, body []byte) {
	etag, crc := etagOf(body), crcOf(body)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", etag)
		w.Header().Set("X-Oss-Hash-Crc64ecma", crc)
		(&store{body: body}).serve(w, r)
	}))
	b.Cleanup(server.Close)
	f, _ := newFetcher(b, b.TempDir())
	f.PartSize, f.Parallel = 0, 0
	m := &urlProvider{provider: f.Providers["http"], url: server.URL}
	for i := range n {
		m.names = append(m.names, fmt.Sprintf("%04d.csv.zst", i))
	}
	f.Providers["oss"] = m
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for i := range b.N {
		ref := parseRef(b, "oss://bucket/"+fmt.Sprint(i)+"/")
		if _, err := f.Fetch(context.Background(), ref); err != nil {
			b.Fatal(err)
		}
	}
}
