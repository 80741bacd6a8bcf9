package main

import (
	"slices"
	"testing"
	"time"
)

// Windows are the same whenever they are made, leave no time out, and begin at midnight of
// the zone, also on a day that has 23 hours or 25.
func TestWindowsBetween(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	at := func(zone *time.Location, month time.Month, day, hour, minute int) time.Time {
		return time.Date(2026, month, day, hour, minute, 0, 0, zone)
	}
	for _, c := range []struct {
		name         string
		since, until time.Time
		length       time.Duration
		zone         *time.Location
		want         int
		first, last  time.Time // where the first begins, and the last ends
	}{
		{"hours", at(time.UTC, 11, 1, 0, 0), at(time.UTC, 11, 2, 0, 0), time.Hour, time.UTC, 24, at(time.UTC, 11, 1, 0, 0), at(time.UTC, 11, 2, 0, 0)},
		{"whole ones alone", at(time.UTC, 11, 1, 0, 1), at(time.UTC, 11, 1, 3, 59), time.Hour, time.UTC, 2, at(time.UTC, 11, 1, 1, 0), at(time.UTC, 11, 1, 3, 0)},
		{"none", at(time.UTC, 11, 1, 0, 1), at(time.UTC, 11, 1, 1, 59), time.Hour, time.UTC, 0, time.Time{}, time.Time{}},
		{"a year of hours", at(time.UTC, 1, 1, 0, 0), at(time.UTC, 1, 1, 0, 0).AddDate(1, 0, 0), time.Hour, time.UTC, 8760, at(time.UTC, 1, 1, 0, 0), at(time.UTC, 1, 1, 0, 0).AddDate(1, 0, 0)},
		{"days of a zone", at(berlin, 3, 28, 0, 0), at(berlin, 3, 31, 0, 0), 24 * time.Hour, berlin, 3, at(berlin, 3, 28, 0, 0), at(berlin, 3, 31, 0, 0)},
		{"hours of a short day", at(berlin, 3, 29, 0, 0), at(berlin, 3, 30, 0, 0), time.Hour, berlin, 23, at(berlin, 3, 29, 0, 0), at(berlin, 3, 30, 0, 0)},
		{"parts of a long day", at(berlin, 10, 25, 0, 0), at(berlin, 10, 26, 0, 0), 6 * time.Hour, berlin, 5, at(berlin, 10, 25, 0, 0), at(berlin, 10, 26, 0, 0)},
	} {
		windows := slices.Collect(windowsBetween(c.since, c.until, c.length, c.zone))
		if len(windows) != c.want {
			t.Errorf("%s: %d windows, want %d", c.name, len(windows), c.want)
			continue
		}
		for i, w := range windows {
			if i > 0 && w.From != windows[i-1].To || w.From >= w.To {
				t.Errorf("%s: %+v does not follow %+v", c.name, w, windows[i-1])
			}
		}
		if n := len(windows); n > 0 && (windows[0].From != c.first.Unix() || windows[n-1].To != c.last.Unix()) {
			t.Errorf("%s: from %v to %v", c.name, time.Unix(windows[0].From, 0), time.Unix(windows[n-1].To, 0))
		}
	}
	for day := 1; day < 20; day++ { // weeks begin on the same days, whatever since is
		for w := range windowsBetween(at(time.UTC, 11, day, 5, 0), at(time.UTC, 12, 31, 0, 0), 7*24*time.Hour, time.UTC) {
			if w.From/86400%7 != 0 || w.To-w.From != 7*86400 {
				t.Errorf("since the %d: %+v", day, w)
			}
		}
	}
}
