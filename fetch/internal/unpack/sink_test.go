package unpack

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
)

// A sink keeps the files that it creates.
type sink struct {
	mu    sync.Mutex
	files map[string]*sinkFile
}

type sinkFile struct {
	bytes.Buffer
	closed int
}

func (f *sinkFile) Close() error {
	f.closed++
	return nil
}

func (s *sink) create(name string) (io.WriteCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.files == nil {
		s.files = map[string]*sinkFile{}
	}
	if s.files[name] != nil {
		return nil, errors.New("created twice: " + name)
	}
	s.files[name] = &sinkFile{}
	return s.files[name], nil
}

// unzip unpacks b into memory.
func unzip(t testing.TB, b []byte, limits Limits) (map[string]string, error) {
	t.Helper()
	var s sink
	n, err := Zip(context.Background(), bytes.NewReader(b), int64(len(b)), 2, limits, s.create)
	return s.contents(t, n, err), err
}

func (s *sink) contents(t testing.TB, files int, err error) map[string]string {
	t.Helper()
	got := map[string]string{}
	for name, f := range s.files {
		if f.closed != 1 {
			t.Errorf("%q was closed %d times", name, f.closed)
		}
		got[name] = f.String()
	}
	if err == nil && files != len(got) {
		t.Errorf("unpacked %d files, reported %d", len(got), files)
	}
	return got
}

// refused checks that err wraps kind, none of the other kinds, and contains says.
func refused(t *testing.T, err, kind error, says string) {
	t.Helper()
	for _, k := range []error{ErrUnsafeName, ErrBomb, ErrEncrypted, ErrCorrupt} {
		if errors.Is(err, k) != (k == kind) {
			t.Fatalf("error %v: is %v: %v", err, k, errors.Is(err, k))
		}
	}
	if err == nil != (kind == nil) {
		t.Fatalf("error %v, want %v", err, kind)
	}
	if err != nil && !strings.Contains(err.Error(), says) {
		t.Fatalf("error %q does not say %q", err, says)
	}
}
