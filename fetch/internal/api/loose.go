package api

import (
	"encoding/json"
	"errors"
	"net/url"
	"path"
	"strconv"
	"strings"

	"tallyman/verify"
)

// Loose is the trimmed text of a string, a number or a bool, and "" for
// anything else.
type Loose string

// UnmarshalJSON takes any value.
func (l *Loose) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) == nil {
		*l = Loose(strings.TrimSpace(s))
	} else if b[0] != '{' && b[0] != '[' {
		*l = Loose(b)
	}
	return nil
}

// Count is the whole number that l holds, or verify.Unknown.
func (l Loose) Count() int64 {
	n, err := strconv.ParseUint(string(l), 10, 63)
	if err != nil {
		return verify.Unknown
	}
	return int64(n)
}

// True reports whether l is true, as a bool or as a word in any case.
func (l Loose) True() bool { return strings.EqualFold(string(l), "true") }

// Unmarshal decodes what it can: a value of another type than v has is left
// out.
func Unmarshal(b []byte, v any) error {
	err := json.Unmarshal(b, v)
	if other := new(json.UnmarshalTypeError); errors.As(err, &other) {
		return nil
	}
	return err
}

// FileName is the last segment of the path of a file's URL, or otherwise if
// there is none. It is not ok if the address is no URL of HTTP.
func FileName(address, otherwise string) (name string, ok bool) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return "", false
	}
	switch name := path.Base(u.Path); name {
	case ".", "..", "/":
		return otherwise, true
	default:
		return name, true
	}
}
