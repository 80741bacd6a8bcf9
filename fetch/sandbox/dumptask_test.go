package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

const (
	dumpID  = "CDaRPdvKUfZrAhzTaYs"
	logPath = "/v1/transfertasklog/" + dumpID
)

// deliveries are n, an hour apart, of one row each.
func deliveries(n int) (all []Delivery) {
	for i := range n {
		start := time.Date(2026, 1, 1, i, 0, 0, 0, time.UTC)
		all = append(all, Delivery{Start: start, End: start.Add(5 * time.Minute), File: File{Rows: 1, Seed: uint64(i)}})
	}
	return all
}

// dumping returns a cloud that has a dump task, and its base URL.
func withDumpTask(t *testing.T, task DumpTask) (*Cloud, string) {
	t.Helper()
	o := options()
	o.AuthToken = "token"
	c := New(o)
	task.ID, task.Bucket = dumpID, "landing"
	c.AddDumpTask(task)
	return c, start(t, c)
}

// askDIS makes a call with the token and decodes the answer into v.
func askDIS(t *testing.T, method, address, body string, v any) *http.Response {
	t.Helper()
	return do(t, newRequest(t, method, address, body, "X-Auth-Token", "token"), v)
}

// logAnswer is an answer of the log, as a client reads it.
type logAnswer struct {
	ErrorCode any             `json:"errorCode"`
	Total     int             `json:"totalNum"`
	Message   *string         `json:"message"`
	Rows      json.RawMessage `json:"transferTaskLogList"`
}

func (l logAnswer) rows(t *testing.T) (rows []transferRow) {
	t.Helper()
	if err := json.Unmarshal(l.Rows, &rows); err != nil {
		t.Fatalf("%v: %s", err, l.Rows)
	}
	return rows
}

func TestLogIsPaged(t *testing.T) {
	_, base := withDumpTask(t, DumpTask{Deliveries: deliveries(23)})
	for _, row := range []struct {
		body        string
		first, rows int // hours
	}{
		{``, 22, 10},
		{`{}`, 22, 10},
		{`{"pageInfo":null}`, 22, 10},
		{`{"pageInfo":{"pageIndex":1,"pageTotal":7}}`, 22, 7},
		{`{"pageInfo":{"pageIndex":4,"pageTotal":7}}`, 1, 2},
		{`{"pageInfo":{"pageIndex":2}}`, 12, 10},
		{`{"pageInfo":[{"pageIndex":1},{"pageIndex":10}]}`, 22, 10},
		{`{"order":"asc","pageInfo":{"pageIndex":1,"pageTotal":100}}`, 0, 23},
	} {
		var l logAnswer
		askDIS(t, "POST", base+logPath, row.body, &l)
		rows := l.rows(t)
		if len(rows) != row.rows || time.UnixMilli(rows[0].Start).UTC().Hour() != row.first || l.Total != 23 || l.ErrorCode != -1.0 || l.Message != nil {
			t.Errorf("%s: got %+v of %+v", row.body, rows, l)
		}
	}
	var l logAnswer
	if askDIS(t, "POST", base+logPath, `{"pageInfo":{"pageIndex":9,"pageTotal":7}}`, &l); string(l.Rows) != "null" {
		t.Errorf("behind the end: got %s", l.Rows)
	}
	var bad struct{ ErrorCode, Message string }
	for _, body := range []string{`{`, `{"pageInfo":{"pageIndex":0}}`, `{"pageInfo":{}}`, `{"pageInfo":7}`} {
		if r := askDIS(t, "POST", base+logPath, body, &bad); r.StatusCode != 400 || bad.ErrorCode != "DIS.4200" {
			t.Errorf("%s: got %d %+v", body, r.StatusCode, bad)
		}
	}
}

func TestDeliveryIsInTheBucketOnceItsRowHasAnEnd(t *testing.T) {
	d := deliveries(3)
	d[1].RunningCalls, d[2].State = 1, 2
	c, base := withDumpTask(t, DumpTask{Prefix: "logs/", Partition: "yyyy/MM/dd/HH", Deliveries: d})
	ends := func() (ends []bool) {
		var l logAnswer
		askDIS(t, "POST", base+logPath, `{"order":"asc"}`, &l)
		for _, row := range l.rows(t) {
			ends = append(ends, row.End != nil)
		}
		return ends
	}
	key := func(i int) string {
		return fmt.Sprintf("logs/2026/01/01/%02d/%s.access-log.0.%d", 8+i, dumpID, d[i].Start.UnixMilli()+10)
	}
	wantEqual(t, "keys before a call", c.Keys("landing"), []string{key(0)})
	wantEqual(t, "rows with an end at the first call", ends(), []bool{true, false, true})
	wantEqual(t, "keys after the first call", c.Keys("landing"), []string{key(0)})
	wantEqual(t, "rows with an end at the second call", ends(), []bool{true, true, true})
	wantEqual(t, "keys after the second call", c.Keys("landing"), []string{key(0), key(1)})
	if n := c.Counts().Calls["ShowTransferTaskLog"]; n != 2 {
		t.Errorf("%d calls", n)
	}
}

