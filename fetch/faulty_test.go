package fetch_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/hostguard"
	"tallyman/verify"
)

var rows = csv(80) // a few parts of a thousand bytes

// A fault is a wrong behaviour of a store, and what Fetch must make of it.
type fault struct {
	name    string
	respond responder
	codec   string // "" is plain
	promise string // of the reference; %d is the right size

	err      error  // nil if the object lands
	check    string // of the verify.Mismatch, if err is errMismatch
	doubt    string // part of the one doubt that it lands with
	requests int    // 0: any number
	quiet    bool   // Progress gets no note
	stalls   bool   // the store sends nothing for a while
}

var faults = []fault{
	{name: "reset once", respond: onFirst(1, cut(500))},
	{name: "reset three times", respond: onFirst(3, cut(500))},
	{name: "reset always, but with a gain", respond: cut(300)},
	{name: "reset always, without a gain", respond: func(*store, http.ResponseWriter, *http.Request, int) bool { panic(http.ErrAbortHandler) }, err: fetch.ErrTemporary, requests: 4},
	{name: "reset at the last byte of each part", respond: cut(999)},
	{name: "the first part, and then nothing", respond: after(1, func(*store, http.ResponseWriter, *http.Request, int) bool { panic(http.ErrAbortHandler) }), err: fetch.ErrTemporary},

	{name: "chunked and short once, size promised", respond: onFirst(1, chunked(shorterBody)), promise: "#size=%d"},
	{name: "chunked and short always, size promised", respond: chunked(shorterBody), promise: "#size=%d", err: fetch.ErrTemporary},
	{name: "chunked and short always, size not promised", respond: chunked(shorterBody), err: errMismatch, check: verify.CheckCRC64},
	{name: "chunked, size promised", respond: chunked(sameBody), promise: "#size=%d", requests: 1, quiet: true},
	{name: "chunked, size not promised", respond: chunked(sameBody), requests: 1, quiet: true},
	{name: "longer than promised, by its length", respond: func(s *store, w http.ResponseWriter, r *http.Request, n int) bool {
		w.Write(longerBody(s))
		return true
	}, promise: "#size=%d", err: errMismatch, check: verify.CheckSize, requests: 1},
	{name: "longer than promised, without a length", respond: chunked(longerBody), promise: "#size=%d", err: errMismatch, check: verify.CheckSize, requests: 1},
	{name: "longer than the CRC64 holds for, without a length", respond: chunked(longerBody), err: errMismatch, check: verify.CheckCRC64},

	{name: "200 for every range", respond: whole, requests: 1, quiet: true},
	{name: "200 for every range, reset with a gain", respond: inTurn(onFirst(3, cut(1500)), whole)},
	{name: "ranges ignored from the second request on", respond: after(1, whole), quiet: true},
	{name: "ranges ignored from the second request on, and short", respond: after(1, func(s *store, w http.ResponseWriter, _ *http.Request, _ int) bool {
		return chunked(func(s *store) []byte { return s.body[:500] })(s, w, nil, 0)
	}), err: fetch.ErrTemporary},
	{name: "range shorter than asked", respond: partial(func(off, end, size int) (string, int, int) {
		end = min(end, off+300)
		return fmt.Sprintf("bytes %d-%d/%d", off, end-1, size), off, end
	}), quiet: true},

	{name: "range at another place, once", respond: onFirst(1, labelled(func(off, end, size int) string { return fmt.Sprintf("bytes %d-%d/%d", off+1, end, size) }))},
	{name: "range at another place", respond: labelled(func(off, end, size int) string { return fmt.Sprintf("bytes %d-%d/%d", off+1, end, size) }), err: fetch.ErrTemporary, requests: 4},
	{name: "range longer than asked", respond: labelled(func(off, end, size int) string { return fmt.Sprintf("bytes %d-%d/%d", off, end, size) }), err: fetch.ErrTemporary, requests: 4},
	{name: "range announced longer than it is, once", respond: onFirst(1, partial(func(off, end, size int) (string, int, int) {
		return fmt.Sprintf("bytes %d-%d/%d", off, end-1, size), off, end - 100
	}))},
	{name: "range of garbage", respond: labelled(func(off, end, size int) string { return "bytes 0-/x" }), err: fetch.ErrTemporary, requests: 4},
	{name: "range missing on 206", respond: labelled(func(off, end, size int) string { return "" }), err: fetch.ErrTemporary, requests: 4},
	{name: "range of unknown total", respond: labelled(func(off, end, size int) string { return fmt.Sprintf("bytes %d-%d/*", off, end-1) }), err: fetch.ErrRefused, requests: 2},
	{name: "total changed midway", respond: after(1, labelled(func(off, end, size int) string { return fmt.Sprintf("bytes %d-%d/%d", off, end-1, size+1) })), err: fetch.ErrChanged},

	{name: "total of another object, once", respond: onFirst(1, labelled(func(off, end, size int) string { return fmt.Sprintf("bytes %d-%d/%d", off, end-1, size-1) })), err: fetch.ErrChanged},
	{name: "range of another unit", respond: labelled(func(off, end, size int) string { return fmt.Sprintf("rows %d-%d/%d", off, end-1, size) }), err: fetch.ErrTemporary, requests: 4},
	{name: "range with more behind it", respond: partial(func(off, end, size int) (string, int, int) {
		return fmt.Sprintf("bytes %d-%d/%d", off, end-1, size), off, min(end+500, size)
	}), quiet: true},
	{name: "200 with the range alone", respond: after(1, func(s *store, w http.ResponseWriter, r *http.Request, n int) bool {
		w.Write(s.body[1000:2000])
		return true
	}), err: fetch.ErrChanged},
	{name: "200 with the range where all should be", respond: after(1, func(s *store, w http.ResponseWriter, r *http.Request, n int) bool {
		w.Write(append(s.body[1000:len(s.body):len(s.body)], s.body[:1000]...))
		return true
	}), err: errMismatch, check: verify.CheckCRC64},
	{name: "206 though no range was asked for", respond: inTurn(func(s *store, w http.ResponseWriter, r *http.Request, _ int) bool {
		if r.Header.Get("Range") != "" {
			return unanswered
		}
		set(w.Header(), "Content-Range", fmt.Sprintf("bytes 0-999/%d", len(s.body)), "Content-Length", "1000")
		w.WriteHeader(http.StatusPartialContent)
		w.Write(s.body[:1000])
		return true
	}, refuseRanges("")), err: fetch.ErrTemporary},

	{name: "reset by the peer, once", respond: onFirst(1, sendReset)},
	{name: "two lengths", respond: rawHead("HTTP/1.1 200 OK", "Content-Length: SIZE", "Content-Length: 17"), err: fetch.ErrTemporary, requests: 4},
	{name: "two lengths that are one", respond: rawHead("HTTP/1.1 200 OK", "Content-Length: SIZE", "Content-Length: SIZE"), promise: "#size=%d", doubt: "unproven", quiet: true},
	{name: "a negative length", respond: rawHead("HTTP/1.1 200 OK", "Content-Length: -1"), err: fetch.ErrTemporary, requests: 4},
	{name: "a length that no number holds", respond: rawHead("HTTP/1.1 200 OK", "Content-Length: 99999999999999999999"), err: fetch.ErrTemporary, requests: 4},
	{name: "a length beside chunks", respond: raw(func(s *store, _ *http.Request) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(s.body), s.body)
	}), promise: "#size=%d", doubt: "unproven", quiet: true},
	{name: "no HTTP", respond: raw(func(s *store, _ *http.Request) string { return string(s.body) }), err: fetch.ErrTemporary, requests: 4},
	{name: "another protocol", respond: rawHead("HTTP/1.1 101 Switching Protocols", "Upgrade: h2c"), err: fetch.ErrRefused, requests: 1},

	{name: "headers without end", respond: lazily(func() responder {
		return rawHead("HTTP/1.1 200 OK", strings.Repeat("X-Filler: "+strings.Repeat("x", 1000)+"\r\n", 10<<10)+"X-End: x")
	}), err: fetch.ErrTemporary, requests: 4},
	{name: "one header without end", respond: lazily(func() responder { return rawHead("HTTP/1.1 200 OK", "X-Filler: "+strings.Repeat("x", 10<<20)) }), err: fetch.ErrTemporary, requests: 4},
	{name: "answers before the answer without end", respond: lazily(func() responder {
		return rawHead(strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 100_000) + "HTTP/1.1 200 OK")
	}), err: fetch.ErrTemporary, requests: 4},
	{name: "trailers without end", respond: lazily(func() responder {
		return rawChunks(1000, "", strings.Repeat("X-Filler: "+strings.Repeat("x", 1000)+"\r\n", 10<<10))
	}), promise: "#size=%d", doubt: "unproven", quiet: true},
	{name: "trailers without end, and no size", respond: lazily(func() responder {
		return rawChunks(1000, "", strings.Repeat("X-Filler: "+strings.Repeat("x", 1000)+"\r\n", 10<<10))
	}), err: fetch.ErrTemporary, requests: 4},
	{name: "more chunk than content", respond: rawChunks(1, ";"+strings.Repeat("x", 3000), ""), promise: "#size=%d", err: fetch.ErrTemporary},
	{name: "a refusal without end", respond: endlessBody(403, "<Error>no "), err: fetch.ErrAuth, requests: 1},
	{name: "a refusal that does not come", respond: inTurn(withHeaders("Content-Length", "1000"), func(_ *store, w http.ResponseWriter, r *http.Request, _ int) bool {
		w.WriteHeader(503)
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
		return true
	}), err: fetch.ErrTemporary, stalls: true, requests: 4},

	{name: "416 for any range", respond: refuseRanges(""), requests: 2, quiet: true},
	{name: "416 for any request", respond: refuse(416, ""), err: fetch.ErrChanged, requests: 2},
	{name: "416 midway", respond: after(1, refuse(416, "")), err: fetch.ErrChanged},

	{name: "412 though the ETag is the same", respond: refuseIfMatch, quiet: true},
	{name: "412 as the object was replaced", respond: replaced(1, csv(90)), err: fetch.ErrChanged},
	{name: "replaced, and If-Match not looked at", respond: inTurn(ignoreIfMatch, replaced(1, csv(90))), err: fetch.ErrChanged},
	{name: "ETag changed midway", respond: inTurn(ignoreIfMatch, after(1, withHeaders("ETag", `"other"`, "X-Oss-Hash-Crc64ecma", ""))), err: fetch.ErrChanged},
	{name: "an ETag of each machine, and one CRC64", respond: after(1, withHeaders("ETag", `"other"`)), quiet: true},
	{name: "an ETag of each machine, and an MD5 promised", respond: inTurn(withHeaders("X-Oss-Hash-Crc64ecma", ""), after(1, withHeaders("ETag", `"other"`))), promise: "#md5=" + md5Of(rows), quiet: true},
	{name: "weak ETag changed midway", respond: inTurn(unhashed(`W/"1"`), after(1, withHeaders("ETag", `W/"2"`))), err: fetch.ErrChanged},
	{name: "time changed midway, and no ETag", respond: inTurn(unhashed("", "Last-Modified", sixOClock), after(1, withHeaders("Last-Modified", sevenOClock))), err: fetch.ErrChanged},
	{name: "time changed midway, and a weak ETag", respond: inTurn(unhashed(`W/"1"`, "Last-Modified", sixOClock), after(1, withHeaders("Last-Modified", sevenOClock))), err: fetch.ErrChanged},
	{name: "time of each machine, and an ETag", respond: inTurn(unhashed(`"1"`, "Last-Modified", sixOClock), after(1, withHeaders("Last-Modified", sevenOClock))), doubt: "unproven", quiet: true},
	{name: "time of each machine, and an MD5 promised", respond: inTurn(unhashed("", "Last-Modified", sixOClock), after(1, withHeaders("Last-Modified", sevenOClock))), promise: "#md5=" + md5Of(rows), quiet: true},
	{name: "time in two forms", respond: inTurn(unhashed("", "Last-Modified", sixOClock), after(1, withHeaders("Last-Modified", "Tuesday, 01-Dec-26 06:00:00 GMT"))), doubt: "unproven", quiet: true},
	{name: "an ETag that names nothing", respond: unhashed(`""`), doubt: "unproven", quiet: true},
	{name: "CRC64 changed midway", respond: after(1, withHeaders("X-Oss-Hash-Crc64ecma", "1")), err: fetch.ErrChanged},
	{name: "no ETag", respond: withHeaders("ETag", ""), quiet: true},
	{name: "no ETag after the first", respond: inTurn(ignoreIfMatch, after(1, withHeaders("ETag", ""))), quiet: true},
	{name: "weak ETag", respond: withHeaders("ETag", `W/"1-2"`), quiet: true},

	{name: "nothing promised", respond: inTurn(withHeaders("ETag", "", "X-Oss-Hash-Crc64ecma", ""), chunked(sameBody)), err: verify.ErrUnproven, requests: 1},
	{name: "nothing promised but an ETag that says nothing", respond: inTurn(withHeaders("ETag", `"1-2"`, "X-Oss-Hash-Crc64ecma", ""), chunked(sameBody)), err: verify.ErrUnproven},
	{name: "nothing promised but a length", respond: withHeaders("ETag", "", "X-Oss-Hash-Crc64ecma", ""), doubt: "unproven", quiet: true},
	{name: "length and zstd's checksum", respond: withHeaders("ETag", "", "X-Oss-Hash-Crc64ecma", ""), codec: "zstd"},
	{name: "length and gzip's checksum", respond: withHeaders("ETag", "", "X-Oss-Hash-Crc64ecma", ""), codec: "gzip"},
	{name: "length and lz4's checksum", respond: withHeaders("ETag", "", "X-Oss-Hash-Crc64ecma", ""), codec: "lz4"},
	{name: "length and zstd without a checksum", respond: withHeaders("ETag", "", "X-Oss-Hash-Crc64ecma", ""), codec: "zstd-", doubt: "unproven"},
	{name: "length and lz4 without a checksum", respond: withHeaders("ETag", "", "X-Oss-Hash-Crc64ecma", ""), codec: "lz4-", doubt: "unproven"},
	{name: "no length but zstd's checksum", respond: inTurn(withHeaders("ETag", "", "X-Oss-Hash-Crc64ecma", ""), chunked(sameBody)), codec: "zstd", err: verify.ErrUnproven},

	{name: "wrong CRC64", respond: withHeaders("X-Oss-Hash-Crc64ecma", "1"), err: errMismatch, check: verify.CheckCRC64},
	{name: "wrong MD5 on OSS", respond: withHeaders("Content-MD5", base64MD5(nil), "X-Oss-Request-Id", "R1"), err: errMismatch, check: verify.CheckMD5},
	{name: "wrong MD5 with 200", respond: inTurn(withHeaders("Content-MD5", base64MD5(nil)), whole), err: errMismatch, check: verify.CheckMD5},
	{name: "MD5 of the range, as other stores give it", respond: withHeaders("Content-MD5", base64MD5(nil))},
	{name: "wrong MD5 as the ETag", respond: withHeaders("ETag", etagOf(nil), "X-Oss-Hash-Crc64ecma", ""), err: errMismatch, check: verify.CheckETag},
	{name: "wrong MD5 as the ETag of what CRC64 proves", respond: withHeaders("ETag", etagOf(nil))},
	{name: "ETag of parts", respond: func(s *store, w http.ResponseWriter, _ *http.Request, _ int) bool {
		set(w.Header(), "ETag", partsETag(s.body), "X-Oss-Hash-Crc64ecma", "")
		return unanswered
	}},
	{name: "ETag of parts that can't be told", respond: withHeaders("ETag", partsETag(nil), "X-Oss-Hash-Crc64ecma", ""), doubt: "unproven"},

	{name: "size promised otherwise", promise: "#size=17", err: errMismatch, check: verify.CheckSize, requests: 1},
	{name: "size promised as 0", promise: "#size=0", err: errMismatch, check: verify.CheckSize, requests: 1},
	{name: "size promised far beyond", promise: "#size=1000000", err: errMismatch, check: verify.CheckSize, requests: 1},
	{name: "CRC64 promised otherwise", promise: "#crc64=17", err: errMismatch, check: verify.CheckCRC64, requests: 1},
	{name: "SHA-256 promised otherwise", promise: "#sha256=" + strings.Repeat("0", 64), err: errMismatch, check: verify.CheckSHA256},
	{name: "MD5 promised otherwise", promise: "#md5=" + strings.Repeat("0", 32), err: errMismatch, check: verify.CheckMD5},

	{name: "503 and Retry-After", respond: onFirst(1, refuse(503, "", "Retry-After", "1"))},
	{name: "503 midway", respond: func(s *store, w http.ResponseWriter, r *http.Request, n int) bool {
		return n%2 == 0 && refuse(503, xmlError("ServiceUnavailable", "Please reduce your request rate."))(s, w, r, n)
	}},
	{name: "429", respond: onFirst(2, refuse(429, xmlError("QpsLimitExceeded", "Please reduce your request rate.")))},
	{name: "429 always", respond: refuse(429, ""), err: fetch.ErrThrottled, requests: 4},
	{name: "500 always", respond: refuse(500, xmlError("InternalError", "We encountered an internal error.")), err: fetch.ErrTemporary, requests: 4},
	{name: "403 expired", respond: refuse(403, xmlError("AccessDenied", "Request has expired.")), err: fetch.ErrExpired},
	{name: "403 wrong signature", respond: refuse(403, xmlError("SignatureDoesNotMatch", "The request signature we calculated does not match.")), err: fetch.ErrAuth, requests: 1},
	{name: "404", respond: refuse(404, xmlError("NoSuchKey", "The specified key does not exist.")), err: fetch.ErrNotFound, requests: 1},
	{name: "404 in HTML", respond: refuse(404, "<html><body><h1>Not Found<br></h1>", "Content-Type", "text/html"), err: fetch.ErrNotFound, requests: 1},
	{name: "204", respond: refuse(204, ""), err: fetch.ErrRefused, requests: 1},

	{name: "no answer, once", respond: onFirst(1, stall(0)), stalls: true},
	{name: "stalls once", respond: onFirst(1, stall(500)), stalls: true},
	{name: "stalls midway", respond: func(s *store, w http.ResponseWriter, r *http.Request, n int) bool {
		return n == 2 && stall(500)(s, w, r, n)
	}, stalls: true},
	{name: "no answer, ever", respond: stall(0), err: fetch.ErrTemporary, stalls: true},

	{name: "redirected", respond: redirect(func(own string) string { return own + "/elsewhere" }), quiet: true},
	{name: "redirected three times", respond: redirectTimes(3), quiet: true},
	{name: "redirected four times", respond: redirectTimes(4), err: hostguard.ErrHost, requests: 4},
	{name: "redirected to a host by http", respond: redirect(func(string) string { return "http://bucket.oss-cn-hangzhou.aliyuncs.com/" }), err: hostguard.ErrHost, requests: 1},
	{name: "redirected into our network", respond: redirect(func(own string) string {
		return strings.Replace(own, "http://127.0.0.1", "https://localhost", 1) + "/elsewhere"
	}), err: hostguard.ErrHost, requests: 1},
	{name: "redirected to a user name", respond: redirect(func(own string) string { return strings.Replace(own, "://", "://user:CANARY@", 1) + "/elsewhere" }), err: hostguard.ErrHost, requests: 1},

	{name: "redirected by 301", respond: redirectBy(301), quiet: true},
	{name: "redirected by 303", respond: redirectBy(303), quiet: true},
	{name: "redirected by 307", respond: redirectBy(307), quiet: true},
	{name: "redirected by 308", respond: redirectBy(308), quiet: true},
	{name: "300", respond: redirectBy(300), err: fetch.ErrRefused, requests: 1},
	{name: "304", respond: redirectBy(304), err: fetch.ErrRefused, requests: 1},
	{name: "305", respond: redirectBy(305), err: fetch.ErrRefused, requests: 1},
	{name: "redirected nowhere", respond: refuse(302, ""), err: fetch.ErrRefused, requests: 1},
	{name: "redirected for ever", respond: redirect(func(own string) string { return own + "/dir/export.csv" }), err: hostguard.ErrHost, requests: 4},
	{name: "redirected to a file", respond: redirect(func(string) string { return "file:///etc/passwd" }), err: hostguard.ErrHost, requests: 1},
	{name: "redirected to another protocol", respond: redirect(func(own string) string { return strings.Replace(own, "http:", "gopher:", 1) + "/elsewhere" }), err: hostguard.ErrHost, requests: 1},
	{name: "redirected to an address of a megabyte", respond: redirect(func(own string) string { return own + "/elsewhere/" + strings.Repeat("x", 1<<20) }), err: fetch.ErrTemporary, requests: 4},
	{name: "redirected to where machines have their credentials", respond: redirect(func(string) string { return "http://100.100.100.200/latest/meta-data/" }), err: hostguard.ErrHost, requests: 1},
	{name: "redirected to a number", respond: redirect(func(string) string { return "https://2130706433" }), err: hostguard.ErrHost, requests: 1},

	{name: "stored with Content-Encoding", respond: withHeaders("Content-Encoding", "gzip"), codec: "gzip"},
	{name: "compressed though it was not asked to", respond: gzipped(), err: errMismatch, check: verify.CheckCRC64},
	{name: "compressed though it was not asked to, size promised", respond: gzipped("ETag", `W/"1-2"`, "X-Oss-Hash-Crc64ecma", ""), promise: "#size=%d", err: fetch.ErrTemporary},
	{name: "compressed though it was not asked to, nothing promised", respond: gzipped("ETag", `W/"1-2"`, "X-Oss-Hash-Crc64ecma", ""), err: verify.ErrUnproven},
	{name: "Content-Encoding of what is plain", respond: withHeaders("Content-Encoding", "gzip")},
}

