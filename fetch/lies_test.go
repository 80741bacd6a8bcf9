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

// honest leaves the answer to the store.
const honest = false

// first tells the lie to the first k requests.
func first(k int, l lie) lie {
	return func(s *store, w http.ResponseWriter, r *http.Request, n int) bool {
		return n <= k && l(s, w, r, n)
	}
}

// after tells it to those after the first k.
func after(k int, l lie) lie {
	return func(s *store, w http.ResponseWriter, r *http.Request, n int) bool {
		return n > k && l(s, w, r, n)
	}
}

// with sets headers, or takes those away that are empty.
func with(pairs ...string) lie {
	return func(s *store, w http.ResponseWriter, _ *http.Request, _ int) bool {
		set(w.Header(), pairs...)
		return honest
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

// all tells one after another until one answers.
func all(lies ...lie) lie {
	return func(s *store, w http.ResponseWriter, r *http.Request, n int) bool {
		for _, l := range lies {
			if l(s, w, r, n) {
				return true
			}
		}
		return honest
	}
}

// cut ends the connection after so many bytes of a right answer.
func cut(bytes int) lie {
	return func(s *store, w http.ResponseWriter, r *http.Request, _ int) bool {
		s.serve(&cutting{w, bytes}, r)
		return true
	}
}

type cutting struct {
	http.ResponseWriter
	left int
}

func (c *cutting) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p[:min(c.left, len(p))])
	c.left -= n
	if err == nil && c.left == 0 {
		http.NewResponseController(c.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, err
}

// stall sends so many bytes of a right answer, and then nothing. With none, it
// does not answer at all.
func stall(bytes int) lie {
	return func(s *store, w http.ResponseWriter, r *http.Request, _ int) bool {
		if bytes > 0 {
			s.serve(&stalling{cutting{w, bytes}, r}, r)
		}
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}
}

type stalling struct {
	cutting
	r *http.Request
}

func (c *stalling) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p[:min(c.left, len(p))])
	c.left -= n
	if err == nil && c.left == 0 {
		http.NewResponseController(c.ResponseWriter).Flush()
		<-c.r.Context().Done()
		panic(http.ErrAbortHandler)
	}
	return n, err
}

// whole answers 200 with all there is, whatever the range.
func whole(s *store, w http.ResponseWriter, _ *http.Request, _ int) bool {
	w.Header().Set("Content-Length", strconv.Itoa(len(s.body)))
	w.Write(s.body)
	return true
}

// chunked answers 200 with that body, without a length.
func chunked(body func(s *store) []byte) lie {
	return func(s *store, w http.ResponseWriter, _ *http.Request, _ int) bool {
		http.NewResponseController(w).Flush()
		w.Write(body(s))
		return true
	}
}

func truth(s *store) []byte  { return s.body }
func longer(s *store) []byte { return append(s.body[:len(s.body):len(s.body)], "more"...) }

func shorter(s *store) []byte { return s.body[:len(s.body)-100] }

