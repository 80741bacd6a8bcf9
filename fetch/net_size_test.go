package fetch_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"tallyman/fetch"
)

// received returns how many bytes of parts failed attempts have left in the archive.
func received(t *testing.T, f *fetch.Fetcher) (n int64) {
	t.Helper()
	err := filepath.WalkDir(f.Archive.Path(".ingest"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.Contains(path, "/parts/") {
			info, _ := d.Info()
			n += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAnObjectOfUnknownLengthEndsAtMaxSize(t *testing.T) {
	s := serve(t, rows)
	s.respond = endlessBody(200, "a,b\n")
	f, _ := newFetcher(t, t.TempDir())
	f.MaxSize = 1 << 20
	_, err := f.Fetch(context.Background(), s.ref(t, "export.csv", ""))
	if !errors.Is(err, fetch.ErrBomb) || errors.Is(err, fetch.ErrTemporary) || !strings.Contains(err.Error(), "more than 1048576 bytes") {
		t.Errorf("%v", err)
	}
	if n := s.count.Load(); n != 1 {
		t.Errorf("%d requests", n)
	}
	if n := received(t, f); n > 64<<10 {
		t.Errorf("%d bytes of it are kept", n)
	}
}

func TestASizeAboveMaxSizeIsRefusedBeforeAByteIsKept(t *testing.T) {
	for name, l := range map[string]responder{
		"by its length": func(_ *store, w http.ResponseWriter, _ *http.Request, _ int) bool {
			w.Header().Set("Content-Length", fmt.Sprint(int64(1)<<62))
			w.WriteHeader(200)
			return true
		},
		"by its range": func(s *store, w http.ResponseWriter, r *http.Request, _ int) bool {
			return labelled(func(off, end, size int) string { return fmt.Sprintf("bytes %d-%d/%d", off, end-1, int64(1)<<62) })(s, w, r, 1)
		},
	} {
		s := serve(t, rows)
		s.respond = l
		f, _ := newFetcher(t, t.TempDir())
		f.PartSize = 1000
		_, err := f.Fetch(context.Background(), s.ref(t, "export.csv", ""))
		if !errors.Is(err, fetch.ErrBomb) || !strings.Contains(err.Error(), "more than 1099511627776 bytes") || s.count.Load() != 1 || received(t, f) > 0 {
			t.Errorf("%s: %v, %d requests, %d bytes", name, err, s.count.Load(), received(t, f))
		}
	}
}

func TestAPromisedSizeMayExceedMaxSize(t *testing.T) {
	s := serve(t, rows)
	f, _ := newFetcher(t, t.TempDir())
	f.MaxSize = 100
	ref := s.ref(t, "export.csv", "")
	if _, err := f.Fetch(context.Background(), ref); !errors.Is(err, fetch.ErrBomb) {
		t.Errorf("%v", err)
	}
	if _, err := f.Fetch(context.Background(), s.ref(t, "export.csv", fmt.Sprintf("#size=%d", len(rows)))); err != nil {
		t.Error(err)
	}
	checkLanded(t, f, ref.Key(), rows)
}
