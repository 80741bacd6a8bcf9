package sandbox

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// A delivery is one response of the store, decided on: what it sends, and
// what goes wrong while it does.
type delivery struct {
	entry  *entry
	use    *use
	file   File
	name   string
	object stored
	span   span
	gzip   bool // compressed on the way

	body    []byte // of the span, as sent
	cutAt   int64  // in the response; -1 = nowhere
	stallAt int64
}

func (c *Cloud) serveFile(w http.ResponseWriter, r *http.Request) {
	c.countRequest()
	w.Header().Set("x-oss-request-id", requestID())
	w.Header().Set("x-oss-server-time", "1")
	d, bad := c.deliver(r)
	if bad != nil {
		c.countRefusal(bad.code)
		bad.writeXML(w, r.Host)
		return
	}
	c.send(w, r, d)
}

// deliver lets a request in and decides, in one piece, what becomes of it.
func (c *Cloud) deliver(r *http.Request) (*delivery, *refusal) {
	expires, bad := c.admit(r)
	if bad != nil {
		return nil, bad
	}
	if r.Method != http.MethodGet {
		return nil, refuse(http.StatusMethodNotAllowed, "MethodNotAllowed", "The specified method is not allowed against this resource.")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e, bad := c.findFile(r.URL.Path)
	if bad != nil {
		return nil, bad
	}
	u := e.use(expires)
	if e.File.Faults.ExpireAfter.reached(*u) {
		now := c.options.Now()
		return nil, expired(now.Add(-time.Second), now)
	}
	c.countJob(e, JobCounts{Requests: 1})
	if strike(e.File.Faults.Busy, &e.spent.busy) {
		return nil, refuse(http.StatusServiceUnavailable, "ServiceUnavailable", "Please reduce your request rate.").after("1")
	}
	return e.deliver(r, u)
}

func (c *Cloud) findFile(path string) (*entry, *refusal) {
	parts := strings.SplitN(strings.TrimPrefix(path, "/"), "/", 4)
	if parts[0] != bucket {
		return nil, refuse(http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist.").with("BucketName", parts[0]).numbered("0015-00000101")
	}
	if len(parts) == 4 {
		e := c.projects[parts[1]][parts[2]]
		if e != nil && !e.File.Gone && e.filename() == parts[3] {
			return e, nil
		}
	}
	return nil, refuse(http.StatusNotFound, "NoSuchKey", "The specified key does not exist.").with("Key", strings.TrimPrefix(path, "/"+bucket+"/")).numbered("0026-00000001")
}

func (e *entry) deliver(r *http.Request, u *use) (*delivery, *refusal) {
	object := e.object(e.served)
	if want := r.Header.Get("If-Match"); want != "" && want != "*" && strings.Trim(want, `"`) != object.etag {
		return nil, refuse(http.StatusPreconditionFailed, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold.").
			with("Condition", "If-Match").numbered("0015-00000404")
	}
	e.served++
	u.requests++
	d := &delivery{entry: e, use: u, file: e.File, name: e.filename(), object: object}
	d.span = d.asked(r)
	d.gzip = d.gzipped(r)
	d.strike(&e.spent)
	return d, nil
}

func (d *delivery) asked(r *http.Request) span {
	header := r.Header.Get("Range")
	if d.file.Faults.NoRange {
		header = ""
	}
	return readSpan(header, int64(len(d.object.body)))
}

// strike decides which faults this response suffers.
func (d *delivery) strike(spent *spent) {
	f := d.file.Faults
	d.body = d.object.body[d.span.off:d.span.end]
	size := int64(len(d.body))
	if f.Flip.At >= d.span.off && f.Flip.At < d.span.end && strike(f.Flip.Times, &spent.flips) {
		d.body = slices.Clone(d.body)
		d.body[f.Flip.At-d.span.off] ^= 1
	}
	d.cutAt, d.stallAt = -1, -1
	if f.Cut.After < size && strike(f.Cut.Times, &spent.cuts) {
		d.cutAt = f.Cut.After
	}
	if f.Stall.After < size && strike(f.Stall.Times, &spent.stalls) {
		d.stallAt = f.Stall.After
	}
}
