package fetch_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"tallyman/fetch"
	"tallyman/verify"
)

// watchProgress adds up the bytes that f reports, and returns the last size.
func watchProgress(f *fetch.Fetcher) (done func() (bytes, size int64)) {
	var mu sync.Mutex
	var bytes, size int64
	f.Progress = func(p fetch.Progress) {
		mu.Lock()
		defer mu.Unlock()
		bytes += p.Bytes
		size = p.Size
	}
	return func() (int64, int64) {
		mu.Lock()
		defer mu.Unlock()
		return bytes, size
	}
}

// stopAfter ends all connections once the store has sent so many bytes in all.
func stopAfter(bytes int) responder {
	var mu sync.Mutex
	return func(s *store, w http.ResponseWriter, r *http.Request, _ int) bool {
		s.serve(&limitedWriter{w, &mu, &bytes}, r)
		return true
	}
}

type limitedWriter struct {
	http.ResponseWriter
	mu   *sync.Mutex
	left *int
}

func (m *limitedWriter) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := min(*m.left, len(p))
	if n > 0 {
		m.ResponseWriter.Write(p[:n])
		*m.left -= n
	}
	if n < len(p) {
		http.NewResponseController(m.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, nil
}

func TestResumeAfterACutAtEachByteLosesNoWholePart(t *testing.T) {
	const shards = 8 // in parallel, since most of the time is spent in fsync
	for shard := range shards {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			for at := shard; at < 200; at += shards {
				resumeAfter(t, at)
			}
		})
	}
}

func resumeAfter(t *testing.T, at int) {
	const part, parallel = 20, 2
	body := rows[:200]
	dir := t.TempDir()
	s := serve(t, body)
	defer s.Close()
	s.respond = stopAfter(at)
	f, tracker := newFetcher(t, dir)
	fetch.SetFirstWait(f, time.Microsecond)
	f.PartSize, f.Parallel = part, parallel
	ref := s.ref(t, "export.csv", "")
	if _, err := f.Fetch(context.Background(), ref); !errors.Is(err, fetch.ErrTemporary) {
		t.Fatalf("cut at %d: %v", at, err)
	}
	checkAbsent(t, f, ref.Key())
	tracker.transport.(*http.Transport).CloseIdleConnections()
	s.restore()
	f, _ = newFetcher(t, dir) // as another process would
	f.PartSize, f.Parallel = part, parallel
	if _, err := f.Fetch(context.Background(), ref); err != nil {
		t.Fatalf("cut at %d, then: %v", at, err)
	}
	if twice := s.sent.Load() - int64(len(body)); twice > parallel*part {
		t.Errorf("cut at %d: %d bytes were sent twice", at, twice)
	}
	checkLanded(t, f, ref.Key(), body)
}

// Without a strong ETag and a hash, the time of the last change names the version,
// for a later attempt too.
func TestPartsOfAnotherTimeAreNotTakenUp(t *testing.T) {
	for name, tt := range map[string]struct {
		etag, time string
		err        error
	}{
		"the same time":                 {"", sixOClock, nil},
		"another time":                  {"", sevenOClock, fetch.ErrChanged},
		"the same time, and weak ETag":  {`W/"1"`, sixOClock, nil},
		"another time, but a weak ETag": {`W/"1"`, sevenOClock, fetch.ErrChanged},
		"another time, but an ETag":     {`"1"`, sevenOClock, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, rows)
			s.respond = inTurn(unhashed(tt.etag, "Last-Modified", sixOClock), stopAfter(3000))
			f, _ := newFetcher(t, t.TempDir())
			f.PartSize = 1000
			ref := s.ref(t, "export.csv", "")
			if _, err := f.Fetch(t.Context(), ref); !errors.Is(err, fetch.ErrTemporary) {
				t.Fatal(err)
			}
			body := rows
			if tt.err != nil {
				body = bytes.ToUpper(rows)
			}
			s.change(body, unhashed(tt.etag, "Last-Modified", tt.time))
			_, err := f.Fetch(t.Context(), ref)
			if !errors.Is(err, tt.err) {
				t.Fatalf("%v, want %v", err, tt.err)
			}
			if err != nil {
				if _, err := f.Fetch(t.Context(), ref); err != nil {
					t.Fatal(err)
				}
			}
			checkLanded(t, f, ref.Key(), body)
		})
	}
}

func TestACancelledFetchIsResumed(t *testing.T) {
	want := csv(5000)
	body := encode(t, "zstd", want)
	for range 5 {
		s := serve(t, body)
		ref := s.ref(t, "export.csv.zst", "")
		f, _ := newFetcher(t, t.TempDir())
		f.PartSize = 4 << 10
		for most, cancelled := time.Duration(1), true; cancelled; most *= 2 {
			ctx, cancel := context.WithTimeout(context.Background(), rand.N(most*time.Millisecond))
			_, err := f.Fetch(ctx, ref)
			cancelled = errors.Is(err, context.DeadlineExceeded)
			if err != nil && !cancelled {
				t.Fatal(err)
			}
			cancel()
		}
		checkLanded(t, f, ref.Key(), want)
	}
}

func TestPartsThatChangedOnDiskAreFetchedAgain(t *testing.T) {
	s := serve(t, rows)
	s.respond = stopAfter(3500)
	dir := t.TempDir()
	f, _ := newFetcher(t, dir)
	f.PartSize, f.Parallel = 1000, 1
	ref := s.ref(t, "export.csv", "")
	if _, err := f.Fetch(context.Background(), ref); !errors.Is(err, fetch.ErrTemporary) {
		t.Fatalf("%v, want %v", err, fetch.ErrTemporary)
	}
	wires, err := filepath.Glob(filepath.Join(dir, ".ingest", "*", "parts", "*.wire"))
	if err != nil || len(wires) != 1 {
		t.Fatal(wires, err)
	}
	flip(t, wires[0], 1500)
	s.restore()
	before := len(s.requests())
	if _, err := f.Fetch(context.Background(), ref); err != nil {
		t.Fatal(err)
	}
	if first, last := span(t, s.requests()[before]); first != 1000 || last != 1999 {
		t.Errorf("asked for %d-%d first, want the part that was changed", first, last)
	}
	checkLanded(t, f, ref.Key(), rows)
}

func flip(t *testing.T, path string, at int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
}

func TestAMismatchDiscardsAllParts(t *testing.T) {
	s := serve(t, rows)
	bad := append([]byte{}, rows...)
	bad[2500] ^= 1
	s.respond = func(s *store, w http.ResponseWriter, r *http.Request, n int) bool {
		(&store{body: bad}).serve(w, r)
		return true
	}
	f, _ := newFetcher(t, t.TempDir())
	f.PartSize = 1000
	ref := s.ref(t, "export.csv", "")
	_, err := f.Fetch(context.Background(), ref)
	if mismatch, ok := errors.AsType[*verify.Mismatch](err); !ok || mismatch.Check != verify.CheckCRC64 {
		t.Errorf("%v, want a mismatch of CRC64", err)
	}
	s.restore()
	before := s.sent.Load()
	if _, err := f.Fetch(context.Background(), ref); err != nil || s.sent.Load()-before != int64(len(rows)) {
		t.Errorf("%v, and %d bytes were asked for again, want all %d", err, s.sent.Load()-before, len(rows))
	}
	checkLanded(t, f, ref.Key(), rows)
}