// partly answers 206 with a Content-Range that change makes of the right one.
func partly(change func(off, end, size int) (contentRange string, from, to int)) lie {
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

// ranged is partly with the bytes of the range as it was asked.
func ranged(format func(off, end, size int) string) lie {
	return partly(func(off, end, size int) (string, int, int) { return format(off, end, size), off, end })
}

// refuse answers with a status and a body, and without the file's headers.
func refuse(status int, body string, pairs ...string) lie {
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

// redirect leads to the address that to makes of the store's own.
func redirect(to func(own string) string) lie {
	return func(s *store, w http.ResponseWriter, r *http.Request, _ int) bool {
		if strings.HasPrefix(r.URL.Path, "/elsewhere") {
			return honest
		}
		w.Header().Set("Location", to(s.URL)+"?Signature=CANARY")
		w.WriteHeader(http.StatusFound)
		return true
	}
}

// hops redirects so often before it leaves the answer to the store.
func hops(n int) lie {
	return func(s *store, w http.ResponseWriter, r *http.Request, _ int) bool {
		done, _ := strconv.Atoi(r.URL.Query().Get("hop"))
		if done == n {
			return honest
		}
		w.Header().Set("Location", fmt.Sprintf("%s?hop=%d", r.URL.Path, done+1))
		w.WriteHeader(http.StatusFound)
		return true
	}
}

// picky refuses If-Match, even for the ETag that it gives.
func picky(_ *store, w http.ResponseWriter, r *http.Request, _ int) bool {
	if r.Header.Get("If-Match") == "" {
		return honest
	}
	w.WriteHeader(http.StatusPreconditionFailed)
	return true
}

// careless does not look at If-Match.
func careless(_ *store, _ http.ResponseWriter, r *http.Request, _ int) bool {
	r.Header.Del("If-Match")
	return honest
}

// rangeless refuses every Range, and says that there are size bytes.
func rangeless(contentRange string) lie {
	return func(_ *store, w http.ResponseWriter, r *http.Request, _ int) bool {
		if r.Header.Get("Range") == "" {
			return honest
		}
		set(w.Header(), "Content-Range", contentRange)
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		w.Write([]byte(xmlError("InvalidRange", "The requested range cannot be satisfied.")))
		return true
	}
}

// replaced puts another object in the place of the first, once so many
// requests were answered.
func replaced(requests int, body []byte) lie {
	return after(requests, func(_ *store, w http.ResponseWriter, r *http.Request, _ int) bool {
		other := &store{body: body}
		other.honest()
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

// partsETag is OSS's for an object that was put in one part.
func partsETag(body []byte) string {
	part := fmt.Sprintf("%X", md5.Sum(body))
	return fmt.Sprintf(`"%X-1"`, md5.Sum([]byte(part)))
}

// raw sends that, as it is, on the bare connection, and ends it.
func raw(answer func(s *store, r *http.Request) string) lie {
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

// rawHead is raw with the whole body behind these lines.
func rawHead(lines ...string) lie {
	return raw(func(s *store, _ *http.Request) string {
		head := strings.ReplaceAll(strings.Join(lines, "\r\n"), "SIZE", strconv.Itoa(len(s.body)))
		return head + "\r\nConnection: close\r\n\r\n" + string(s.body)
	})
}

// rawChunks is raw with a chunked body, of chunks with that behind their size,
// and those lines behind the last.
func rawChunks(size int, extension, trailer string) lie {
	return raw(func(s *store, _ *http.Request) string {
		var b strings.Builder
		b.WriteString("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
		for chunk := range slices.Chunk(s.body, size) {
			fmt.Fprintf(&b, "%x%s\r\n%s\r\n", len(chunk), extension, chunk)
		}
		return b.String() + "0\r\n" + trailer + "\r\n"
	})
}

// reset sends half of an answer and then a RST.
func reset(s *store, w http.ResponseWriter, _ *http.Request, _ int) bool {
	w.Header().Set("Content-Length", strconv.Itoa(len(s.body)))
	w.Write(s.body[:len(s.body)/2])
	http.NewResponseController(w).Flush()
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	}
	return true
}

// forEver sends a body that has no end, as long as someone reads.
func forEver(status int, text string, pairs ...string) lie {
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

// gzipped answers with what gzip makes of the body, as proxies do that were not
// asked to.
func gzipped(pairs ...string) lie {
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

// elsewhere redirects once, by that status, to the store's own /elsewhere.
func elsewhere(status int) lie {
	return func(_ *store, w http.ResponseWriter, r *http.Request, _ int) bool {
		if strings.HasPrefix(r.URL.Path, "/elsewhere") {
			return honest
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		return true
	}
}

// large makes a lie when it is told, since it wants much memory.
func large(make func() lie) lie {
	return func(s *store, w http.ResponseWriter, r *http.Request, n int) bool { return make()(s, w, r, n) }
}