func TestLogHasTheOverridesOfItsTask(t *testing.T) {
	d := deliveries(1)
	d[0].Bytes, d[0].Records = new(int64(7)), new(int64(-1))
	_, base := withDumpTask(t, DumpTask{SingleRow: true, ErrorCode: "0", StreamID: "id", Deliveries: d})
	var l logAnswer
	askDIS(t, "POST", base+logPath, "", &l)
	var row transferRow
	if err := json.Unmarshal(l.Rows, &row); err != nil || *row.Bytes != 7 || row.Records != nil || row.Stream != "id" || row.Project != "project-1" || l.ErrorCode != "0" {
		t.Errorf("got %s, %v", l.Rows, err)
	}
}

func TestDumpTasksAreListedByStream(t *testing.T) {
	c, base := withDumpTask(t, DumpTask{Name: "a b", Prefix: "logs", Delimiter: ",", Partition: "yyyy"})
	tasks := base + "/v2/project-1/streams/access-log/transfer-tasks"
	for _, row := range []struct{ path, want string }{
		{tasks, `{"total_number":1,"quota":5,"tasks":[{"task_id":"CDaRPdvKUfZrAhzTaYs","task_name":"a b","state":"RUNNING","destination_type":"OBS"}]}`},
		{tasks + "/a%20b", `"obs_bucket_path":"landing"`},
		{tasks + "/a%20b", `"file_prefix":"logs"`},
		{tasks + "/a%20b", `"record_delimiter":","`},
		{tasks + "/other", `{"errorCode":"DIS.4354","message":"The transfer task other does not exist"}`},
		{base + "/v2/project-1/streams/other/transfer-tasks", `"DIS.4301"`},
		{base + "/v2/other/streams/access-log/transfer-tasks", `"DIS.4301"`},
		{tasks + "/a/b", `"error_code":"APIGW.0101"`},
	} {
		var text raw
		if askDIS(t, "GET", row.path, "", &text); !strings.Contains(string(text), row.want) {
			t.Errorf("%s: no %s in %s", row.path, row.want, text)
		}
	}
	c.UpdateDumpTask(dumpID, func(task *DumpTask) { task.NoTaskID, task.BrokenKeys = true, true })
	var text raw
	if askDIS(t, "GET", tasks+"/a%20b", "", &text); strings.Contains(string(text), "task_id") || !strings.Contains(string(text), `"file_prefix\"":"logs"`) {
		t.Errorf("got %s", text)
	}
}

func TestRefusedLogCallsUseUpNoState(t *testing.T) {
	d := deliveries(1)
	d[0].RunningCalls = 1
	c, base := withDumpTask(t, DumpTask{Unavailable: 1, Throttles: 1, Deliveries: d})
	for _, want := range []string{"500 DIS.5000", "400 DIS.4303", "200 -1", "200 -1"} {
		var l logAnswer
		r := askDIS(t, "POST", base+logPath, "", &l)
		if got := fmt.Sprint(r.StatusCode, " ", l.ErrorCode); got != want || r.Header.Get("X-Request-Id") == "" {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if !c.UpdateDumpTask(dumpID, func(task *DumpTask) { task.Throttles = 2 }) || c.UpdateDumpTask("other", nil) {
		t.Error("the update of the task failed, or changed its ID")
	}
	if r := askDIS(t, "POST", base+logPath, "", nil); r.StatusCode != 400 {
		t.Errorf("after the change: %d", r.StatusCode)
	}
	c.RemoveDumpTask(dumpID)
	var bad struct{ ErrorCode string }
	if askDIS(t, "POST", base+logPath, "", &bad); bad.ErrorCode != "DIS.4354" {
		t.Errorf("got %+v", bad)
	}
	if n := c.Counts().Refused; n["DIS.5000"] != 1 || n["DIS.4303"] != 2 || n["DIS.4354"] != 1 {
		t.Errorf("got %v", n)
	}
}

func TestDeliveredFileHasTheTasksDelimiterAndCompression(t *testing.T) {
	d := []Delivery{{File: File{Rows: 3}}}
	rows := string(Generate(3, "json", 0))
	for _, row := range []struct {
		task DumpTask
		want string
	}{
		{DumpTask{}, rows},
		{DumpTask{Delimiter: "|"}, strings.ReplaceAll(rows, "\n", "|")},
		{DumpTask{Compression: "gzip"}, string(Compress("gzip", []byte(rows)))},
	} {
		if got := string(row.task.content(d[0].File)); got != row.want {
			t.Errorf("got %q", got)
		}
	}
	if got := string(DumpTask{}.content(File{Rows: 9, Body: []byte("PAR1")})); got != "PAR1" {
		t.Errorf("got %q", got)
	}
}
