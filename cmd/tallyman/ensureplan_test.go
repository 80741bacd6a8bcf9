package main

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tallyman/cmd/tallyman/internal/config"
	"tallyman/fetch"
	"tallyman/fetch/sls"
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

// A countingProvider has exports that nobody asks for.
type countingProvider struct {
	fetch.Provider
	*rowTimes
}

// A window with too many rows is halved until none has, by one count a window and one a half;
// what landed of its halves is not made again.
func TestWindowsOfTooManyRecordsAreHalved(t *testing.T) {
	const hour = int64(3600)
	place, err := fetch.ParsePlace(killedPlace)
	if err != nil {
		t.Fatal(err)
	}
	split := func(witness countingProvider, settled []coverage.Span) (p *ensurePlan, records int64, uncounted, err error) {
		p = &ensurePlan{Ensure: config.Ensure{Place: place, MaxRecords: 10}, settled: settled, lacking: []coverage.Span{{From: 0, To: hour}, {From: hour, To: 2 * hour}}}
		records, uncounted, err = p.split(t.Context(), map[string]fetch.Provider{"sls": witness})
		return p, records, uncounted, err
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
		p, records, uncounted, err := split(countingProvider{rowTimes: witness}, tt.settled)
		if err != nil || uncounted != nil || records != int64(len(tt.rows)) || witness.calls != tt.calls {
			t.Errorf("%s: %d records, %d calls, %v, %v", tt.name, records, witness.calls, uncounted, err)
		}
		got := ""
		for i, w := range p.lacking {
			if i > 0 {
				got += " "
			}
			got += fmt.Sprint([]int64{w.From, w.To})
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", tt.name, diff)
		}
	}
	witness := countingProvider{rowTimes: &rowTimes{err: fetch.ErrNotCountable}}
	if p, _, uncounted, err := split(witness, nil); len(p.lacking) != 2 || !errors.Is(uncounted, fetch.ErrNotCountable) || err != nil {
		t.Errorf("what can't be counted: %d windows, %v, %v", len(p.lacking), uncounted, err)
	}
}

// What landed of the half of a window is exported once more by another job than its own.
func TestHalvesAreExportedOnceMore(t *testing.T) {
	place, err := fetch.ParsePlace(killedPlace)
	if err != nil {
		t.Fatal(err)
	}
	p := &ensurePlan{
		Ensure: config.Ensure{Place: place, LogStore: "access", MaxRecords: 10}, again: true,
		lacking: []coverage.Span{{From: 0, To: 3600}}, instead: map[coverage.Span]string{{From: 0, To: 1800}: "first", {From: 1800, To: 3600}: "second"},
	}
	rows := &rowTimes{}
	for n := range int64(20) {
		rows.seconds = append(rows.seconds, n*180)
	}
	if _, _, err := p.split(t.Context(), map[string]fetch.Provider{"sls": countingProvider{rowTimes: rows}}); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, w := range p.lacking {
		again := p.creation(w)
		first := again
		first.Instead = ""
		for _, c := range []fetch.Creation{first, again} {
			ref, err := new(sls.Provider).NewJob(c)
			if err != nil {
				t.Fatal(err)
			}
			names[ref.String()] = true
		}
	}
	if len(p.lacking) != 2 || len(names) != 4 {
		t.Errorf("%d names of %d windows", len(names), len(p.lacking))
	}
}

// A year of minutes is planned in memory for its spans, and asks nobody.
func BenchmarkEnsurePlan(b *testing.B) {
	place, err := fetch.ParsePlace(killedPlace)
	if err != nil {
		b.Fatal(err)
	}
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, length := range []time.Duration{time.Hour, time.Minute} {
		b.Run(length.String(), func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				p := &ensurePlan{Ensure: config.Ensure{Place: place, LogStore: "access", Window: length, Zone: time.UTC}, since: from, until: from.AddDate(1, 0, 0)}
				if err := p.look(nil); err != nil || len(p.lacking) != int(365*24*time.Hour/length) {
					b.Fatal(err, len(p.lacking))
				}
			}
		})
	}
}
