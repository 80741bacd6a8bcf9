package fetch_test

import (
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzip"
)

// unanswered is what a responder returns that leaves the answer to the store.
const unanswered = false

// onFirst responds to the first k requests.
func onFirst(k int, l responder) responder {
	return func(s *store, w http.ResponseWriter, r *http.Request, n int) bool {
		return n <= k && l(s, w, r, n)
	}
}

// after responds to the requests after the first k.
func after(k int, l responder) responder {
	return func(s *store, w http.ResponseWriter, r *http.Request, n int) bool {
		return n > k && l(s, w, r, n)
	}
}

// withHeaders sets headers, given as names and values in turn, and removes those
// whose value is empty.
func withHeaders(pairs ...string) responder {
	return func(s *store, w http.ResponseWriter, _ *http.Request, _ int) bool {
		set(w.Header(), pairs...)
		return unanswered
	}
}

func set(h http.Header, pairs ...string) {
	for i := 0; i < len(pairs); i += 2 {
		h.Del(pairs[i])
		if pairs[i+1] != "" {
			h.Set(pairs[i], pairs[i+1])
		}
	}
}

// inTurn tries responders in turn until one answers.
func inTurn(responders ...responder) responder {
	return func(s *store, w http.ResponseWriter, r *http.Request, n int) bool {
		for _, respond := range responders {
			if respond(s, w, r, n) {
				return true
			}
		}
		return unanswered
	}
}

// cut ends the connection after so many bytes of the store's answer.
func cut(bytes int) responder {
	return func(s *store, w http.ResponseWriter, r *http.Request, _ int) bool {
		s.serve(&cutting{w, bytes, func() {}}, r)
		return true
	}
}

// stall sends so many bytes of the store's answer, and then nothing until the
// client leaves. With 0 bytes it does not answer at all.
func stall(bytes int) responder {
	return func(s *store, w http.ResponseWriter, r *http.Request, _ int) bool {
		wait := func() { <-r.Context().Done() }
		if bytes > 0 {
			s.serve(&cutting{w, bytes, wait}, r)
		}
		wait()
		panic(http.ErrAbortHandler)
	}
}

// A cutting writer sends so many bytes, calls then, and ends the connection.
type cutting struct {
	http.ResponseWriter
	left int
	then func()
}

func (c *cutting) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p[:min(c.left, len(p))])
	c.left -= n
	if err == nil && c.left == 0 {
		http.NewResponseController(c.ResponseWriter).Flush()
		c.then()
		panic(http.ErrAbortHandler)
	}
	return n, err
}

// whole answers 200 with the whole body, whatever range is asked for.
func whole(s *store, w http.ResponseWriter, _ *http.Request, _ int) bool {
	w.Header().Set("Content-Length", strconv.Itoa(len(s.body)))
	w.Write(s.body)
	return true
}

// chunked answers 200 with that body and no Content-Length.
func chunked(body func(s *store) []byte) responder {
	return func(s *store, w http.ResponseWriter, _ *http.Request, _ int) bool {
		http.NewResponseController(w).Flush()
		w.Write(body(s))
		return true
	}
}

func sameBody(s *store) []byte   { return s.body }
func longerBody(s *store) []byte { return append(s.body[:len(s.body):len(s.body)], "more"...) }

func shorterBody(s *store) []byte { return s.body[:len(s.body)-100] }

// partial answers 206 with the Content-Range and the bytes that change returns for
// the range that is asked for.
func partial(change func(off, end, size int) (contentRange string, from, to int)) responder {
	return func(s *store, w http.ResponseWriter, r *http.Request, _ int) bool {
		var off, last int
		fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &off, &last)
		header, from, to := change(off, min(last+1, len(s.body)), len(s.body))
		set(w.Header(), "Content-Range", header, "Content-Length", strconv.Itoa(to-from))
		w.WriteHeader(http.StatusPartialContent)
		w.Write(s.body[from:to])
		return true
	}
}

// labelled answers 206 with the range that is asked for, under the Content-Range
// that format returns.
func labelled(format func(off, end, size int) string) responder {
	return partial(func(off, end, size int) (string, int, int) { return format(off, end, size), off, end })
}

// refuse answers with a status, a body and those headers alone.
func refuse(status int, body string, pairs ...string) responder {
	return func(s *store, w http.ResponseWriter, _ *http.Request, _ int) bool {
		clear(w.Header())
		set(w.Header(), pairs...)
		w.WriteHeader(status)
		w.Write([]byte(body))
		return true
	}
}

func xmlError(code, message string) string {
	return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>" + code + "</Code><Message>" + message +
		"</Message><RequestId>R1</RequestId><HostId>h</HostId></Error>"
}

// redirect redirects to the address that to returns for the store's own, unless it
// is below /elsewhere already.
func redirect(to func(own string) string) responder {
	return func(s *store, w http.ResponseWriter, r *http.Request, _ int) bool {
		if strings.HasPrefix(r.URL.Path, "/elsewhere") {
			return unanswered
		}
		w.Header().Set("Location", to(s.URL)+"?Signature=CANARY")
		w.WriteHeader(http.StatusFound)
		return true
	}
}

// redirectTimes redirects n times before it leaves the answer to the store.
func redirectTimes(n int) responder {
	return func(s *store, w http.ResponseWriter, r *http.Request, _ int) bool {
		done, _ := strconv.Atoi(r.URL.Query().Get("hop"))
		if done == n {
			return unanswered
		}
		w.Header().Set("Location", fmt.Sprintf("%s?hop=%d", r.URL.Path, done+1))
		w.WriteHeader(http.StatusFound)
		return true
	}
}

