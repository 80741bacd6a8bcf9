package flagvalue

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// inWords matches a number of one unit, such as "2 days".
var inWords = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)^(\d+) ?(w)eeks?$|^(\d+) ?(d)ays?$|^(\d+) ?(h)ours?$|^(\d+) ?(m)in(?:ute)?s?$|^(\d+) ?(s)ec(?:ond)?s?$`)
})

// ParseDuration parses a length of time that is not negative: weeks, then days,
// then a duration as Go writes it, each of which may be missing, such as 1w2d3h; or
// a number of one unit in full, such as 2 days.
func ParseDuration(text string) (time.Duration, error) {
	const day = 24 * time.Hour
	var days time.Duration
	rest := text
	if words := inWords().FindStringSubmatch(text); words != nil {
		rest = strings.ToLower(strings.Join(words[1:], "")) // one number and its unit's letter
	}
	for _, unit := range []struct {
		suffix string
		length time.Duration
	}{{"w", 7 * day}, {"d", day}} {
		number, after, ok := strings.Cut(rest, unit.suffix)
		if n, err := strconv.ParseUint(number, 10, 13); ok && err == nil { // 13 bits of weeks are 157 years
			days += time.Duration(n) * unit.length
			rest = after
		}
	}
	var clock time.Duration
	var err error
	if rest != "" || text == "" {
		clock, err = time.ParseDuration(rest)
	}
	if err != nil || clock < 0 || days+clock < clock {
		return 0, errors.New("must be a duration like 90s, 2h30m, 7d or 1w")
	}
	return days + clock, nil
}

// ParseZone parses the name of a time zone, such as UTC, Asia/Shanghai or Local.
func ParseZone(text string) (*time.Location, error) {
	zone, err := time.LoadLocation(text)
	if err != nil || text == "" {
		return nil, errors.New("must be a time zone like UTC, Asia/Shanghai or Local")
	}
	return zone, nil
}

// ParseTime parses a point in time as people name it, in local time:
//   - a duration, with or without "ago": that long ago
//   - now; today and yesterday: the midnight at which it began
//   - a weekday, in full or its first three letters: the last midnight at which
//     that day began
//   - a date like 2026-01-31: its first midnight
//   - a time like 2026-01-31T06:00:00Z (RFC 3339)
func ParseTime(text string) (time.Time, error) { return parseTime(text, time.Now()) }

// parseTime is ParseTime at the time now, in the time zone of now.
func parseTime(text string, now time.Time) (time.Time, error) {
	year, month, date := now.Date()
	switch strings.ToLower(text) {
	case "now":
		return now, nil
	case "today":
		return time.Date(year, month, date, 0, 0, 0, 0, now.Location()), nil
	case "yesterday":
		return time.Date(year, month, date-1, 0, 0, 0, 0, now.Location()), nil
	}
	for daysAgo := range 7 {
		name := ((now.Weekday() + 7 - time.Weekday(daysAgo)) % 7).String()
		if strings.EqualFold(text, name) || strings.EqualFold(text, name[:3]) {
			return time.Date(year, month, date-daysAgo, 0, 0, 0, 0, now.Location()), nil
		}
	}
	if t, err := time.ParseInLocation(time.DateOnly, text, now.Location()); err == nil {
		return t, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	ago, err := ParseDuration(strings.TrimSuffix(text, " ago"))
	if err != nil {
		return time.Time{}, errors.New("must be a time like 2h30m (that long ago), 7d, yesterday, fri, 2026-01-31 or 2026-01-31T06:00:00Z")
	}
	return now.Add(-ago), nil
}

// FormatDuration writes a duration as short as ParseDuration reads it: 1h, 1h30m.
func FormatDuration(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"0s", "0m"} {
		if cut, ok := strings.CutSuffix(text, zero); ok && cut != "" && !strings.ContainsRune("0123456789.", rune(cut[len(cut)-1])) {
			text = cut
		}
	}
	return text
}
