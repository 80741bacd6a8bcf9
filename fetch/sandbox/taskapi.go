package sandbox

import (
	"cmp"
	"encoding/json"
	"encoding/xml"
	"slices"
	"strconv"
	"time"

	"tallyman/fetch/sandbox/internal/apierr"
)

const (
	invalidParameter = "DBS.ParamIsInValid"

	maxTaskPageSize = 100
	taskPageSize    = 10 // tasks in a page without a size

	minURLSeconds = 300 // that a URL may live
	maxURLSeconds = 86400
)

// A dbsAnswer is the answer of an operation of DBS.
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

func (i Instance) answer(q rpcCall, success bool, code, message string, data any) dbsAnswer {
	return dbsAnswer{
		XMLName: xml.Name{Local: cmp.Or(q.Header.Get("x-acs-action"), q.parameters.Get("Action")) + "Response"}, RequestID: q.id,
		Success: successField(success, !i.BoolSuccess), ErrCode: code, ErrMessage: message, Code: code, Message: message, Data: data,
	}
}

// success is an answer of success, which names an error all the same.
func (i Instance) success(q rpcCall, data any) dbsAnswer {
	if i.NoUnknownError {
		return i.answer(q, true, "", "", data)
	}
	return i.answer(q, true, "DBS.InternalError", "instanceName can not be empty", data)
}

// taskFailure is an answer that says that the call failed, which its HTTP status
// does not.
func (c *Cloud) taskFailure(q rpcCall, i Instance, code, message string) any {
	c.counts.Refused[code]++
	return i.answer(q, false, code, message, nil)
}

// A taskPage is the Data of DescribeDownloadTask.
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
	List   []taskDescription
	asList bool
}

// MarshalJSON writes a list, or an object with a List.
func (c taskContent) MarshalJSON() ([]byte, error) {
	if c.asList {
		return json.Marshal(c.List)
	}
	return json.Marshal(struct{ List []taskDescription }{c.List})
}

// A taskDescription is a task in an answer: all of its fields are texts.
type taskDescription struct {
	TaskID         string `json:"TaskId" xml:"TaskId"`
	RegionCode     string
	Format         string
	DBList         string `json:"DbList" xml:"DbList"`
	BakSetID       string `json:"BakSetId" xml:"BakSetId"`
	DownloadStatus string
	ExportDataSize string
	ImportDataSize string
	BackupSetTime  string
	TargetType     string
	TargetPath     string
	Progress       string
	GmtCreate      string
}

func (c *Cloud) describeDownloadTask(q rpcCall) (any, *apierr.Error) {
	region, bad := q.parameter("RegionCode")
	if bad != nil {
		return nil, bad
	}
	name := q.parameters.Get("InstanceName")
	s := c.instances[name]
	switch {
	case name == "":
		return c.taskFailure(q, Instance{}, "DBS.InternalError", "instanceName can not be empty"), nil
	case s == nil || s.Region != "" && s.Region != region:
		return c.taskFailure(q, Instance{}, invalidParameter, "the instance does not exist"), nil
	}
	bad, fails := s.faults.next(s.Unavailable, s.Throttles, s.Failure)
	switch {
	case bad != nil:
		return nil, bad
	case fails:
		return c.taskFailure(q, s.Instance, s.Failure.Code, s.Failure.Message), nil
	}
	size, sizeOK := q.count("PageSize", taskPageSize)
	number, numberOK := q.count("CurrentPage", 1)
	if !sizeOK || !numberOK {
		return c.taskFailure(q, s.Instance, invalidParameter, "PageSize or CurrentPage is invalid"), nil
	}
	return s.success(q, c.taskPage(q, s, min(size, cmp.Or(s.PageSize, maxTaskPageSize)), number)), nil
}

