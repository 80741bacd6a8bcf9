package worker

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Whoever watches a queue sees each task where it is, and a Redis that is away as such.
func TestAQueueIsWatched(t *testing.T) {
	r := newFakeRedis(t)
	r.client = r.dialWith(&patience{limit: 1})
	q, ref := NewQueue(r.client), parseRef(t, jobRef)
	mustEnqueue(t, q, ref)
	sizes, waiting, err := q.Sizes(t.Context())
	want := map[string]int{"pending": 1, "active": 0, "scheduled": 0, "retry": 0, "failed": 0}
	if err != nil || waiting != 0 || len(sizes) != 1 || sizes[0].Queue != "poll" || !cmp.Equal(want, sizes[0].Tasks) {
		t.Errorf("Sizes = %v, %d, %v", sizes, waiting, err)
	}
	if running, err := q.Running(t.Context()); len(running) != 0 || err != nil {
		t.Errorf("Running = %v, %v", running, err)
	}
	if _, err := q.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	r.offline.Store(true)
	r.client.Close()
	if _, err := q.Ping(t.Context()); !errors.Is(err, ErrRedis) {
		t.Errorf("Ping = %v, want ErrRedis", err)
	}
}
