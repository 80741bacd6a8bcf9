package flagvalue

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// Duration is a length of time that is not negative: weeks, then days, then a
// duration as Go writes it, each of which may be missing, such as 1w2d3h.
type Duration time.Duration

// Type implements pflag.Value.
func (d *Duration) Type() string { return "DURATION" }

// String implements pflag.Value.
func (d *Duration) String() string { return time.Duration(*d).String() }

// Set implements pflag.Value.
func (d *Duration) Set(text string) error {
	const day = 24 * time.Hour
	var days time.Duration
	rest := text
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
		return errors.New("must be a duration like 90s, 2h30m, 7d or 1w")
	}
	*d = Duration(days + clock)
	return nil
}
