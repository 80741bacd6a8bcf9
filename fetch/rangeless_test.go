package fetch_test

import (
	"context"
	"errors"
	"testing"

	"tallyman/fetch"
)

// To each ignored range the store sends all bytes before it too.
func TestAStoreThatBeginsToIgnoreRangesIsNotAskedForEachPart(t *testing.T) {
	body := csv(600) // some forty parts
	for _, tt := range []struct {
		name          string
		respond       responder
		parallel, max int64 // requests
	}{
		{"one at a time", after(1, whole), 1, 3},
		{"one at a time, after some", after(5, whole), 1, 7},
		{"several", after(1, whole), 4, 10},
		{"without a length", after(1, chunked(sameBody)), 1, 3},
		{"and cut short twice", after(1, inTurn(ignoreRange, onFirst(4, cut(20000)))), 1, 8},
	} {
		s := serve(t, body)
		s.respond = tt.respond
		f, _ := newFetcher(t, t.TempDir())
		f.PartSize, f.Parallel = 1000, int(tt.parallel)
		ref := s.ref(t, "export.csv", "")
		if _, err := f.Fetch(context.Background(), ref); err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if n := s.count.Load(); n > tt.max {
			t.Errorf("%s: %d requests, want %d or less", tt.name, n, tt.max)
		}
		checkLanded(t, f, ref.Key(), body)
	}
}

func TestAFetchFromAStoreWithoutRangesIsResumed(t *testing.T) {
	body := csv(600)
	s := serve(t, body)
	s.respond = after(1, whole)
	f, _ := newFetcher(t, t.TempDir())
	f.PartSize, f.Parallel = 1000, 1
	drain := drainable(f)
	f.Progress = callAfter(10_500, drain)
	ref := s.ref(t, "export.csv", "")
	if _, err := f.Fetch(context.Background(), ref); !errors.Is(err, fetch.ErrDrained) {
		t.Fatalf("%v, want %v", err, fetch.ErrDrained)
	}
	restart(f)
	s.restore()
	before := len(s.requests())
	if _, err := f.Fetch(context.Background(), ref); err != nil {
		t.Fatal(err)
	}
	if first, _ := span(t, s.requests()[before]); first != 11_000 {
		t.Errorf("the next attempt goes on at %d, want %d", first, 11_000)
	}
	checkLanded(t, f, ref.Key(), body)
}

// callAfter returns a Progress function that calls do after so many bytes.
func callAfter(bytes int64, do func()) func(fetch.Progress) {
	return func(p fetch.Progress) {
		if bytes -= p.Bytes; bytes <= 0 {
			do()
		}
	}
}
