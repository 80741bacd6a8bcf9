package sandbox

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"tallyman/fetch/sandbox/internal/apierr"
	"tallyman/fetch/sandbox/internal/sign"
)

// A disCall is one call of DIS.
type disCall struct {
	path []string // its elements, unescaped
	body []byte
}

// disOperations are known by their method and the shape of their path, in
// which a star stands for any element. Each has the cloud's lock.
var disOperations = []struct {
	shape  string
	name   string
	answer func(*Cloud, disCall) (any, *apierr.Error)
}{
	{"POST v1 transfertasklog *", "ShowTransferTaskLog", (*Cloud).transferLog},
	{"GET v2 * streams * transfer-tasks", "ListTransferTasks", (*Cloud).transferTasks},
	{"GET v2 * streams * transfer-tasks *", "ShowTransferTask", (*Cloud).transferTask},
}

// isDIS reports whether a request is one of DIS: by its path, or by how it is
// signed.
func isDIS(r *http.Request) bool {
	path := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	return sign.IsDIS(r) ||
		len(path) == 3 && path[0] == "v1" && path[1] == "transfertasklog" ||
		len(path) >= 5 && path[0] == "v2" && path[2] == "streams" && path[4] == "transfer-tasks"
}

// serveDIS writes an error as the service does, or as the gateway before it,
// which has names of its own for the fields.
func (c *Cloud) serveDIS(w http.ResponseWriter, r *http.Request) {
	id := strings.ToLower(rand.Text())
	w.Header().Set("X-Request-Id", id)
	answer, bad := c.answerDIS(w, r)
	switch {
	case bad == nil:
		w.Header().Set("Content-Type", "application/json")
	case strings.HasPrefix(bad.Code, "APIGW."):
		c.writeErrorHeader(w, bad, "application/json")
		answer = struct {
			Message string `json:"error_msg"`
			Code    string `json:"error_code"`
			ID      string `json:"request_id"`
		}{bad.Message, bad.Code, id}
	default:
		c.writeErrorHeader(w, bad, "application/json")
		answer = struct {
			Code    string `json:"errorCode"`
			Message string `json:"message"`
		}{bad.Code, bad.Message}
	}
	writeJSON(w, answer)
}

// answerDIS checks the caller before it looks at what is asked for.
func (c *Cloud) answerDIS(w http.ResponseWriter, r *http.Request) (any, *apierr.Error) {
	var q disCall
	for element := range strings.SplitSeq(strings.Trim(r.URL.EscapedPath(), "/"), "/") {
		unescaped, err := url.PathUnescape(element)
		if err != nil {
			unescaped = element
		}
		q.path = append(q.path, unescaped)
	}
	name, given := unknownOperation, append([]string{r.Method}, q.path...)
	var answer func(*Cloud, disCall) (any, *apierr.Error)
	for _, o := range disOperations {
		if slices.EqualFunc(strings.Fields(o.shape), given, func(shape, element string) bool { return shape == "*" || shape == element }) {
			name, answer = o.name, o.answer
		}
	}
	c.count(func(n *Counts) { n.Calls[name]++ })
	var err error
	if q.body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody)); err != nil {
		return nil, apierr.New(http.StatusRequestEntityTooLarge, "APIGW.0201", "The request is too large.")
	}
	if bad := c.account.CheckDIS(r, q.body, c.options.Now()); bad != nil {
		return nil, bad
	}
	if answer == nil {
		return nil, apierr.New(http.StatusNotFound, "APIGW.0101", "The API does not exist or has not been published in the environment")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return answer(c, q)
}

// A logRequest is the body of ShowTransferTaskLog.
type logRequest struct {
	Order    string          `json:"order"`
	SortBy   string          `json:"sortBy"`
	PageInfo json.RawMessage `json:"pageInfo"`
}

const logPageSize = 10 // rows in a page without a size

// page reads which rows are wanted: pageInfo is an object, as on the vendor's
// page, or a list, as in its sample, where the second index is the size.
func (r logRequest) page() (index, size int, bad *apierr.Error) {
	type info struct {
		Index *int `json:"pageIndex"`
		Size  *int `json:"pageTotal"`
	}
	index, size = 1, logPageSize
	if len(r.PageInfo) == 0 || string(r.PageInfo) == "null" {
		return index, size, nil
	}
	var one info
	var list []info
	if json.Unmarshal(r.PageInfo, &list) == nil && len(list) > 0 {
		one = list[0]
		if len(list) > 1 {
			one.Size = list[1].Index
		}
	} else if err := json.Unmarshal(r.PageInfo, &one); err != nil || one.Index == nil {
		return 0, 0, apierr.New(http.StatusBadRequest, "DIS.4200", "Invalid request: pageInfo")
	}
	if one.Index != nil {
		index = *one.Index
	}
	if one.Size != nil {
		size = *one.Size
	}
	if index < 1 || size < 1 {
		return 0, 0, apierr.New(http.StatusBadRequest, "DIS.4200", "Invalid request: %s", fmt.Sprint(index, size))
	}
	return index, size, nil
}

// A transferLog is the answer of ShowTransferTaskLog.
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

