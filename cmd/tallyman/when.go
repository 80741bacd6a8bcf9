package main

import (
	"fmt"
	"strings"
	"time"
)

// A when is a point in time, as people name it: a DURATION ago; a weekday, for
// when the last one began here, today's if it is today; a date, for when it
// began here; or a time (RFC 3339). The zero when is none.
type when struct {
	time.Time
	text string
	now  func() time.Time // nil is time.Now
}

func (w *when) Type() string   { return "TIME" }
func (w *when) String() string { return w.text }

func (w *when) Set(text string) error {
	now := time.Now
	if w.now != nil {
		now = w.now
	}
	t, ok := parseWhen(text, now())
	if !ok {
		return fmt.Errorf("want a time like 2h30m, 7d, fri, 2026-01-31 or 2026-01-31T06:00:00Z")
	}
	w.Time, w.text = t, text
	return nil
}

func parseWhen(text string, now time.Time) (time.Time, bool) {
	if day, ok := weekday(text); ok {
		y, m, d := now.Date()
		return time.Date(y, m, d-int(now.Weekday()-day+7)%7, 0, 0, 0, 0, now.Location()), true
	}
	if t, err := time.ParseInLocation(time.DateOnly, text, now.Location()); err == nil {
		return t, true
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, true
	}
	var ago span
	err := ago.Set(text)
	return now.Add(-time.Duration(ago)), err == nil
}

// weekday knows the names of days, in full and by their first three letters.
func weekday(text string) (time.Weekday, bool) {
	for day := time.Sunday; day <= time.Saturday; day++ {
		if strings.EqualFold(text, day.String()) || strings.EqualFold(text, day.String()[:3]) {
			return day, true
		}
	}
	return 0, false
}
