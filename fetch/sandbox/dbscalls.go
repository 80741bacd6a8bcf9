package sandbox

import (
	"cmp"
	"encoding/json"
	"encoding/xml"
	"net/http"
	"slices"
	"strconv"
)

const dbsVersion = "2021-01-01"

// A dbsAnswer is what an operation of DBS answers.
type dbsAnswer struct {
	XMLName    xml.Name `json:"-"`
	RequestID  string   `json:"RequestId" xml:"RequestId"`
	ErrCode    string   `json:",omitempty" xml:",omitempty"`
	Success    any      // text, or a bool
	ErrMessage string   `json:",omitempty" xml:",omitempty"`
	Code       string   `json:",omitempty" xml:",omitempty"`
	Message    string   `json:",omitempty" xml:",omitempty"`
	Data       any      `json:",omitempty" xml:",omitempty"`
}

// taskPage is the Data of DescribeDownloadTask.
type taskPage struct {
	PageNumber    *int64 `json:",omitempty" xml:",omitempty"`
	PageSize      *int64 `json:",omitempty" xml:",omitempty"`
	TotalPages    *int64 `json:",omitempty" xml:",omitempty"`
	TotalElements *int64 `json:",omitempty" xml:",omitempty"`
	Number        *int64 `json:",omitempty" xml:",omitempty"` // before November 2022, as are the next two
	Size          *int64 `json:",omitempty" xml:",omitempty"`
	Total         *int64 `json:",omitempty" xml:",omitempty"`
	Extra         string
	Content       taskContent
}

type taskContent struct {
	List  []taskDescription
	plain bool
}

// MarshalJSON makes a list of it where it is to be one.
func (c taskContent) MarshalJSON() ([]byte, error) {
	if c.plain {
		return json.Marshal(c.List)
	}
	return json.Marshal(struct{ List []taskDescription }{c.List})
}

// told is an answer of success, which tells of an error all the same.
func (i Instance) told(q rpc, data any) dbsAnswer {
	a := dbsAnswer{XMLName: xml.Name{Local: q.action() + "Response"}, RequestID: q.id, Success: success(true, !i.BoolSuccess), Data: data}
	if !i.NoUnknownError {
		a.ErrCode, a.ErrMessage = "DBS.InternalError", "instanceName can not be empty"
		a.Code, a.Message = a.ErrCode, a.ErrMessage
	}
	return a
}

// failed is an answer of no success. It needs the lock.
func (c *Cloud) failed(q rpc, i Instance, f Failure) rpcAnswer {
	c.counts.Refused[f.Code]++
	return dbsAnswer{XMLName: xml.Name{Local: q.action() + "Response"}, RequestID: q.id, Success: success(false, !i.BoolSuccess),
		ErrCode: f.Code, ErrMessage: f.Message, Code: f.Code, Message: f.Message}
}

const invalidParameter = "DBS.ParamIsInValid"

// The most tasks that a page has, and how many where it is not told.
const (
	mostTasks = 100
	taskCount = 10
)

func (c *Cloud) describeDownloadTask(q rpc) (rpcAnswer, *refusal) {
	region, name := q.values.Get("RegionCode"), q.values.Get("InstanceName")
	if region == "" {
		return nil, missing("RegionCode")
	}
	i := c.instances[name]
	switch {
	case name == "":
		return c.failed(q, Instance{}, Failure{Code: "DBS.InternalError", Message: "instanceName can not be empty"}), nil
	case i == nil || i.Region != "" && i.Region != region:
		return c.failed(q, Instance{}, Failure{Code: invalidParameter, Message: "the instance does not exist"}), nil
	case strike(i.Unavailable, &i.unavailable):
		return nil, unavailable()
	case strike(i.Throttles, &i.throttled):
		return nil, tooOften()
	case strike(i.Failure.Times, &i.failed):
		return c.failed(q, i.Instance, i.Failure), nil
	}
	size, sizeOK := q.count("PageSize", taskCount)
	number, numberOK := q.count("CurrentPage", 1)
	if !sizeOK || !numberOK {
		return c.failed(q, i.Instance, Failure{Code: invalidParameter, Message: "PageSize or CurrentPage is invalid"}), nil
	}
	return i.told(q, c.taskPage(q, i, min(size, cmp.Or(i.PageSize, mostTasks)), number)), nil
}

// count is a parameter that is a number, from 1 on.
func (r rpc) count(name string, otherwise int) (n int, ok bool) {
	text := r.values.Get(name)
	if text == "" {
		return otherwise, true
	}
	n, err := strconv.Atoi(text)
	return n, err == nil && n > 0
}

// taskPage is one page of an instance's tasks.
func (c *Cloud) taskPage(q rpc, i *instanceEntry, size, number int) taskPage {
	all := i.newestFirst()
	if i.Ascending || q.values.Get("OrderDirect") == "asc" {
		slices.Reverse(all)
	}
	p := taskPage{Extra: i.Extra, Content: taskContent{List: []taskDescription{}, plain: i.ListContent}}
	from := min((number-1)*size, len(all))
	for _, t := range all[from:min(from+size, len(all))] {
		p.Content.List = append(p.Content.List, c.describeTask(t, q.values.Get("RegionCode")))
	}
	is, per, pages := new(int64(number)), new(int64(size)), int64((len(all)+size-1)/size)
	if i.OldTotals {
		p.Number, p.Size, p.Total = is, per, new(int64(len(all)))
		return p
	}
	p.PageNumber, p.PageSize, p.TotalPages, p.TotalElements = is, per, promised(i.TotalPages, pages), promised(i.TotalTasks, int64(len(all)))
	return p
}

func unavailable() *refusal {
	return refuse(http.StatusServiceUnavailable, "ServiceUnavailable", "The request has failed due to a temporary failure of the server.")
}

func tooOften() *refusal {
	return refuse(http.StatusBadRequest, "Throttling.User", "Request was denied due to user flow control.").
		set("x-ratelimit-user-api", "Limit:1,Remain:0,TimeLeft:700,Reset:1")
}
