package main

import (
	"strings"
	"testing"
	"time"
)

// How fast an export comes is what came in the last seconds, and is not known at first, nor
// once it begins anew.
func TestSpeedIsOfTheLastSeconds(t *testing.T) {
	var s speeds
	begin := time.Now()
	for _, step := range []struct {
		second int
		bytes  int64
		want   float64
	}{
		{0, 1000, -1}, {1, 1100, 100}, {4, 1400, 100}, {5, 1500, 100}, {6, 2500, 1500. / 6}, {10, 6500, 1000}, {11, 6500, 5000. / 6}, {15, 6500, 0}, {16, 100, -1}, {18, 300, 100}, {100, 300, -1},
	} {
		if step.second == 100 {
			s.note("another", 1, begin.Add(90*time.Second)) // by which what was not looked at is forgotten
		}
		if got := s.note("key", step.bytes, begin.Add(time.Duration(step.second)*time.Second)); got != step.want {
			t.Errorf("second %d: %v, want %v", step.second, got, step.want)
		}
	}
}

// Where there is no queue, or its Redis is away, the page says so, and shows the rest.
func TestWhatRunsIsUnknownWithoutAQueue(t *testing.T) {
	t.Parallel()
	for redis, want := range map[string]string{"": "served without --redis", "redis://127.0.0.1:1?max_retries=-1": "redis is not available"} {
		a, store := newWatched(t)
		a.Redis.Value = redis
		h := newWatching(t, a, store, false).handler(a, "127.0.0.1:8410", "")
		body := get(t, h, "/", nil).Body.String()
		if !strings.Contains(body, "What runs is not known") || !strings.Contains(body, want) || !strings.Contains(body, "2 landed") || strings.Contains(body, "Nothing runs now") {
			t.Errorf("%s: %s", redis, body)
		}
	}
}
