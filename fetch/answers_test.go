package fetch_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"tallyman/fetch"
	"tallyman/verify"
)

// ofRanges answers requests with a Range by respond, and others as the store
// does.
func ofRanges(respond responder) responder {
	return func(s *store, w http.ResponseWriter, r *http.Request, n int) bool {
		return r.Header.Get("Range") != "" && respond(s, w, r, n)
	}
}

// ranged answers with the range that is asked for, and with a Content-Range of
// that format, whose arguments are first, last and size.
func ranged(format string) responder {
	return labelled(func(off, end, size int) string { return fmt.Sprintf(format, off, end-1, size) })
}

// unpromised takes from an answer what would prove the object.
var unpromised = withHeaders("ETag", "", "X-Oss-Hash-Crc64ecma", "")

// answers are the forms that RFC 9110 allows for what a store answers, and what
// some stores make of them: sections 8.6 (Content-Length), 14.1 to 14.6 (ranges),
// 15.3.1 (200), 15.3.7 (206) and 15.5.17 (416).
var answers = []fault{
	{name: "200 with a length", respond: whole, requests: 1, quiet: true},
	{name: "200 in chunks", respond: chunked(sameBody), requests: 1, quiet: true},
	{name: "200 with a Content-Range, which means nothing there", respond: inTurn(withHeaders("Content-Range", "bytes 0-9/10"), whole), requests: 1, quiet: true},
	{name: "200 with Accept-Ranges: none", respond: inTurn(withHeaders("Accept-Ranges", "none"), whole), requests: 1, quiet: true},

	{name: "206 of first-last/size", respond: ranged("bytes %d-%d/%d"), quiet: true},
	{name: "206 in capitals", respond: ranged("BYTES %d-%d/%d"), quiet: true},
	{name: "206 with spaces", respond: ranged("  bytes  %d-%d / %d "), quiet: true},
	{name: "206 with leading zeros", respond: ranged("bytes 00%d-00%d/00%d"), quiet: true},
	{name: "206 of an unknown size, promised elsewhere", respond: ranged("bytes %[1]d-%[2]d/*"), promise: "#size=%d", quiet: true},
	{name: "206 of an unknown size, told without a range", respond: ofRanges(ranged("bytes %[1]d-%[2]d/*")), quiet: true},
	{name: "206 of an unknown size, and 200 in chunks without a range", respond: inTurn(ofRanges(ranged("bytes %[1]d-%[2]d/*")), chunked(sameBody)), requests: 2, quiet: true},
	{name: "206 of an unknown size that is never told", respond: ranged("bytes %[1]d-%[2]d/*"), err: fetch.ErrRefused, requests: 2},
	{name: "206 of less than was asked for", respond: partial(func(off, end, size int) (string, int, int) {
		end = min(end, off+700)
		return fmt.Sprintf("bytes %d-%d/%d", off, end-1, size), off, end
	}), quiet: true},
	{name: "206 of another place", respond: labelled(func(off, end, size int) string { return fmt.Sprintf("bytes %d-%d/%d", off+1, end, size) }), err: fetch.ErrTemporary, requests: 4},
	{name: "206 of more than was asked for", respond: labelled(func(off, end, size int) string { return fmt.Sprintf("bytes %d-%d/%d", off, end, size) }), err: fetch.ErrTemporary, requests: 4},
	{name: "206 that ends beyond its size", respond: labelled(func(off, end, _ int) string { return fmt.Sprintf("bytes %d-%d/%d", off, end-1, end-1) }), err: fetch.ErrTemporary, requests: 4},
	{name: "206 whose size is not the promised one", respond: labelled(func(off, end, size int) string { return fmt.Sprintf("bytes %d-%d/%d", off, end-1, size+1) }), promise: "#size=%d", err: errMismatch, check: verify.CheckSize, requests: 1},
	{name: "206 without a Content-Range", respond: ranged("%.0s%.0s%.0s"), err: fetch.ErrTemporary, requests: 4},
	{name: "206 with only a size", respond: ranged("bytes */%[3]d"), err: fetch.ErrTemporary, requests: 4},
	{name: "206 of another unit", respond: ranged("rows %d-%d/%d"), err: fetch.ErrTemporary, requests: 4},
	{name: "206 of several ranges", respond: inTurn(withHeaders("Content-Type", "Multipart/ByteRanges; boundary=b"), ranged("%.0s%.0s%.0s")), err: fetch.ErrRefused, requests: 1},
	{name: "206 of all, without a Range", respond: inTurn(refuseRanges(""), func(s *store, w http.ResponseWriter, _ *http.Request, _ int) bool {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", len(s.body)-1, len(s.body)))
		w.WriteHeader(http.StatusPartialContent)
		w.Write(s.body)
		return true
	}), requests: 2, quiet: true},
	{name: "206 of nothing but a length", respond: inTurn(unpromised, ranged("bytes %d-%d/%d")), doubt: "unproven", quiet: true},

	{name: "416 with the size", respond: refuseRanges("bytes */90000"), requests: 2, quiet: true},
	{name: "416 without a Content-Range", respond: refuseRanges(""), requests: 2, quiet: true},
	{name: "416 midway with the size", respond: after(1, refuse(416, "", "Content-Range", "bytes */1000")), err: fetch.ErrChanged},
	{name: "416 midway without a Content-Range", respond: after(1, refuse(416, "")), err: fetch.ErrChanged},
	{name: "416 without a Range", respond: refuse(416, "", "Content-Range", "bytes */90000"), err: fetch.ErrChanged, requests: 2},
	{name: "412 midway", respond: after(1, refuse(412, "")), err: fetch.ErrChanged},
	{name: "203, whose bytes a proxy may have changed", respond: refuse(203, strings.Repeat("x", 10)), err: fetch.ErrRefused, requests: 1},
}

func TestEachFormOfAnAnswerLandsOrIsRefused(t *testing.T) {
	for _, tt := range answers {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.run(t)
		})
	}
}
