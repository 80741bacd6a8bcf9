package objstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"tallyman/fetch"
	"tallyman/verify"
)

// A Source reads ranges of one object, of the version that its listing named. It
// implements fetch.Source.
type Source struct {
	Call string // its name in errors: "GetObject oss://bucket/key"
	ETag string // of the listing, or ""
	// Get asks for the object. The arguments are values of the headers Range and
	// If-Match, where "" means none. What it returns is a success, whose body the
	// caller closes.
	Get func(ctx context.Context, byteRange, ifMatch string) (*http.Response, error)
}

// ReadRange reads the version that etag names or, if that is "", the one that
// was listed.
func (s *Source) ReadRange(ctx context.Context, off, n int64, etag string) (*fetch.Range, error) {
	ifMatch := ""
	if !isWeak(s.ETag) { // a weak ETag of the store's own never matches
		ifMatch = strings.TrimPrefix(cmp.Or(etag, s.ETag), weakPrefix)
	}
	return ReadRange(off, n, func(byteRange string, n int64) (*fetch.Range, error) {
		resp, err := s.Get(ctx, byteRange, ifMatch) //nolint:bodyclose // the Range closes it
		if err != nil {
			return nil, err
		}
		return RangeOf(s.Call, resp, off, n)
	})
}

// ReadRange calls read with n and the value of the Range header for n bytes at
// off: "" if n is 0, for the whole object. If n is verify.Unknown, the range has
// no end. Of an empty object stores refuse any range, so if one at 0 is refused,
// read is called again for the whole object.
func ReadRange(off, n int64, read func(byteRange string, n int64) (*fetch.Range, error)) (*fetch.Range, error) {
	byteRange := fmt.Sprintf("bytes=%d-", off)
	switch n {
	case 0:
		byteRange = ""
	case verify.Unknown:
	default:
		byteRange += strconv.FormatInt(off+n-1, 10)
	}
	answer, err := read(byteRange, n)
	refused, ok := errors.AsType[*fetch.CallError](err)
	if ok && refused.Status == http.StatusRequestedRangeNotSatisfiable && off == 0 {
		return read("", 0)
	}
	return answer, err
}

// RangeOf makes a Range of a store's answer to a request for n bytes at off, or
// for the whole object if n is 0.
// Stores answer with 206 and a range, which may not tell how large the object is,
// or with 200 and the whole object; anything else is a refusal. The caller closes the Range; if there is an error, RangeOf
// has closed the body.
func RangeOf(call string, resp *http.Response, off, n int64) (_ *fetch.Range, err error) {
	defer func() {
		if err != nil {
			resp.Body.Close()
		}
	}()
	answer := &fetch.Range{ReadCloser: resp.Body, Off: off, Len: resp.ContentLength, Want: wantOf(resp)}
	switch resp.StatusCode {
	case http.StatusPartialContent:
		header := resp.Header.Get("Content-Range")
		first, last, size, ok := parseContentRange(header)
		if strings.HasPrefix(strings.ToLower(resp.Header.Get("Content-Type")), "multipart/byteranges") {
			return nil, &fetch.CallError{Call: call, Status: resp.StatusCode, Kind: fetch.ErrRefused, Message: "it answers with several ranges, and one was asked for"}
		}
		if !ok || first != off || n > 0 && last-first+1 > n || n == 0 && size != verify.Unknown && last+1 != size {
			return nil, &fetch.CallError{Call: call, Status: resp.StatusCode, Kind: fetch.ErrTemporary,
				Message: fmt.Sprintf("the answer has Content-Range %q for %d bytes at %d", header, n, off)}
		}
		answer.Len = last - first + 1
		answer.Want.Size = size
	case http.StatusOK:
		answer.Off = 0
		answer.Want.Size = resp.ContentLength
	default:
		refusal, _ := Refusal(call, resp)
		return nil, refusal
	}
	return answer, nil
}

// parseContentRange reads "bytes FIRST-LAST/SIZE" (RFC 9110, 14.4), in any case
// and with any spaces. A SIZE of "*" is verify.Unknown.
func parseContentRange(s string) (first, last, size int64, ok bool) {
	unit, s, _ := strings.Cut(strings.TrimSpace(s), " ")
	span, total, cut := strings.Cut(strings.ReplaceAll(s, " ", ""), "/")
	from, to, dashed := strings.Cut(span, "-")
	if !strings.EqualFold(unit, "bytes") || !cut || !dashed {
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
