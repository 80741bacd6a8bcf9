package sandbox

import (
	"net/http"
	"slices"
	"strconv"
	"time"
)

// A delivery is one response of the store, decided on: what it sends, and
// what goes wrong while it does.
type delivery struct {
	of     *object
	use    *use // nil = by key
	file   File
	name   string
	object stored
	span   span
	gzip   bool // compressed on the way
	told   func(*delivery, http.Header)

	body    []byte // of the span, as sent
	cutAt   int64  // in the response; -1 = nowhere
	stallAt int64
}

func (c *Cloud) getObject(v visit, in admission) (func(http.ResponseWriter), *refusal) {
	o, bad := c.object(v)
	if bad != nil {
		return nil, bad
	}
	u := o.use(in.expires)
	if u != nil && o.file.Faults.ExpireAfter.reached(*u) {
		now := c.options.Now()
		return nil, expired(now.Add(-time.Second), now)
	}
	o.count(ItemCounts{Requests: 1})
	d, bad := o.deliver(v, u)
	if bad != nil {
		return nil, bad
	}
	return func(w http.ResponseWriter) { c.send(w, v.Request, d) }, nil
}

func (o *object) deliver(v visit, u *use) (*delivery, *refusal) {
	d := &delivery{of: o, use: u, file: *o.file, name: o.key(), object: v.sees(o), told: v.headers()}
	if strike(d.file.Faults.Busy, &o.spent.busy) {
		return nil, busy()
	}
	if d.file.frozen() {
		return nil, v.unrestored(o)
	}
	if bad := d.object.check(v.Header); bad != nil {
		return nil, bad
	}
	if bad := d.ask(v); bad != nil {
		return nil, bad
	}
	o.served++
	if u != nil {
		u.requests++
	}
	d.gzip = !v.obs && d.gzipped(v.Request)
	d.strike(&o.spent)
	return d, nil
}

// headObject tells of an object, and is struck by no fault that is counted
// but Busy.
func (c *Cloud) headObject(v visit) (func(http.ResponseWriter), *refusal) {
	o, bad := c.object(v)
	if bad != nil {
		return nil, bad
	}
	o.count(ItemCounts{Requests: 1})
	if strike(o.file.Faults.Busy, &o.spent.busy) {
		return nil, busy()
	}
	d := &delivery{of: o, file: *o.file, name: o.key(), object: v.sees(o), told: v.headers()}
	d.span.end = int64(len(d.object.body))
	if bad := d.object.check(v.Header); bad != nil {
		return nil, bad
	}
	return func(w http.ResponseWriter) { d.told(d, w.Header()) }, nil
}

func busy() *refusal {
	return refuse(http.StatusServiceUnavailable, "ServiceUnavailable", "Please reduce your request rate.").set("Retry-After", "1")
}

// ask reads which part is wanted, in either of the store's two ways.
func (d *delivery) ask(v visit) *refusal {
	wanted, size := v.Header.Get("Range"), int64(len(d.object.body))
	if d.file.Faults.NoRange {
		wanted = ""
	}
	if !v.obs && v.Header.Get("x-oss-range-behavior") != "standard" {
		d.span = readSpan(wanted, size)
		return nil
	}
	s, ok := readStandardSpan(wanted, size)
	if !ok {
		return refuse(http.StatusRequestedRangeNotSatisfiable, "InvalidRange", "The requested range cannot be satisfied.").
			with("ActualObjectSize", strconv.FormatInt(size, 10)).with("RangeRequested", wanted)
	}
	d.span = s
	return nil
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
