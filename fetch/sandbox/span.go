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
	s, ok := readRange(header, size)
	if !ok || s.off < 0 || s.off >= s.end || s.end > size {
		return span{0, size, false}
	}
	return s
}

// readStandardSpan reads it as others do: it gives what there is of a range,
// and is not ok if there is nothing.
func readStandardSpan(header string, size int64) (s span, ok bool) {
	s, ok = readRange(header, size)
	if !ok || s.end <= s.off && s.off < size {
		return span{0, size, false}, true
	}
	s.off, s.end = max(s.off, 0), min(s.end, size)
	return s, s.off < s.end
}

// readRange is not ok for what it cannot read. What it reads may lie beyond
// the object, or be empty.
func readRange(header string, size int64) (s span, ok bool) {
	spec, ok := strings.CutPrefix(header, "bytes=")
	spec, _, _ = strings.Cut(spec, ",")
	first, last, dash := strings.Cut(strings.TrimSpace(spec), "-")
	off, end := position(first), position(last)+1
	switch {
	case !ok || !dash || first != "" && off < 0 || last != "" && end == 0 || first == "" && last == "":
		return span{}, false
	case first == "":
		off, end = size-(end-1), size
	case last == "":
		end = max(off, size)
	}
	return span{off, end, true}, true
}

// position is -1 for what is no number; there end becomes 0, which is no end.
func position(text string) int64 {
	n, err := strconv.ParseUint(text, 10, 62)
	if err != nil {
		return -1
	}
	return int64(n)
}
