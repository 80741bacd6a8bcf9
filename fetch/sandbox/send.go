package sandbox

import (
	"compress/gzip"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// smallestGzip is the size below which the store does not compress.
const smallestGzip = 1024

// gzipTypes are what the store compresses on the way, if asked to. CSV is not
// among them.
var gzipTypes = []string{
	"application/javascript", "application/json", "application/rss+xml", "application/x-javascript",
	"text/cache-manifest", "text/css", "text/html", "text/json", "text/plain", "text/xml",
}

func (d *delivery) gzipped(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") && !d.span.part && d.file.ContentEncoding == "" &&
		len(d.object.body) >= smallestGzip && slices.Contains(gzipTypes, d.file.contentType(d.name))
}

func (c *Cloud) send(w http.ResponseWriter, r *http.Request, d *delivery) {
	d.told(d, w.Header())
	status := http.StatusOK
	if d.span.part {
		status = http.StatusPartialContent
	}
	w.WriteHeader(status)
	if w.Header().Get("Content-Length") == "" {
		// else net/http gives a short body a length of its own accord
		http.NewResponseController(w).Flush()
	}
	wire := &faultyWriter{w: w, r: r, d: d, sent: func(n int) { c.countBytes(d.of, d.use, n) }}
	if !d.gzip {
		wire.Write(d.body)
		return
	}
	z := gzip.NewWriter(wire)
	z.Write(d.body)
	z.Close()
}

func (d *delivery) header(h http.Header) {
	f := d.file.Faults
	set := func(name, value string, unless bool) {
		if !unless && value != "" {
			h.Set(name, value)
		}
	}
	crc := d.object.crc
	if f.WrongCRC {
		crc ^= 1
	}
	set("Content-Type", d.file.contentType(d.name), false)
	set("Content-Encoding", d.file.ContentEncoding, false)
	set("Last-Modified", d.object.modified.UTC().Format(http.TimeFormat), false)
	set("x-oss-object-type", d.object.kind, false)
	set("x-oss-storage-class", d.file.storageClass(), false)
	set("x-oss-hash-crc64ecma", strconv.FormatUint(crc, 10), f.NoCRC)
	set("Content-MD5", d.object.md5, f.NoMD5)
	set("ETag", `"`+d.object.etag+`"`, f.NoETag || d.gzip)
	set("Accept-Ranges", "bytes", d.gzip)
	set("Content-Length", strconv.FormatInt(d.span.end-d.span.off, 10), f.NoLength || d.gzip)
	set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", d.span.off, d.span.end-1, len(d.object.body)), !d.span.part)
	set("Content-Encoding", "gzip", !d.gzip)
	set("Vary", "Accept-Encoding", !d.gzip)
}
