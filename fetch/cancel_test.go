package fetch_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"testing"
	"time"

	"tallyman/fetch"
)

var errStopped = errors.New("stopped by a test")

// Without the cancellation, each of these stages would take an hour.
func TestCancellationEndsAFetchAtEachStage(t *testing.T) {
	for name, l := range map[string]responder{
		"before the first answer":                 stall(0),
		"before a later answer":                   after(1, stall(0)),
		"in the first body":                       stall(500),
		"in a later body":                         after(1, stall(500)),
		"in the body of a store without ranges":   inTurn(ignoreRange, stall(1500)),
		"while skipping in such a body":           after(1, inTurn(ignoreRange, stall(100))),
		"while backing off from the first answer": refuse(503, ""),
		"while backing off from a later one":      after(1, refuse(503, "", "Retry-After", "9")),
		"while backing off from a body cut short": cut(500),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, rows)
			s.respond = l
			f, _ := newFetcher(t, t.TempDir())
			f.PartSize, f.IdleTimeout = 1000, time.Hour
			fetch.SetFirstWait(f, time.Hour)
			ctx, cancel := context.WithCancelCause(context.Background())
			time.AfterFunc(50*time.Millisecond, func() { cancel(errStopped) })
			ref := s.ref(t, "export.csv", "")
			if _, err := f.Fetch(ctx, ref); !errors.Is(err, errStopped) {
				t.Errorf("%v, want the cause", err)
			}
			checkAbsent(t, f, ref.Key())
			fetch.SetFirstWait(f, 0)
			fetchRestored(t, s, f, "")
		})
	}
}

func ignoreRange(_ *store, _ http.ResponseWriter, r *http.Request, _ int) bool {
	r.Header.Del("Range")
	return unanswered
}

func TestCancelledBeforeItBegins(t *testing.T) {
	s := serve(t, rows)
	f, _ := newFetcher(t, t.TempDir())
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := f.Fetch(ctx, s.ref(t, "export.csv", "")); !errors.Is(err, context.Canceled) || s.count.Load() != 0 {
		t.Errorf("%v after %d requests", err, s.count.Load())
	}
}

func TestFilesAreClosedHoweverAFetchEnds(t *testing.T) {
	s := serve(t, rows)
	f, tracker := newFetcher(t, t.TempDir())
	f.PartSize = 1000
	before := -1
	for i, l := range []responder{nil, after(2, refuse(404, "")), cut(500), chunked(longerBody), after(1, withHeaders("ETag", `"x"`)), whole} {
		s.respond = l
		f.Fetch(context.Background(), s.ref(t, "export.csv", "?"+string(rune('a'+i))))
		tracker.transport.(*http.Transport).CloseIdleConnections()
		s.CloseClientConnections()
		if open := openFiles(t); before >= 0 && open > before+2 { // a connection may take a moment to go
			t.Errorf("%d files are open, were %d", open, before)
		} else if before < 0 {
			before = open
		}
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	n := 0
	for _, e := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && target[0] == '/' {
			n++
		}
	}
	return n
}
