package sandbox

import (
	"compress/gzip"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"tallyman/fetch/sandbox/internal/apierr"
	"tallyman/fetch/sandbox/internal/sign"
)

// An objectResponse is one response with an object, after it was decided what
// to send and which faults occur in it.
type objectResponse struct {
	object  *object
	url     *urlUse // nil = signed by key
	file    File    // as it was when that was decided
	name    string
	version objectVersion
	byteRange
	gzip bool // compressed on the way

	body    []byte // of the range, as sent
	cutAt   int64  // offset in the response. -1 = nowhere
	stallAt int64
}

// newResponse finds the object of a request and checks what GET and HEAD have
// in common.
func (c *Cloud) newResponse(r storeRequest, access sign.Access) (*objectResponse, *apierr.Error) {
	o, bad := c.object(r)
	if bad != nil {
		return nil, bad
	}
	var use *urlUse // of a signed URL
	if access.Expires != 0 {
		if o.urls[access.Expires] == nil {
			if o.urls == nil {
				o.urls = map[int64]*urlUse{}
			}
			o.urls[access.Expires] = &urlUse{}
		}
		use = o.urls[access.Expires]
		if limit := o.file.Faults.ExpireAfter; limit.Requests > 0 && use.requests >= limit.Requests || limit.Bytes > 0 && use.bytes >= limit.Bytes {
			now := c.options.Now()
			return nil, sign.OSSExpired(now.Add(-time.Second), now)
		}
	}
	o.count(ItemCounts{Requests: 1})
	if occurs(o.file.Faults.Busy, &o.faults.busy) {
		return nil, busyError()
	}
	return &objectResponse{object: o, url: use, file: *o.file, name: o.key(), version: o.version(r.obs)}, nil
}

// busyError is the store's answer to too many requests.
func busyError() *apierr.Error {
	return apierr.New(http.StatusServiceUnavailable, "ServiceUnavailable", "Please reduce your request rate.").WithHeader("Retry-After", "1")
}

func (c *Cloud) getObject(r storeRequest, access sign.Access) (send func(http.ResponseWriter), bad *apierr.Error) {
	p, bad := c.newResponse(r, access)
	if bad != nil {
		return nil, bad
	}
	switch archived := slices.Contains([]string{"Archive", "ColdArchive", "DeepColdArchive"}, p.file.StorageClass); {
	case archived && r.obs:
		return nil, apierr.New(http.StatusForbidden, "InvalidObjectState", "The operation is not valid for the object's storage class.")
	case archived:
		return nil, apierr.New(http.StatusForbidden, "InvalidObjectState", "The operation is not valid for the object's state").
			WithDetail("ObjectName", p.name).WithEC("0016-00000404")
	}
	if bad := p.version.checkConditions(r.Header); bad != nil {
		return nil, bad
	}
	wanted, size := r.Header.Get("Range"), int64(len(p.version.body))
	if p.file.Faults.NoRange {
		wanted = ""
	}
	if !r.obs && r.Header.Get("x-oss-range-behavior") != "standard" {
		p.byteRange = ossRange(wanted, size)
	} else if b, ok := standardRange(wanted, size); ok {
		p.byteRange = b
	} else {
		return nil, apierr.New(http.StatusRequestedRangeNotSatisfiable, "InvalidRange", "The requested range cannot be satisfied.").
			WithDetail("ActualObjectSize", strconv.FormatInt(size, 10)).WithDetail("RangeRequested", wanted)
	}
	p.object.served++
	if p.url != nil {
		p.url.requests++
	}
	p.gzip = !r.obs && !p.part && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") && p.file.ContentEncoding == "" &&
		size >= minGzipSize && slices.Contains(gzipTypes, p.file.contentType(p.name))
	p.decideFaults()
	return func(w http.ResponseWriter) { c.send(w, r, p) }, nil
}

// headObject answers with the header of an object. No counted fault but Busy
// occurs in it.
func (c *Cloud) headObject(r storeRequest) (send func(http.ResponseWriter), bad *apierr.Error) {
	p, bad := c.newResponse(r, sign.Access{})
	if bad != nil {
		return nil, bad
	}
	if bad := p.version.checkConditions(r.Header); bad != nil {
		return nil, bad
	}
	p.end = int64(len(p.version.body))
	return func(w http.ResponseWriter) { p.header(w.Header(), r) }, nil
}

// decideFaults decides which faults occur in the response, and counts them.
func (p *objectResponse) decideFaults() {
	f, counts := p.file.Faults, &p.object.faults
	p.body = p.version.body[p.off:p.end]
	size := int64(len(p.body))
	if f.Flip.At >= p.off && f.Flip.At < p.end && occurs(f.Flip.Times, &counts.flips) {
		p.body = slices.Clone(p.body)
		p.body[f.Flip.At-p.off] ^= 1
	}
	p.cutAt, p.stallAt = -1, -1
	if f.Cut.After < size && occurs(f.Cut.Times, &counts.cuts) {
		p.cutAt = f.Cut.After
	}
	if f.Stall.After < size && occurs(f.Stall.Times, &counts.stalls) {
		p.stallAt = f.Stall.After
	}
}

