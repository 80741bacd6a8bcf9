// Package objstore holds what the object stores of the vendors have in common:
// OSS, OBS and, for single files by URL, any store like S3. It lists the objects
// under a prefix, reads ranges of one version of an object, takes the promises
// from an answer's headers, and classifies refusals. How a call is signed and
// what only one vendor says is in the vendor's own package.
package objstore

import (
	"errors"
	"fmt"
	"iter"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"tallyman/fetch"
	"tallyman/fetch/internal/api"
	"tallyman/verify"
)

// A UsageError says what is wrong with a reference or a setting. It wraps
// errors.ErrUnsupported.
type UsageError string

// Error returns the text.
func (e UsageError) Error() string { return string(e) }

// Unwrap returns errors.ErrUnsupported.
func (e UsageError) Unwrap() error { return errors.ErrUnsupported }

// Usagef makes a UsageError.
func Usagef(format string, args ...any) error { return UsageError(fmt.Sprintf(format, args...)) }

// ErrNoRegion says that nothing names the region of a bucket.
const ErrNoRegion = UsageError("the bucket's region is not known: add ?region=REGION to the reference")

// Endpoint returns where calls go: to the address, or, if that is "", to the
// vendor's host. In the first case it also reports whether the bucket belongs
// in the path, as for an IP address or localhost, and not in the host. It fails
// with a UsageError.
func Endpoint(address, vendorHost string) (endpoint *url.URL, pathStyle bool, err error) {
	u, err := api.Endpoint(address, vendorHost)
	if err != nil {
		return nil, false, UsageError(err.Error())
	}
	return u, u.Hostname() == "localhost" || net.ParseIP(u.Hostname()) != nil, nil
}

// A Location is where a prefix was listed, for the receipt.
type Location struct {
	Bucket   string `json:"bucket"`
	Prefix   string `json:"prefix"`
	Region   string `json:"region,omitempty"`
	Endpoint string `json:"endpoint"`
}

// Snapshot returns an export of the objects at a location, which is ready.
func Snapshot(objects iter.Seq2[fetch.Object, error], at Location) *fetch.Export {
	_, host, _ := strings.Cut(at.Endpoint, "://")
	return &fetch.Export{
		State: fetch.Ready, Percent: -1, Endpoint: host, Records: verify.Unknown,
		Objects: objects, Snapshot: true, Answer: at,
	}
}

// Printable returns a key as it may be shown: quoted if it holds characters that
// can't be printed.
func Printable(key string) string {
	if strings.ContainsFunc(key, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) {
		return strconv.Quote(key)
	}
	return key
}

// HoldsWord reports whether a text holds a word, and not only as a part of a
// longer one: download-12.csv does not hold download-1.
func HoldsWord(text, word string) bool {
	inWord := func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
	for from := 0; ; {
		i := strings.Index(text[from:], word)
		if i < 0 {
			return false
		}
		i += from
		before, after := []rune(text[:i]), []rune(text[i+len(word):])
		if (i == 0 || !inWord(before[len(before)-1])) && (len(after) == 0 || !inWord(after[0])) {
			return true
		}
		from = i + 1
	}
}

var label = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`) })

// IsLabel reports whether a name of a region or a bucket can be a label of a host's
// name: 1 to 63 lower-case letters, digits and dashes, with no dash at its ends.
func IsLabel(name string) bool { return len(name) <= 63 && label().MatchString(name) }