// taskPage is one page of an instance's tasks, by default the newest first. Each
// task on it uses up a status, and a finished one writes its files now.
func (c *Cloud) taskPage(q rpcCall, s *instanceState, size, number int) taskPage {
	var all []*taskState
	for _, t := range s.tasks {
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b *taskState) int {
		return cmp.Or(b.CreateTime.Compare(a.CreateTime), cmp.Compare(b.number, a.number))
	})
	if s.Ascending || q.parameters.Get("OrderDirect") == "asc" {
		slices.Reverse(all)
	}
	p := taskPage{Extra: s.Extra, Content: taskContent{List: []taskDescription{}, asList: s.ListContent}}
	from := min((number-1)*size, len(all))
	for _, t := range all[from:min(from+size, len(all))] {
		t.object.count(ItemCounts{StatusCalls: 1})
		status, created := statusAt(t.Statuses, t.gets, TaskFinished), strconv.FormatInt(t.CreateTime.UnixMilli(), 10)
		t.gets++
		d := taskDescription{
			TaskID: t.ID, RegionCode: q.parameters.Get("RegionCode"), Format: cmp.Or(t.Format, "csv"), DBList: "[dbtest]", BakSetID: "148261****",
			DownloadStatus: status, ExportDataSize: "0", ImportDataSize: "0", BackupSetTime: created,
			TargetType: "URL", TargetPath: t.Path, Progress: cmp.Or(t.Progress, "0/0"), GmtCreate: created,
		}
		if t.Bucket != "" {
			d.TargetType = "OSS"
		}
		if isStatus(status, TaskFinished) {
			c.write(&t.outputs)
			d.Progress = cmp.Or(t.Progress, "1/1")
		}
		p.Content.List = append(p.Content.List, d)
	}
	pageNumber, pageSize, total := new(int64(number)), new(int64(size)), int64(len(all))
	if s.OldTotals {
		p.Number, p.Size, p.Total = pageNumber, pageSize, &total
		return p
	}
	p.PageNumber, p.PageSize = pageNumber, pageSize
	p.TotalPages, p.TotalElements = promised(s.TotalPages, int64((len(all)+size-1)/size)), promised(s.TotalTasks, total)
	return p
}

// A storageInfo is the Data of DescribeDownloadBackupSetStorageInfo.
type storageInfo struct {
	PublicURL      string `json:"PublicUrl,omitempty" xml:"PublicUrl,omitempty"`
	PrivateURL     string `json:"PrivateUrl,omitempty" xml:"PrivateUrl,omitempty"`
	ExpirationTime int64
}

// task finds a task of any instance in the region. s is nil if there is none.
func (c *Cloud) task(id, region string) (instance Instance, s *taskState) {
	for _, i := range c.instances {
		if t := i.tasks[id]; t != nil && (i.Region == "" || i.Region == region) {
			return i.Instance, t
		}
	}
	return Instance{}, nil
}

func (c *Cloud) describeStorageInfo(q rpcCall) (any, *apierr.Error) {
	region, bad := q.parameter("RegionCode")
	if bad == nil {
		_, bad = q.parameter("Duration")
	}
	if bad != nil {
		return nil, bad
	}
	instance, s := c.task(q.parameters.Get("TaskId"), region)
	seconds, ok := q.count("Duration", 0)
	switch {
	case s == nil:
		return c.taskFailure(q, instance, invalidParameter, "the download task does not exist"), nil
	case !ok || seconds < minURLSeconds || seconds > maxURLSeconds:
		return c.taskFailure(q, instance, invalidParameter, "the duration is invalid"), nil
	}
	bad, fails := s.faults.next(s.Unavailable, s.Throttles, s.Failure)
	switch {
	case bad != nil:
		return nil, bad
	case fails:
		return c.taskFailure(q, instance, s.Failure.Code, s.Failure.Message), nil
	case s.Bucket != "" || !isStatus(statusAt(s.Statuses, max(s.gets-1, 0), TaskFinished), TaskFinished):
		return c.taskFailure(q, instance, invalidParameter, "the download task has no file to give"), nil
	}
	end := c.options.Now().Add(time.Duration(seconds) * time.Second)
	s.object.expires = max(end.Unix(), s.object.expires+1)
	signed := c.lastURL(s.object, origin(q.Request, q.Host))
	info := storageInfo{PublicURL: cmp.Or(s.PublicURL, signed), PrivateURL: cmp.Or(s.PrivateURL, signed), ExpirationTime: end.Unix()}
	for _, url := range []*string{&info.PublicURL, &info.PrivateURL} {
		if *url == Absent {
			*url = ""
		}
	}
	if s.Milliseconds {
		info.ExpirationTime = end.UnixMilli()
	}
	return instance.success(q, info), nil
}
