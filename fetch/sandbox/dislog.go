package sandbox

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
)

// A transferLog is what ShowTransferTaskLog answers.
type transferLog struct {
	ErrorCode        any     `json:"errorCode"`
	TotalNum         int     `json:"totalNum"`
	Message          *string `json:"message"`
	IsStreamFound    *bool   `json:"isStreamFound"`
	StreamData       any     `json:"streamData"`
	StreamDataList   any     `json:"streamDataList"`
	TransferTaskList any     `json:"transferTaskList"`
	MonitorData      any     `json:"monitorData"`
	Rows             any     `json:"transferTaskLogList"` // a list, a row or null
}

type transferRow struct {
	Task        string `json:"transferTaskId"`
	State       int    `json:"state"`
	Destination string `json:"destinationType"`
	Start       int64  `json:"startTime"`
	End         *int64 `json:"endTime"`
	Bytes       *int64 `json:"transferBytes"`
	Records     *int64 `json:"transferRecordsNum"`
	Transformed int64  `json:"transformRecordsNum"`
	Stream      string `json:"streamId"`
	Project     string `json:"projectId"`
	File        string `json:"transferFileName"`
	Num         int    `json:"num"`
}

func (c *Cloud) transferLog(q disCall) (any, *refusal) {
	e := c.dumps[q.path[2]]
	var r logRequest
	if err := json.Unmarshal(q.body, &r); err != nil && len(q.body) > 0 {
		return nil, refuse(http.StatusBadRequest, "DIS.4200", "Invalid request: %v", err)
	}
	index, size, bad := r.page()
	switch {
	case bad != nil:
		return nil, bad
	case e == nil:
		return nil, noSuchDump(q.path[2])
	case strike(e.Unavailable, &e.unavailable):
		return nil, refuse(http.StatusInternalServerError, "DIS.5000", "System error")
	case strike(e.Throttles, &e.throttled):
		return nil, refuse(http.StatusBadRequest, "DIS.4303", "Exceeded traffic control limit")
	}
	e.asked++
	c.deliverAll(e)
	rows := e.rows(r.Order == "asc")
	from := min((index-1)*size, len(rows))
	return e.answer(rows[from:min(from+size, len(rows))], len(rows)), nil
}

func (e *dumpEntry) answer(page []transferRow, total int) transferLog {
	l := transferLog{ErrorCode: e.ErrorCode, TotalNum: total}
	if l.ErrorCode == nil {
		l.ErrorCode = -1
	}
	switch {
	case len(page) == 0:
	case len(page) == 1 && e.SingleRow:
		l.Rows = page[0]
	default:
		l.Rows = page
	}
	return l
}

// rows are those of the log, newest first unless told otherwise.
func (e *dumpEntry) rows(oldest bool) []transferRow {
	var rows []transferRow
	for _, d := range e.Deliveries {
		row := transferRow{
			Task: e.ID, State: d.State, Destination: "OBS", Start: d.Start.UnixMilli(),
			Stream: cmp.Or(e.StreamID, e.stream()), Project: e.project(), File: e.file(d),
		}
		if e.ended(d) {
			row.End = new(d.End.UnixMilli())
			row.Bytes = promised(d.Bytes, int64(len(d.File.Body)))
			row.Records = promised(d.Records, int64(d.File.Rows))
		}
		rows = append(rows, row)
	}
	slices.SortStableFunc(rows, func(a, b transferRow) int {
		if oldest {
			a, b = b, a
		}
		return cmp.Compare(b.Start, a.Start)
	})
	return rows
}

// A taskSummary is a dump task in a list of them.
type taskSummary struct {
	ID          string `json:"task_id,omitempty"`
	Name        string `json:"task_name"`
	State       string `json:"state"`
	Destination string `json:"destination_type"`
}

func (e *dumpEntry) summary() taskSummary {
	s := taskSummary{ID: e.ID, Name: e.name(), State: "RUNNING", Destination: "OBS"}
	if e.NoTaskID {
		s.ID = ""
	}
	return s
}

func (c *Cloud) transferTasks(q disCall) (any, *refusal) {
	found, bad := c.dumpsOf(q.path[1], q.path[3])
	if bad != nil {
		return nil, bad
	}
	answer := struct {
		Total int           `json:"total_number"`
		Quota int           `json:"quota"`
		Tasks []taskSummary `json:"tasks"`
	}{Total: len(found), Quota: 5}
	for _, e := range found {
		answer.Tasks = append(answer.Tasks, e.summary())
	}
	return answer, nil
}

func (c *Cloud) transferTask(q disCall) (any, *refusal) {
	found, bad := c.dumpsOf(q.path[1], q.path[3])
	if bad != nil {
		return nil, bad
	}
	for _, e := range found {
		if e.name() == q.path[5] {
			return e.description(), nil
		}
	}
	return nil, noSuchDump(q.path[5])
}

func (e *dumpEntry) description() any {
	prefix := "file_prefix"
	if e.BrokenKeys {
		prefix += `"`
	}
	return struct {
		taskSummary
		StreamID    string         `json:"stream_id"`
		Stream      string         `json:"stream_name"`
		Destination map[string]any `json:"obs_destination_description"`
	}{e.summary(), cmp.Or(e.StreamID, e.stream()), e.stream(), map[string]any{
		"agency_name": "dis_admin_agency", "obs_bucket_path": e.Bucket, prefix: e.Prefix, "partition_format": e.Partition,
		"destination_file_type": cmp.Or(e.FileType, "text"), "record_delimiter": cmp.Or(e.Delimiter, "\n"),
		"compression_format": cmp.Or(e.Compression, "none"), "deliver_time_interval": 300, "consumer_strategy": "LATEST",
	}}
}
