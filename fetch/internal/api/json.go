package api

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"tallyman/verify"
)

// A LenientString is a field of an answer that may be a JSON string, a number
// or a bool: it holds the trimmed text. Of any other value it is "".
type LenientString string

// UnmarshalJSON takes any value.
func (l *LenientString) UnmarshalJSON(b []byte) error {
	switch b[0] {
	case '"':
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*l = LenientString(strings.TrimSpace(s))
	case '{', '[', 'n': // null
		*l = ""
	default:
		*l = LenientString(b)
	}
	return nil
}

// Count returns l as a number of 0 or more, or verify.Unknown if it is none.
func (l LenientString) Count() int64 {
	n, err := strconv.ParseUint(string(l), 10, 63)
	if err != nil {
		return verify.Unknown
	}
	return int64(n)
}

// True reports whether l is true, as a bool or as a word in any case.
func (l LenientString) True() bool { return strings.EqualFold(string(l), "true") }

// year10000 is the first second that RFC 3339 can't write down.
const year10000 = 253402300800

// Seconds returns the time that l is as seconds since 1970, or the zero time if
// it is none before the year 10000.
func (l LenientString) Seconds() time.Time {
	n := l.Count()
	if n <= 0 || n >= year10000 {
		return time.Time{}
	}
	return time.Unix(n, 0).UTC()
}

// Milliseconds is Seconds for milliseconds since 1970.
func (l LenientString) Milliseconds() time.Time {
	n := l.Count()
	if n <= 0 || n >= year10000*1000 {
		return time.Time{}
	}
	return time.UnixMilli(n).UTC()
}

// Unmarshal decodes what it can: it leaves out a value of another type than v
// has for it. It fails only if b is not JSON.
func Unmarshal(b []byte, v any) error {
	err := json.Unmarshal(b, v)
	if other := new(json.UnmarshalTypeError); errors.As(err, &other) {
		return nil
	}
	return err
}