func (c *Cloud) transferLog(q disCall) (any, *apierr.Error) {
	s := c.dumpTasks[q.path[2]]
	var r logRequest
	if err := json.Unmarshal(q.body, &r); err != nil && len(q.body) > 0 {
		return nil, apierr.New(http.StatusBadRequest, "DIS.4200", "Invalid request: %v", err)
	}
	index, size, bad := r.page()
	switch {
	case bad != nil:
		return nil, bad
	case s == nil:
		return nil, noSuchDumpTask(q.path[2])
	case occurs(s.Unavailable, &s.unavailable):
		return nil, apierr.New(http.StatusInternalServerError, "DIS.5000", "System error")
	case occurs(s.Throttles, &s.throttled):
		return nil, apierr.New(http.StatusBadRequest, "DIS.4303", "Exceeded traffic control limit")
	}
	s.logCalls++
	c.deliver(s)
	rows := s.logRows(r.Order == "asc")
	l := transferLog{ErrorCode: cmp.Or(s.ErrorCode, any(-1)), TotalNum: len(rows)}
	from := min((index-1)*size, len(rows))
	if page := rows[from:min(from+size, len(rows))]; len(page) == 1 && s.SingleRow {
		l.Rows = page[0]
	} else if len(page) > 0 {
		l.Rows = page
	}
	return l, nil
}

// logRows are all rows of the log.
func (s *dumpTaskState) logRows(oldestFirst bool) []transferRow {
	var rows []transferRow
	for _, d := range s.Deliveries {
		row := transferRow{
			Task: s.ID, State: d.State, Destination: "OBS", Start: d.Start.UnixMilli(),
			Stream: cmp.Or(s.StreamID, s.Stream), Project: s.Project, File: s.fileName(d),
		}
		if !d.End.IsZero() && s.logCalls > d.RunningCalls {
			row.End = new(d.End.UnixMilli())
			row.Bytes = promised(d.Bytes, int64(len(d.File.Body)))
			row.Records = promised(d.Records, int64(d.File.Rows))
		}
		rows = append(rows, row)
	}
	slices.SortStableFunc(rows, func(a, b transferRow) int {
		if oldestFirst {
			a, b = b, a
		}
		return cmp.Compare(b.Start, a.Start)
	})
	return rows
}

// A dumpTaskSummary is a dump task in the answer of ListTransferTasks.
type dumpTaskSummary struct {
	ID          string `json:"task_id,omitempty"`
	Name        string `json:"task_name"`
	State       string `json:"state"`
	Destination string `json:"destination_type"`
}

func (s *dumpTaskState) summary() dumpTaskSummary {
	summary := dumpTaskSummary{ID: s.ID, Name: s.Name, State: "RUNNING", Destination: "OBS"}
	if s.NoTaskID {
		summary.ID = ""
	}
	return summary
}

func (c *Cloud) transferTasks(q disCall) (any, *apierr.Error) {
	found, bad := c.dumpTasksOf(q.path[1], q.path[3])
	if bad != nil {
		return nil, bad
	}
	answer := struct {
		Total int               `json:"total_number"`
		Quota int               `json:"quota"`
		Tasks []dumpTaskSummary `json:"tasks"`
	}{Total: len(found), Quota: 5}
	for _, s := range found {
		answer.Tasks = append(answer.Tasks, s.summary())
	}
	return answer, nil
}

func (c *Cloud) transferTask(q disCall) (any, *apierr.Error) {
	found, bad := c.dumpTasksOf(q.path[1], q.path[3])
	if bad != nil {
		return nil, bad
	}
	i := slices.IndexFunc(found, func(s *dumpTaskState) bool { return s.Name == q.path[5] })
	if i < 0 {
		return nil, noSuchDumpTask(q.path[5])
	}
	s, prefix := found[i], "file_prefix"
	if s.BrokenKeys {
		prefix += `"`
	}
	return struct {
		dumpTaskSummary
		StreamID    string         `json:"stream_id"`
		Stream      string         `json:"stream_name"`
		Destination map[string]any `json:"obs_destination_description"`
	}{s.summary(), cmp.Or(s.StreamID, s.Stream), s.Stream, map[string]any{
		"agency_name": "dis_admin_agency", "obs_bucket_path": s.Bucket, prefix: s.Prefix, "partition_format": s.Partition,
		"destination_file_type": cmp.Or(s.FileType, "text"), "record_delimiter": cmp.Or(s.Delimiter, "\n"),
		"compression_format": cmp.Or(s.Compression, "none"), "deliver_time_interval": 300, "consumer_strategy": "LATEST",
	}}, nil
}

// dumpTasksOf are the dump tasks of a stream, in the order of their IDs.
func (c *Cloud) dumpTasksOf(project, stream string) ([]*dumpTaskState, *apierr.Error) {
	var found []*dumpTaskState
	for _, id := range slices.Sorted(maps.Keys(c.dumpTasks)) {
		if s := c.dumpTasks[id]; s.Project == project && s.Stream == stream {
			found = append(found, s)
		}
	}
	if found == nil {
		return nil, apierr.New(http.StatusBadRequest, "DIS.4301", "The stream %s does not exist", stream)
	}
	return found, nil
}

func noSuchDumpTask(id string) *apierr.Error {
	return apierr.New(http.StatusBadRequest, "DIS.4354", "The transfer task %s does not exist", id)
}
