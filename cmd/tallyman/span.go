package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A span is a duration: Go's, or a number of days or weeks before that.
type span time.Duration

func (d *span) Type() string   { return "DURATION" }
func (d *span) String() string { return time.Duration(*d).String() }

func (d *span) Set(text string) error {
	days, rest := cutDays(text)
	clock, err := time.Duration(0), error(nil)
	if rest != "" || text == "" {
		clock, err = time.ParseDuration(rest)
	}
	if err != nil || clock < 0 || days+clock < clock {
		return fmt.Errorf("want a duration like 90s, 2h30m, 7d or 1w")
	}
	*d = span(days + clock)
	return nil
}

// cutDays takes the weeks and days off a duration's beginning.
func cutDays(text string) (days time.Duration, rest string) {
	const day = 24 * time.Hour
	rest = text
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
	return days, rest
}
