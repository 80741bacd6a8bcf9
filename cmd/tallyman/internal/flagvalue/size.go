package flagvalue

import (
	"errors"
	"strconv"
	"strings"
)

// units are the units of sizes. A shorter suffix comes after those that end
// with it.
var units = []struct {
	suffix string
	bytes  int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}, {"", 1},
}

// ParseSize parses a number of bytes, written with or without a unit: 65536,
// 64KiB or 4 MB.
func ParseSize(text string) (int64, error) {
	for _, unit := range units {
		number, ok := strings.CutSuffix(text, unit.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
		if err != nil || n < 0 || n > (1<<62)/unit.bytes {
			break
		}
		return n * unit.bytes, nil
	}
	return 0, errors.New("must be a number of bytes, or a number with KB, MB, GB, KiB, MiB or GiB")
}

// FormatSize returns n bytes as text in the largest binary unit that n fills,
// rounded to one decimal, such as 1.5KiB.
func FormatSize(n int64) string {
	for _, unit := range []struct {
		suffix string
		bytes  int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= unit.bytes {
			number := strconv.FormatFloat(float64(n)/float64(unit.bytes), 'f', 1, 64)
			return strings.TrimSuffix(number, ".0") + unit.suffix
		}
	}
	return strconv.FormatInt(n, 10) + "B"
}
