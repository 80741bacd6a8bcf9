package flagvalue

import (
	"errors"
	"math/big"
	"strconv"
	"strings"
)

// units are the units of sizes. As with dd, curl and rclone, K alone is 1024.
var units = map[string]int64{
	"": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12,
	"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40,
	"ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30, "ti": 1 << 40,
	"kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
}

// ParseSize parses a number of bytes, written with or without a unit: 65536, 64KiB,
// 64k, 4 MB or 1.5GiB. A part of a byte is left out.
func ParseSize(text string) (int64, error) {
	digits := len(text) - len(strings.TrimLeft(text, "0123456789."))
	unit, known := units[strings.ToLower(strings.TrimSpace(text[digits:]))]
	number, isNumber := new(big.Rat).SetString(text[:digits])
	if known && isNumber {
		number.Mul(number, new(big.Rat).SetInt64(unit))
		if n := new(big.Int).Quo(number.Num(), number.Denom()); n.IsInt64() {
			return n.Int64(), nil
		}
	}
	return 0, errors.New("must be a number of bytes, or a number with KB, MB, GB, TB, KiB, MiB, GiB or TiB (K, M, G and T are 1024-fold)")
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