// errMismatch stands for a *verify.Mismatch.
var errMismatch = errors.New("a mismatch")

func TestEachFaultOfAStoreHasItsOutcome(t *testing.T) {
	for _, tt := range faults {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.run(t)
		})
	}
}

func (tt fault) run(t *testing.T) {
	s := serve(t, encode(t, tt.codec, rows))
	s.respond = tt.respond
	f, _ := newFetcher(t, t.TempDir())
	f.PartSize = 1000
	if tt.stalls {
		f.IdleTimeout = time.Second // a machine that is busy may answer late, which counts as a try
	}
	var notes atomic.Int64
	f.Progress = func(p fetch.Progress) {
		if p.Note != "" {
			notes.Add(1)
		}
		if strings.Contains(p.Note, "CANARY") {
			t.Errorf("a secret is in the note %s", p.Note)
		}
	}
	promise := tt.promise
	if strings.Contains(promise, "%d") {
		promise = fmt.Sprintf(promise, len(s.body))
	}
	receipt, err := f.Fetch(context.Background(), s.ref(t, "export.csv", promise))
	key := s.ref(t, "export.csv", "").Key()
	if n := s.count.Load(); tt.requests > 0 && n != int64(tt.requests) && tt.err != fetch.ErrExpired {
		t.Errorf("%d requests, want %d", n, tt.requests)
	}
	if tt.quiet && notes.Load() > 0 {
		t.Errorf("%d notes of what needs none", notes.Load())
	}
	if tt.err != nil {
		tt.checkError(t, err)
		checkAbsent(t, f, key)
		if !strings.Contains(tt.promise, "%d") {
			promise = "" // the promise was wrong too
		}
		fetchRestored(t, s, f, promise)
	} else if err != nil {
		t.Fatal(err)
	} else if got := strings.Join(receipt.Doubts, "; "); (got == "") != (tt.doubt == "") || !strings.Contains(got, tt.doubt) {
		t.Errorf("doubts: %q, want %q", got, tt.doubt)
	}
	checkLanded(t, f, key, rows)
}

