package sandbox

import (
	"strconv"
	"strings"
)

// A span is the part of an object that a response sends.
type span struct {
	off, end int64
	part     bool // 206, not 200
}

// readSpan reads a Range header as the store does by default: what it cannot
// give in full, or cannot read, it answers with the whole object. Of several
// ranges it gives the first.
func readSpan(header string, size int64) span {
	whole := span{0, size, false}
	spec, ok := strings.CutPrefix(header, "bytes=")
	spec, _, _ = strings.Cut(spec, ",")
	first, last, dash := strings.Cut(strings.TrimSpace(spec), "-")
	if !ok || !dash {
		return whole
	}
	off, end := position(first), position(last)+1
	switch {
	case first == "" && end > 0:
		off, end = size-(end-1), size
	case last == "":
		end = size
	}
	if off < 0 || off >= end || end > size {
		return whole
	}
	return span{off, end, true}
}

// position is -1 for what is no number; there end becomes 0, which is no end.
func position(text string) int64 {
	n, err := strconv.ParseUint(text, 10, 62)
	if err != nil {
		return -1
	}
	return int64(n)
}
