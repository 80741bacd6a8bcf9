package sandbox

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"tallyman/fetch/sandbox/internal/apierr"
)

// The statuses that DMS names for the download of a data tracking order. An
// Order may have any other.
const (
	OrderInit        = "INIT"
	OrderListing     = "LISTING"
	OrderDownloading = "DOWNLOADING"
	OrderSucceeded   = "DOWNLOAD_SUCCESS"
	OrderFailed      = "DOWNLOAD_FAIL"
)

// An Order is a data tracking order of DMS with one download key: what
// QueryDataTrackResultDownloadStatus answers, and the file that the order made.
type Order struct {
	ID     int64  // OrderId
	Key    string // DownloadKeyId
	Tenant int64  // Tid, for a call that names one. 0 = any

	// Each call answers the next of Statuses, and the last for ever. nil =
	// DOWNLOAD_SUCCESS.
	Statuses   []string
	StatusDesc string // "" = SUCCESS, FAIL, or the status
	// Total and URL are in an answer with DOWNLOAD_SUCCESS alone.
	Total *int64 // TotalCount. nil = File.Rows; negative = absent
	URL   string // DownloadUrl. "" = a signed URL of File

	// These turn off the quirks of the vendor's own example of an answer.
	NoNewline      bool // DownloadUrl does not end with a newline
	NoUnknownError bool // a success has no ErrorCode and ErrorMessage "UnknownError"

	StringSuccess bool // Success is a string, not a bool

	// The first calls answer 503 ServiceUnavailable (Unavailable of them), the
	// next 400 Throttling.User (Throttles of them), the next fail as Failure
	// says. They use up no status.
	Unavailable int
	Throttles   int
	Failure     Failure

	// File is the zip: its Body is what Zip makes, or anything else. Its URL is
	// signed.
	File File
}

// AddOrder adds an order. It replaces one of the same ID and key. It panics on a
// file that cannot be made (see File).
func (c *Cloud) AddOrder(o Order) {
	o.Statuses = slices.Clone(o.Statuses)
	s := &orderState{Order: o}
	s.object = &object{
		file:   &s.File,
		bucket: orderBucket,
		key: func() string {
			return orderName(s.ID, s.Key) + "/" + cmp.Or(s.File.Name, fmt.Sprintf("tracking_REDO_%d.zip", s.ID))
		},
		counts:    c.counts.Orders,
		countName: orderName(o.ID, o.Key),
	}
	s.object.store(c.options.Now())
	c.mu.Lock()
	defer c.mu.Unlock()
	c.orders[orderName(o.ID, o.Key)] = s
}

// RemoveOrder removes an order. Its URLs then answer NoSuchKey.
func (c *Cloud) RemoveOrder(id int64, key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.orders, orderName(id, key))
}

// UpdateOrder calls change under the cloud's lock and reports whether there is
// such an order. Counts start again as with UpdateJob. A change of ID or Key is
// ignored.
func (c *Cloud) UpdateOrder(id int64, key string, change func(*Order)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.orders[orderName(id, key)]
	if s == nil {
		return false
	}
	old := s.Order
	old.Statuses = slices.Clone(old.Statuses)
	change(&s.Order)
	s.ID, s.Key = old.ID, old.Key
	resetUnless(slices.Equal(old.Statuses, s.Statuses), &s.gets)
	resetUnless(old.Throttles == s.Throttles, &s.faults.throttled)
	resetUnless(old.Unavailable == s.Unavailable, &s.faults.unavailable)
	resetUnless(old.Failure == s.Failure, &s.faults.failed)
	s.object.fileChanged(old.File)
	return true
}

// An orderState is an order with what has happened to it so far.
type orderState struct {
	Order
	gets   int // that answered a status
	faults rpcFaults
	object *object
}

func orderName(id int64, key string) string { return strconv.FormatInt(id, 10) + "/" + key }

// A downloadStatus is the answer of QueryDataTrackResultDownloadStatus.
type downloadStatus struct {
	XMLName      xml.Name      `json:"-" xml:"QueryDataTrackResultDownloadStatusResponse"`
	RequestID    string        `json:"RequestId" xml:"RequestId"`
	Success      any           // a bool, or its text
	ErrorMessage string        `json:",omitempty" xml:",omitempty"`
	ErrorCode    string        `json:",omitempty" xml:",omitempty"`
	Result       *statusResult `json:"StatusResult,omitempty" xml:"StatusResult,omitempty"`
}

type statusResult struct {
	DownloadStatus string
	DownloadURL    string `json:"DownloadUrl,omitempty" xml:"DownloadUrl,omitempty"`
	StatusDesc     string
	TotalCount     *int64 `json:",omitempty" xml:",omitempty"`
}

func (c *Cloud) queryDownloadStatus(q rpcCall) (any, *apierr.Error) {
	idText, bad := q.parameter("OrderId")
	if bad != nil {
		return nil, bad
	}
	id, err := strconv.ParseInt(idText, 10, 64)
	if err != nil {
		return nil, apierr.New(http.StatusBadRequest, "InvalidOrderId", "Specified parameter OrderId is not valid.")
	}
	key, bad := q.parameter("DownloadKeyId")
	if bad != nil {
		return nil, bad
	}
	s := c.orders[orderName(id, key)]
	if s == nil {
		return c.orderFailure(q, false, Failure{Code: "OrderNotExist", Message: "The order or its download key does not exist."}), nil
	}
	if tenant := q.parameters.Get("Tid"); tenant != "" && s.Tenant != 0 && tenant != strconv.FormatInt(s.Tenant, 10) {
		return c.orderFailure(q, s.StringSuccess, Failure{Code: "TenantNotExist", Message: "The tenant does not exist."}), nil
	}
	s.object.count(ItemCounts{StatusCalls: 1})
	bad, fails := s.faults.next(s.Unavailable, s.Throttles, s.Failure)
	switch {
	case bad != nil:
		return nil, bad
	case fails:
		return c.orderFailure(q, s.StringSuccess, s.Failure), nil
	}
	status := statusAt(s.Statuses, s.gets, OrderSucceeded)
	s.gets++
	result := &statusResult{
		DownloadStatus: status,
		StatusDesc:     cmp.Or(s.StatusDesc, map[string]string{OrderSucceeded: "SUCCESS", OrderFailed: "FAIL"}[status], status),
	}
	if isStatus(status, OrderSucceeded) {
		result.DownloadURL = s.URL
		if s.URL == "" {
			result.DownloadURL = c.newURL(s.object, origin(q.Request, q.Host))
		}
		if !s.NoNewline {
			result.DownloadURL += "\n"
		}
		result.TotalCount = promised(s.Total, int64(s.File.Rows))
	}
	answer := downloadStatus{RequestID: q.id, Success: successField(true, s.StringSuccess), Result: result}
	if !s.NoUnknownError {
		answer.ErrorCode, answer.ErrorMessage = "UnknownError", "UnknownError"
	}
	return answer, nil
}

// orderFailure is an answer that says that the call failed, which its HTTP
// status does not.
func (c *Cloud) orderFailure(q rpcCall, asText bool, f Failure) any {
	c.counts.Refused[f.Code]++
	return downloadStatus{RequestID: q.id, Success: successField(false, asText), ErrorCode: f.Code, ErrorMessage: f.Message}
}
