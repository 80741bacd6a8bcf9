package sandbox

import (
	"encoding/xml"
	"net/http"
	"strconv"
	"strings"
)

// A downloadStatus is what QueryDataTrackResultDownloadStatus answers.
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

func (c *Cloud) queryDownload(q rpc) (rpcAnswer, *refusal) {
	id, bad := q.number("OrderId")
	if bad != nil {
		return nil, bad
	}
	key := q.values.Get("DownloadKeyId")
	if key == "" {
		return nil, missing("DownloadKeyId")
	}
	e := c.orders[orderName(id, key)]
	if e == nil {
		return c.unable(q, false, Failure{Code: "OrderNotExist", Message: "The order or its download key does not exist."}), nil
	}
	if tenant := q.values.Get("Tid"); tenant != "" && e.Tenant != 0 && tenant != strconv.FormatInt(e.Tenant, 10) {
		return c.unable(q, e.StringSuccess, Failure{Code: "TenantNotExist", Message: "The tenant does not exist."}), nil
	}
	e.object.count(ItemCounts{StatusCalls: 1})
	return c.download(q, e)
}

func (c *Cloud) download(q rpc, e *orderEntry) (rpcAnswer, *refusal) {
	switch {
	case strike(e.Unavailable, &e.unavailable):
		return nil, refuse(http.StatusServiceUnavailable, "ServiceUnavailable", "The request has failed due to a temporary failure of the server.")
	case strike(e.Throttles, &e.throttled):
		return nil, refuse(http.StatusBadRequest, "Throttling.User", "Request was denied due to user flow control.").
			set("x-ratelimit-user-api", "Limit:1,Remain:0,TimeLeft:700,Reset:1")
	case strike(e.Failure.Times, &e.failed):
		return c.unable(q, e.StringSuccess, e.Failure), nil
	}
	status := e.status(e.gets)
	e.gets++
	answer := downloadStatus{RequestID: q.id, Success: success(true, e.StringSuccess), Result: &statusResult{
		DownloadStatus: status,
		StatusDesc:     e.desc(status),
	}}
	if !e.NoUnknownError {
		answer.ErrorCode, answer.ErrorMessage = "UnknownError", "UnknownError"
	}
	if strings.EqualFold(strings.TrimSpace(status), OrderSucceeded) {
		answer.Result.DownloadURL = c.downloadURL(q, e)
		answer.Result.TotalCount = promised(e.Total, int64(e.File.Rows))
	}
	return answer, nil
}

func (c *Cloud) downloadURL(q rpc, e *orderEntry) string {
	url := e.URL
	if url == "" {
		url = c.freshURL(e.object, schemeOf(q.Request)+q.Host)
	}
	if e.NoNewline {
		return url
	}
	return url + "\n"
}

// unable is an answer of no success, which HTTP knows nothing of. It needs
// the lock.
func (c *Cloud) unable(q rpc, text bool, f Failure) rpcAnswer {
	c.counts.Refused[f.Code]++
	return downloadStatus{RequestID: q.id, Success: success(false, text), ErrorCode: f.Code, ErrorMessage: f.Message}
}

func success(yes, text bool) any {
	if text {
		return strconv.FormatBool(yes)
	}
	return yes
}

func (r rpc) number(name string) (int64, *refusal) {
	text := r.values.Get(name)
	if text == "" {
		return 0, missing(name)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, refuse(http.StatusBadRequest, "Invalid"+name, "Specified parameter %s is not valid.", name)
	}
	return n, nil
}

func missing(name string) *refusal {
	return refuse(http.StatusBadRequest, "Missing"+name, "%s is mandatory for this action.", name)
}
