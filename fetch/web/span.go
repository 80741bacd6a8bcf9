package web

import (
	"strconv"
	"strings"

	"tallyman/verify"
)

// parseContentRange reads "bytes FIRST-LAST/SIZE" (RFC 9110, 14.4); a size of
// "*" is verify.Unknown.
func parseContentRange(s string) (first, last, size int64, ok bool) {
	s, ok = strings.CutPrefix(strings.TrimSpace(s), "bytes ")
	span, total, cut := strings.Cut(s, "/")
	from, to, dashed := strings.Cut(span, "-")
	if !ok || !cut || !dashed {
		return 0, 0, 0, false
	}
	numbers := [3]uint64{}
	for i, text := range []string{from, to, total} {
		if i == 2 && text == "*" {
			continue
		}
		n, err := strconv.ParseUint(text, 10, 63)
		if err != nil {
			return 0, 0, 0, false
		}
		numbers[i] = n
	}
	first, last, size = int64(numbers[0]), int64(numbers[1]), int64(numbers[2])
	if total == "*" {
		size = verify.Unknown
	}
	return first, last, size, first <= last && (size == verify.Unknown || last < size)
}
