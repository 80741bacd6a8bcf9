package main

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tallyman/fetch"
	"tallyman/verify/archive/coverage"
)

// rowTimes is a witness of rows at these seconds.
type rowTimes struct {
	seconds []int64
	calls   int
	err     error
}

func (r *rowTimes) Count(_ context.Context, w fetch.Window) (c fetch.Count, err error) {
	r.calls++
	for _, s := range r.seconds {
		if w.From.Unix() <= s && s < w.To.Unix() {
			c.Records++
		}
	}
	return c, r.err
}

func (*rowTimes) Countable(context.Context, fetch.Window) (fetch.Countable, error) {
	return fetch.Countable{}, errors.ErrUnsupported
}

// A window with too many rows is halved until none has, by one count a window and one a half;
// what landed of its halves is not made again.
func TestWindowsOfTooManyRecordsAreHalved(t *testing.T) {
	const hour = int64(3600)
	window := func(from, to int64) fetch.Creation {
		return fetch.Creation{Window: fetch.Window{Group: "access *", From: time.Unix(from, 0).UTC(), To: time.Unix(to, 0).UTC()}}
	}
	rows := func(n int, from, step int64) (seconds []int64) {
		for i := range int64(n) {
			seconds = append(seconds, from+i*step)
		}
		return seconds
	}
	for _, tt := range []struct {
		name    string
		rows    []int64
		settled []coverage.Span
		want    string
		calls   int
	}{
		{"few", rows(10, 0, 60), nil, "[0 3600] [3600 7200]", 2},
		{"even", rows(40, 0, 90), nil, "[0 900] [900 1800] [1800 2700] [2700 3600] [3600 7200]", 5},
		{"at its beginning", rows(20, 0, 45), nil, "[0 450] [450 900] [900 1800] [1800 3600] [3600 7200]", 5},
		{"in one second", rows(11, 5, 0), nil, "[0 3] [3 5] [5 6] [6 7] [7 14] [14 28] [28 56] [56 112] [112 225] [225 450] [450 900] [900 1800] [1800 3600] [3600 7200]", 14},
		{"a half is there", rows(20, 0, 180), []coverage.Span{{From: 0, To: 1800}}, "[1800 3600] [3600 7200]", 3},
	} {
		witness := &rowTimes{seconds: tt.rows}
		s := &splitting{witness: witness, most: 10, settled: tt.settled}
		parts, records, uncounted, err := s.split(t.Context(), []fetch.Creation{window(0, hour), window(hour, 2*hour)})
		if err != nil || uncounted != nil || records != int64(len(tt.rows)) || witness.calls != tt.calls {
			t.Errorf("%s: %d records, %d calls, %v, %v", tt.name, records, witness.calls, uncounted, err)
		}
		got := ""
		for i, p := range parts {
			if i > 0 {
				got += " "
			}
			got += fmt.Sprint([]int64{p.From.Unix(), p.To.Unix()})
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", tt.name, diff)
		}
	}
	s := &splitting{witness: &rowTimes{err: fetch.ErrNotCountable}, most: 10}
	if parts, _, uncounted, err := s.split(t.Context(), []fetch.Creation{window(0, hour)}); len(parts) != 1 || !errors.Is(uncounted, fetch.ErrNotCountable) || err != nil {
		t.Errorf("what can't be counted: %d parts, %v, %v", len(parts), uncounted, err)
	}
}
