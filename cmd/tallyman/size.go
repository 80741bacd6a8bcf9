package main

import (
	"fmt"
	"strconv"
	"strings"
)

// A size is a number of bytes.
type size int64

var units = []struct {
	suffix string
	bytes  int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}, {"", 1},
}

func (s *size) Type() string   { return "SIZE" }
func (s *size) String() string { return formatSize(int64(*s)) }

func (s *size) Set(text string) error {
	for _, u := range units {
		number, ok := strings.CutSuffix(text, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
		if err != nil || n < 0 || n > (1<<62)/u.bytes {
			break
		}
		*s = size(n * u.bytes)
		return nil
	}
	return fmt.Errorf("want bytes, or a number with KB, MB, GB, KiB, MiB or GiB")
}

// formatSize shows a number of bytes in the unit that a person would take.
func formatSize(n int64) string {
	for _, u := range []string{"GiB", "MiB", "KiB"} {
		for _, unit := range units {
			if unit.suffix == u && n >= unit.bytes {
				s := strconv.FormatFloat(float64(n)/float64(unit.bytes), 'f', 1, 64)
				return strings.TrimSuffix(s, ".0") + u
			}
		}
	}
	return strconv.FormatInt(n, 10) + "B"
}
