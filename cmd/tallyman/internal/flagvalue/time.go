package flagvalue

import (
	"errors"
	"strings"
	"time"
)

// Time is a point in time as people name it. The text is one of
//   - a [Duration]: that long ago
//   - a weekday, in full or its first three letters: the last midnight, in
//     local time, at which that day began
//   - a date like 2026-01-31: its first midnight, in local time
//   - a time like 2026-01-31T06:00:00Z (RFC 3339)
//
// The zero Time names no point in time.
type Time struct {
	time.Time
	text string
}

// Type implements pflag.Value.
func (t *Time) Type() string { return "TIME" }

// String implements pflag.Value. It returns the text that was given to Set.
func (t *Time) String() string { return t.text }

// Set implements pflag.Value.
func (t *Time) Set(text string) error {
	parsed, err := ParseTime(text, time.Now())
	if err != nil {
		return err
	}
	t.Time, t.text = parsed, text
	return nil
}

// ParseTime returns the point in time that text names at the time now, in the
// time zone of now.
func ParseTime(text string, now time.Time) (time.Time, error) {
	if day, ok := weekday(text); ok {
		year, month, date := now.Date()
		daysAgo := int(now.Weekday()-day+7) % 7
		return time.Date(year, month, date-daysAgo, 0, 0, 0, 0, now.Location()), nil
	}
	if t, err := time.ParseInLocation(time.DateOnly, text, now.Location()); err == nil {
		return t, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	var ago Duration
	if err := ago.Set(text); err != nil {
		return time.Time{}, errors.New("must be a time like 2h30m (that long ago), 7d, fri, 2026-01-31 or 2026-01-31T06:00:00Z")
	}
	return now.Add(-time.Duration(ago)), nil
}

// weekday parses the name of a weekday, in full or its first three letters, in
// any case.
func weekday(text string) (day time.Weekday, ok bool) {
	for day := time.Sunday; day <= time.Saturday; day++ {
		if strings.EqualFold(text, day.String()) || strings.EqualFold(text, day.String()[:3]) {
			return day, true
		}
	}
	return 0, false
}
