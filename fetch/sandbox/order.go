package sandbox

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
)

// The statuses that the vendor names for the download of a data tracking
// order. An Order may tell any other.
const (
	OrderInit        = "INIT"
	OrderListing     = "LISTING"
	OrderDownloading = "DOWNLOADING"
	OrderSucceeded   = "DOWNLOAD_SUCCESS"
	OrderFailed      = "DOWNLOAD_FAIL"
)

// An Order is a data tracking order (of DMS) with one download key: what
// QueryDataTrackResultDownloadStatus tells of it, and the file that it made.
type Order struct {
	ID     int64  // OrderId
	Key    string // DownloadKeyId
	Tenant int64  // Tid, for a call that names one. 0 = any

	// Statuses are told one a call, and the last for ever after. nil =
	// DOWNLOAD_SUCCESS.
	Statuses   []string
	StatusDesc string // StatusDesc. "" = SUCCESS, FAIL, or the status
	// Told with DOWNLOAD_SUCCESS only, and true unless said otherwise.
	Total *int64 // TotalCount. nil = File.Rows; negative = not told
	URL   string // DownloadUrl. "" = a signed URL of File

	// The vendor's own example has these quirks, and so has every answer but
	// where it is told not to.
	NoNewline      bool // DownloadUrl does not end with a newline
	NoUnknownError bool // a success tells no ErrorCode and ErrorMessage "UnknownError"
	// TextSuccess makes Success a string, not a bool.
	StringSuccess bool

	// The first calls answer 503 ServiceUnavailable (Unavailable of them), the
	// next 400 Throttling.User (Throttles of them), the next fail as Failure
	// says. They tell no status and use none up.
	Unavailable int
	Throttles   int
	Failure     Failure

	// File is the zip: its Body is what Zip makes, or anything else. It is
	// given by signed URL.
	File File
}

// A Failure is an answer with HTTP status 200 that tells of no success.
type Failure struct {
	Code, Message string
	Times         int // 0 = never, -1 = always
}

// AddOrder adds an order. One of the same ID and key is replaced.
func (c *Cloud) AddOrder(o Order) {
	e := c.newOrder(o)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.orders[e.name()] = e
}

// RemoveOrder forgets an order; its URLs then lead to NoSuchKey.
func (c *Cloud) RemoveOrder(id int64, key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.orders, orderName(id, key))
}

// UpdateOrder changes an order under the cloud's lock and reports whether
// there is such an order. It starts counts anew as Update does for a job. ID
// and Key cannot be changed.
func (c *Cloud) UpdateOrder(id int64, key string, change func(*Order)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.orders[orderName(id, key)]
	if e == nil {
		return false
	}
	old := e.Order
	old.Statuses = slices.Clone(old.Statuses)
	change(&e.Order)
	e.ID, e.Key = old.ID, old.Key
	e.changed(old)
	return true
}

// OrderURL gives a fresh signed URL of an order's file, on the origin
// "http://HOST:PORT". It is "" if there is no such order.
func (c *Cloud) OrderURL(origin string, id int64, key string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.orders[orderName(id, key)]
	if e == nil {
		return ""
	}
	return c.freshURL(e.object, origin)
}

// An orderEntry is an order with what has happened to it so far.
type orderEntry struct {
	Order
	gets        int // told a status
	throttled   int
	unavailable int
	failed      int
	object      *object
}

func orderName(id int64, key string) string { return strconv.FormatInt(id, 10) + "/" + key }

func (e *orderEntry) name() string { return orderName(e.ID, e.Key) }

func (c *Cloud) newOrder(o Order) *orderEntry {
	o.Statuses = slices.Clone(o.Statuses)
	e := &orderEntry{Order: o}
	e.object = &object{
		file:   &e.File,
		bucket: orderBucket,
		key: func() string {
			return e.name() + "/" + cmp.Or(e.File.Name, fmt.Sprintf("tracking_REDO_%d.zip", e.ID))
		},
		tally:   c.counts.Orders,
		tallied: e.name(),
	}
	e.object.store(c.options.Now())
	return e
}

func (e *orderEntry) changed(old Order) {
	restart(slices.Equal(old.Statuses, e.Statuses), &e.gets)
	restart(old.Throttles == e.Throttles, &e.throttled)
	restart(old.Unavailable == e.Unavailable, &e.unavailable)
	restart(old.Failure == e.Failure, &e.failed)
	e.object.changed(old.File)
}

// status is the one that the n-th call is told.
func (o Order) status(n int) string {
	if len(o.Statuses) == 0 {
		return OrderSucceeded
	}
	return o.Statuses[min(n, len(o.Statuses)-1)]
}

func (o Order) desc(status string) string {
	words := map[string]string{OrderSucceeded: "SUCCESS", OrderFailed: "FAIL"}
	return cmp.Or(o.StatusDesc, words[status], status)
}