func (tt fault) checkError(t *testing.T, err error) {
	t.Helper()
	mismatch, ok := errors.AsType[*verify.Mismatch](err)
	switch {
	case err == nil:
		t.Fatal("it landed")
	case tt.err == errMismatch && (!ok || mismatch.Check != tt.check):
		t.Errorf("%v, want a mismatch of %s", err, tt.check)
	case tt.err != errMismatch && (ok || !errors.Is(err, tt.err)):
		t.Errorf("%v, want %v", err, tt.err)
	case strings.Contains(err.Error(), "CANARY"):
		t.Errorf("a secret is in the error %v", err)
	}
}

// fetchRestored fetches again from a store that answers as it should. If parts of
// another version were received, the first attempt may fail with ErrChanged.
func fetchRestored(t *testing.T, s *store, f *fetch.Fetcher, promise string) {
	t.Helper()
	s.restore()
	f.IdleTimeout = 0
	_, err := f.Fetch(context.Background(), s.ref(t, "export.csv", promise))
	if errors.Is(err, fetch.ErrChanged) {
		_, err = f.Fetch(context.Background(), s.ref(t, "export.csv", promise))
	}
	if err != nil {
		t.Errorf("when the store answers as it should: %v", err)
	}
}

func TestEmptyObjectLandsHoweverTheStoreAnswers(t *testing.T) {
	for name, tt := range map[string]fault{
		"200":                           {respond: whole},
		"range ignored":                 {},
		"416 with the size":             {respond: refuseRanges("bytes */0")},
		"416 without":                   {respond: refuseRanges("")},
		"chunked":                       {respond: chunked(sameBody)},
		"promised":                      {promise: "#size=0"},
		"promised and 416":              {promise: "#size=0", respond: refuseRanges("bytes */0")},
		"promised and chunked":          {promise: "#size=0", respond: chunked(sameBody)},
		"promised and nothing but so":   {promise: "#size=0", respond: withHeaders("ETag", "", "X-Oss-Hash-Crc64ecma", ""), doubt: "unproven"},
		"nothing promised by the store": {respond: inTurn(withHeaders("ETag", "", "X-Oss-Hash-Crc64ecma", ""), chunked(sameBody)), err: verify.ErrUnproven},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, nil)
			s.respond = tt.respond
			f, _ := newFetcher(t, t.TempDir())
			ref := s.ref(t, "export.csv", tt.promise)
			receipt, err := f.Fetch(context.Background(), ref)
			if !errors.Is(err, tt.err) {
				t.Fatalf("%v, want %v", err, tt.err)
			}
			if err == nil {
				checkLanded(t, f, ref.Key(), nil)
				if (len(receipt.Doubts) > 0) != (tt.doubt != "") {
					t.Errorf("doubts: %q", receipt.Doubts)
				}
			}
		})
	}
}