// minGzipSize is the size in bytes below which OSS does not compress.
const minGzipSize = 1024

// gzipTypes are the content types that OSS compresses on the way for a client
// that asks for it (OSS, GetObject: Accept-Encoding). CSV is not among them.
var gzipTypes = []string{
	"application/javascript", "application/json", "application/rss+xml", "application/x-javascript",
	"text/cache-manifest", "text/css", "text/html", "text/json", "text/plain", "text/xml",
}

// send writes the response. The caller does not have the lock.
func (c *Cloud) send(w http.ResponseWriter, r storeRequest, p *objectResponse) {
	p.header(w.Header(), r)
	status := http.StatusOK
	if p.part {
		status = http.StatusPartialContent
	}
	w.WriteHeader(status)
	if w.Header().Get("Content-Length") == "" {
		// Otherwise net/http adds a length to a short body.
		http.NewResponseController(w).Flush()
	}
	body := &faultyWriter{w: w, request: r.Request, of: p, count: func(n int) {
		c.count(func(counts *Counts) {
			counts.Bytes += int64(n)
			if p.url != nil {
				p.url.bytes += int64(n)
			}
			p.object.count(ItemCounts{Bytes: int64(n)})
		})
	}}
	if !p.gzip {
		body.Write(p.body)
		return
	}
	z := gzip.NewWriter(body)
	z.Write(p.body)
	z.Close()
}

// header sets the header of the response (OSS, GetObject).
func (p *objectResponse) header(h http.Header, r storeRequest) {
	f, v := p.file.Faults, p.version
	if f.WrongCRC {
		v.crc ^= 1
	}
	for _, field := range []struct {
		name, value string
		omit        bool
	}{
		{"Content-Type", p.file.contentType(p.name), false},
		{"Content-Encoding", p.file.ContentEncoding, false},
		{"Last-Modified", v.modified.UTC().Format(http.TimeFormat), false},
		{"x-oss-object-type", v.objectType, false},
		{"x-oss-storage-class", p.file.storageClass(), false},
		{"x-oss-hash-crc64ecma", strconv.FormatUint(v.crc, 10), f.NoCRC},
		{"Content-MD5", v.md5, f.NoMD5},
		{"ETag", `"` + v.etag + `"`, f.NoETag || p.gzip},
		{"Accept-Ranges", "bytes", p.gzip},
		{"Content-Length", strconv.FormatInt(p.end-p.off, 10), f.NoLength || p.gzip},
		{"Content-Range", fmt.Sprintf("bytes %d-%d/%d", p.off, p.end-1, len(v.body)), !p.part},
		{"Content-Encoding", "gzip", !p.gzip},
		{"Vary", "Accept-Encoding", !p.gzip},
	} {
		if !field.omit && field.value != "" {
			h.Set(field.name, field.value)
		}
	}
	if r.obs {
		obsHeader(h, p.file, r.prefix)
	}
}

// A byteRange is the part of an object that a response sends.
type byteRange struct {
	off, end int64
	part     bool // status 206, not 200
}

// ossRange reads a Range header as OSS does by default: what it cannot give in
// full, or cannot read, it answers with the whole object (OSS, GetObject: Range
// and x-oss-range-behavior). Of several ranges it gives the first.
func ossRange(header string, size int64) byteRange {
	b, ok := parseRange(header, size)
	if !ok || b.off < 0 || b.off >= b.end || b.end > size {
		return byteRange{0, size, false}
	}
	return b
}

// standardRange reads it as RFC 9110 has it, as do OSS with
// x-oss-range-behavior: standard, and OBS: it gives what there is of the range,
// and is not ok if that is nothing.
func standardRange(header string, size int64) (b byteRange, ok bool) {
	b, ok = parseRange(header, size)
	if !ok || b.end <= b.off && b.off < size {
		return byteRange{0, size, false}, true
	}
	b.off, b.end = max(b.off, 0), min(b.end, size)
	return b, b.off < b.end
}

// parseRange reads the first range. It may lie beyond the object, or be empty.
func parseRange(header string, size int64) (b byteRange, ok bool) {
	spec, ok := strings.CutPrefix(header, "bytes=")
	spec, _, _ = strings.Cut(spec, ",")
	first, last, dash := strings.Cut(strings.TrimSpace(spec), "-")
	position := func(text string) int64 { // -1 = no number
		n, err := strconv.ParseUint(text, 10, 62)
		if err != nil {
			return -1
		}
		return int64(n)
	}
	off, end := position(first), position(last)+1
	switch {
	case !ok || !dash || first != "" && off < 0 || last != "" && end == 0 || first == "" && last == "":
		return byteRange{}, false
	case first == "":
		off, end = size-(end-1), size
	case last == "":
		end = max(off, size)
	}
	return byteRange{off, end, true}, true
}