// refuseIfMatch answers 412 to each If-Match, even for the right ETag.
func refuseIfMatch(_ *store, w http.ResponseWriter, r *http.Request, _ int) bool {
	if r.Header.Get("If-Match") == "" {
		return unanswered
	}
	w.WriteHeader(http.StatusPreconditionFailed)
	return true
}

// ignoreIfMatch has the store answer as if there were no If-Match.
func ignoreIfMatch(_ *store, _ http.ResponseWriter, r *http.Request, _ int) bool {
	r.Header.Del("If-Match")
	return unanswered
}

const (
	sixOClock   = "Tue, 01 Dec 2026 06:00:00 GMT"
	sevenOClock = "Tue, 01 Dec 2026 07:00:00 GMT"
)

// unhashed has the store answer with that ETag, those headers, and no hash of the
// bytes, as if there were no If-Match.
func unhashed(etag string, pairs ...string) responder {
	return inTurn(ignoreIfMatch, withHeaders("ETag", etag, "X-Oss-Hash-Crc64ecma", ""), withHeaders(pairs...))
}

// refuseRanges answers 416 to every Range, with that Content-Range.
func refuseRanges(contentRange string) responder {
	return func(_ *store, w http.ResponseWriter, r *http.Request, _ int) bool {
		if r.Header.Get("Range") == "" {
			return unanswered
		}
		set(w.Header(), "Content-Range", contentRange)
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		w.Write([]byte(xmlError("InvalidRange", "The requested range cannot be satisfied.")))
		return true
	}
}

// replaced serves another body, with headers that fit it, after so many
// requests.
func replaced(requests int, body []byte) responder {
	return after(requests, func(_ *store, w http.ResponseWriter, r *http.Request, _ int) bool {
		other := &store{body: body}
		other.restore()
		for k, v := range other.header {
			w.Header()[k] = v
		}
		other.serve(w, r)
		return true
	})
}

func base64MD5(body []byte) string {
	sum := md5.Sum(body)
	return base64.StdEncoding.EncodeToString(sum[:])
}

func md5Of(body []byte) string { return fmt.Sprintf("%x", md5.Sum(body)) }

// partsETag returns the ETag that OSS gives to an object uploaded in one part.
func partsETag(body []byte) string {
	part := fmt.Sprintf("%X", md5.Sum(body))
	return fmt.Sprintf(`"%X-1"`, md5.Sum([]byte(part)))
}

// raw sends that text on the connection, as it is, and closes it.
func raw(answer func(s *store, r *http.Request) string) responder {
	return func(s *store, w http.ResponseWriter, r *http.Request, _ int) bool {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		conn.Write([]byte(answer(s, r)))
		return true
	}
}

// rawHead sends those lines as the head of an answer, and the body behind them.
// SIZE in a line stands for the length of the body.
func rawHead(lines ...string) responder {
	return raw(func(s *store, _ *http.Request) string {
		head := strings.ReplaceAll(strings.Join(lines, "\r\n"), "SIZE", strconv.Itoa(len(s.body)))
		return head + "\r\nConnection: close\r\n\r\n" + string(s.body)
	})
}

// rawChunks sends the body in chunks of that size, each with that extension, and
// the trailer behind the last.
func rawChunks(size int, extension, trailer string) responder {
	return raw(func(s *store, _ *http.Request) string {
		var b strings.Builder
		b.WriteString("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
		for chunk := range slices.Chunk(s.body, size) {
			fmt.Fprintf(&b, "%x%s\r\n%s\r\n", len(chunk), extension, chunk)
		}
		return b.String() + "0\r\n" + trailer + "\r\n"
	})
}

// sendReset sends half of an answer and then resets the connection (RST).
func sendReset(s *store, w http.ResponseWriter, _ *http.Request, _ int) bool {
	w.Header().Set("Content-Length", strconv.Itoa(len(s.body)))
	w.Write(s.body[:len(s.body)/2])
	http.NewResponseController(w).Flush()
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	}
	return true
}

// endlessBody repeats a text until the client leaves.
func endlessBody(status int, text string, pairs ...string) responder {
	return func(_ *store, w http.ResponseWriter, _ *http.Request, _ int) bool {
		set(w.Header(), pairs...)
		w.WriteHeader(status)
		for block := []byte(strings.Repeat(text, 32<<10/len(text))); ; {
			if _, err := w.Write(block); err != nil {
				return true
			}
		}
	}
}

// gzipped answers with the body in gzip, as some proxies do though the request
// allows no encoding.
func gzipped(pairs ...string) responder {
	return func(s *store, w http.ResponseWriter, _ *http.Request, _ int) bool {
		set(w.Header(), pairs...)
		w.Header().Set("Content-Encoding", "gzip")
		http.NewResponseController(w).Flush()
		z := gzip.NewWriter(w)
		z.Write(s.body)
		z.Close()
		return true
	}
}

// redirectBy redirects once, with that status, to /elsewhere on the store.
func redirectBy(status int) responder {
	return func(_ *store, w http.ResponseWriter, r *http.Request, _ int) bool {
		if strings.HasPrefix(r.URL.Path, "/elsewhere") {
			return unanswered
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		return true
	}
}

// lazily makes a responder, which needs much memory, for each request.
func lazily(make func() responder) responder {
	return func(s *store, w http.ResponseWriter, r *http.Request, n int) bool { return make()(s, w, r, n) }
}
