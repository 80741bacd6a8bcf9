package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A taskAnswer is an answer about tasks, as a client reads it.
type taskAnswer struct {
	RequestID, HostID, Code, Message string
	Success                          any
	ErrCode, ErrMessage              string
	Data                             *struct {
		PageNumber, PageSize, TotalPages, TotalElements *int
		Number, Size, Total                             *int
		Extra                                           string
		Content                                         json.RawMessage
		PublicURL                                       string `json:"PublicUrl"`
		PrivateURL                                      string `json:"PrivateUrl"`
		ExpirationTime                                  int64
	}
}

func (a taskAnswer) tasks(t *testing.T) []taskDescription {
	t.Helper()
	var content struct{ List []taskDescription }
	if err := json.Unmarshal(a.Data.Content, &content); err != nil {
		t.Fatal(err)
	}
	return content.List
}

// withTask returns a cloud that has the task dt-1 of the instance rm-1, as
// changed.
func withTask(t *testing.T, task Task) (*Cloud, string) {
	t.Helper()
	c, base := startCloud(t)
	task.ID = "dt-1"
	c.AddTask("rm-1", task)
	return c, base
}

// describeTasks asks for the tasks of rm-1.
func describeTasks(t *testing.T, base string, v any, parameters ...string) *http.Response {
	t.Helper()
	return callRPC(t, base, v, append([]string{"Action", "DescribeDownloadTask", "Version", dbsVersion, "OrderId", "", "DownloadKeyId", "",
		"RegionCode", "cn-hangzhou", "InstanceName", "rm-1"}, parameters...)...)
}

// storageInfoOf asks for the URL of dt-1.
func storageInfoOf(t *testing.T, base string, v any, parameters ...string) *http.Response {
	t.Helper()
	return callRPC(t, base, v, append([]string{"Action", "DescribeDownloadBackupSetStorageInfo", "Version", dbsVersion, "OrderId", "", "DownloadKeyId", "",
		"RegionCode", "cn-hangzhou", "TaskId", "dt-1", "Duration", "7200"}, parameters...)...)
}

func TestTaskAnswersOneStatusACallAndRepeatsTheLast(t *testing.T) {
	c, base := withTask(t, Task{Statuses: []string{TaskInitializing, TaskQueueing, "archiving", TaskRunning, TaskFinished}, Path: "p"})
	var statuses []string
	for range 6 {
		var a taskAnswer
		describeTasks(t, base, &a)
		task := a.tasks(t)[0]
		statuses = append(statuses, task.DownloadStatus+" "+task.Progress)
		if task.TaskID != "dt-1" || task.RegionCode != "cn-hangzhou" || task.Format != "csv" || task.TargetType != "URL" || task.TargetPath != "p" || task.GmtCreate != "1767323045000" {
			t.Errorf("got %+v", task)
		}
	}
	want := []string{"Initializing 0/0", "queueing 0/0", "archiving 0/0", "running 0/0", "finished 1/1", "finished 1/1"}
	wantEqual(t, "statuses with their progress", statuses, want)
	if n := c.Counts(); n.Calls["DescribeDownloadTask"] != 6 || n.Tasks["rm-1/dt-1"].StatusCalls != 6 {
		t.Errorf("got %+v", n)
	}
}

func TestTasksFileIsGivenByASecondCallAndHasFaults(t *testing.T) {
	c, base := withTask(t, Task{Statuses: []string{TaskRunning, TaskFinished}, File: File{Name: "test_456", Body: []byte("123456789"), Faults: Faults{Busy: 1}}})
	var a taskAnswer
	describeTasks(t, base, nil)
	if storageInfoOf(t, base, &a); a.Success != "false" || a.ErrCode != "DBS.ParamIsInValid" || a.Data != nil {
		t.Errorf("while it runs: %+v", a)
	}
	describeTasks(t, base, nil)
	if storageInfoOf(t, base, &a); a.Success != "true" || a.Data.ExpirationTime != now().Add(2*time.Hour).Unix() || a.Data.PrivateURL != a.Data.PublicURL {
		t.Fatalf("got %+v", a.Data)
	}
	signed := a.Data.PublicURL
	if !strings.HasPrefix(signed, base+"/dbs-downloads/rm-1/dt-1/dbs_target_file_path/test_456?") || !strings.Contains(signed, fmt.Sprint("Expires=", a.Data.ExpirationTime)) {
		t.Errorf("got URL %s", signed)
	}
	if g := fetch(t, "GET", signed); g.status != 503 {
		t.Errorf("got %d", g.status)
	}
	if g := fetch(t, "GET", signed); g.status != 200 || g.body != "123456789" {
		t.Errorf("got %d %s", g.status, g.body)
	}
	if g := askOSS(t, "GET", base, "/dbs-downloads/rm-1/dt-1/dbs_target_file_path/test_456"); g.status != 403 {
		t.Errorf("by key: %d", g.status)
	}
	if n := c.Counts().Tasks["rm-1/dt-1"]; n.StatusCalls != 2 || n.Requests != 2 || n.Bytes != 9 {
		t.Errorf("got %+v", n)
	}
	c.RemoveTask("rm-1", "dt-1")
	if code, _ := ossError(t, fetch(t, "GET", signed)); code != "NoSuchKey" {
		t.Errorf("got %q, want %q", code, "NoSuchKey")
	}
}

func TestTaskURLLivesAsLongAsTheCallAsks(t *testing.T) {
	clock := now()
	o := options()
	o.Now = func() time.Time { return clock }
	c := New(o)
	c.AddTask("rm-1", Task{ID: "dt-1", Milliseconds: true, File: File{Rows: 1}})
	base := start(t, c)
	var a taskAnswer
	storageInfoOf(t, base, &a, "Duration", "300", "Timestamp", clock.Format(rpcTime))
	if a.Data.ExpirationTime != clock.Add(5*time.Minute).UnixMilli() {
		t.Errorf("got %+v", a.Data)
	}
	clock = clock.Add(301 * time.Second)
	if _, message := ossError(t, fetch(t, "GET", a.Data.PublicURL)); message != "Request has expired." {
		t.Errorf("got %q, want %q", message, "Request has expired.")
	}
}

func TestTaskWritesToItsBucketOnceItIsFinished(t *testing.T) {
	c, base := withTask(t, Task{Bucket: "own", Path: "/p/", Statuses: []string{TaskRunning, TaskFinished},
		Files: []File{{Rows: 2}, {Rows: 3, Codec: "zstd"}, {Name: "a/structure.sql", Body: []byte("CREATE")}}})
	describeTasks(t, base, nil)
	if keys := c.Keys("own"); len(keys) != 0 {
		t.Errorf("while it runs: %q", keys)
	}
	var a taskAnswer
	describeTasks(t, base, &a)
	if task := a.tasks(t)[0]; task.TargetType != "OSS" || task.TargetPath != "/p/" {
		t.Errorf("got %+v", task)
	}
	wantEqual(t, "keys once it is finished", c.Keys("own"), []string{"p/dt-1/a/structure.sql", "p/dt-1/dt-1-1.csv", "p/dt-1/dt-1-2.csv.zst"})
	if storageInfoOf(t, base, &a); a.ErrCode != "DBS.ParamIsInValid" {
		t.Errorf("got %+v", a)
	}
	c.RemoveObject("own", "p/dt-1/dt-1-1.csv")
	describeTasks(t, base, nil)
	if len(c.Keys("own")) != 2 {
		t.Error("the task wrote a removed file again")
	}
}

func TestInstanceHasTheVendorsQuirksUnlessSetOtherwise(t *testing.T) {
	for name, row := range map[string]struct {
		instance Instance
		code     string
		success  any
		content  string // how it begins
		totals   string // tasks, pages, the old one of tasks
	}{
		"vendor's":     {Instance{}, "DBS.InternalError", "true", `{"List":[{"TaskId"`, "1 1 -"},
		"plain":        {Instance{NoUnknownError: true, BoolSuccess: true, ListContent: true}, "", true, `[{"TaskId"`, "1 1 -"},
		"old totals":   {Instance{OldTotals: true}, "DBS.InternalError", "true", `{"List":[{"TaskId"`, "- - 1"},
		"wrong totals": {Instance{TotalPages: new(int64(2)), TotalTasks: new(int64(7))}, "DBS.InternalError", "true", `{"List"`, "7 2 -"},
		"no totals":    {Instance{TotalPages: new(int64(-1)), TotalTasks: new(int64(-1))}, "DBS.InternalError", "true", `{"List"`, "- - -"},
	} {
		c, base := withTask(t, Task{})
		row.instance.Extra = "dbtest"
		c.AddInstance("rm-1", row.instance)
		var a taskAnswer
		describeTasks(t, base, &a)
		totals := shown(a.Data.TotalElements) + " " + shown(a.Data.TotalPages) + " " + shown(a.Data.Total)
		if a.Success != row.success || a.ErrCode != row.code || a.Code != row.code || a.RequestID == "" || a.Data.Extra != "dbtest" || totals != row.totals {
			t.Errorf("%s: %+v, totals %s", name, a, totals)
		}
		if !strings.HasPrefix(string(a.Data.Content), row.content) {
			t.Errorf("%s: %s", name, a.Data.Content)
		}
	}
}

func shown(n *int) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(*n)
}

func TestTasksArePagedNewestFirst(t *testing.T) {
	c, base := startCloud(t)
	for i := range 23 {
		c.AddTask("rm-1", Task{ID: fmt.Sprintf("dt-%02d", i), CreateTime: now().Add(time.Duration(i/2) * time.Second)})
	}
	for _, row := range []struct {
		parameters []string
		instance   Instance
		first      string
		n, pages   int
	}{
		{nil, Instance{}, "dt-22", 10, 3},
		{[]string{"PageSize", "50"}, Instance{}, "dt-22", 23, 1},
		{[]string{"PageSize", "500"}, Instance{}, "dt-22", 23, 1},
		{[]string{"PageSize", "5", "CurrentPage", "5"}, Instance{}, "dt-02", 3, 5},
		{[]string{"PageSize", "5", "CurrentPage", "6"}, Instance{}, "", 0, 5},
		{[]string{"PageSize", "50", "CurrentPage", "2"}, Instance{PageSize: 20}, "dt-02", 3, 2},
		{[]string{"OrderDirect", "asc"}, Instance{}, "dt-00", 10, 3},
		{[]string{"OrderDirect", "desc"}, Instance{Ascending: true}, "dt-00", 10, 3},
	} {
		c.AddInstance("rm-1", row.instance)
		var a taskAnswer
		describeTasks(t, base, &a, row.parameters...)
		tasks := a.tasks(t)
		if len(tasks) != row.n || *a.Data.TotalPages != row.pages || *a.Data.TotalElements != 23 || row.n > 0 && tasks[0].TaskID != row.first {
			t.Errorf("%v: %+v", row.parameters, tasks)
		}
	}
}

func TestRefusedAndFailedCallsOfTasksUseUpNoStatus(t *testing.T) {
	instance := Instance{Unavailable: 1, Throttles: 2, Failure: Failure{"DBS.InternalError", "try again", 1}}
	c, base := withTask(t, Task{Statuses: []string{TaskRunning, TaskFinished}, Unavailable: 1, Throttles: 1, Failure: Failure{"DBS.InternalError", "try again", 1}})
	c.AddInstance("rm-1", instance)
	outcome := func(r *http.Response, a taskAnswer) string { return fmt.Sprint(r.StatusCode, a.Code) }
	var got []string
	for range 6 {
		var a taskAnswer
		got = append(got, outcome(describeTasks(t, base, &a), a))
	}
	for range 4 {
		var a taskAnswer
		got = append(got, outcome(storageInfoOf(t, base, &a), a))
	}
	want := []string{"503ServiceUnavailable", "400Throttling.User", "400Throttling.User", "200DBS.InternalError", "200DBS.InternalError", "200DBS.InternalError",
		"503ServiceUnavailable", "400Throttling.User", "200DBS.InternalError", "200DBS.InternalError"}
	wantEqual(t, "answers", got, want)
	if n := c.Counts(); n.Tasks["rm-1/dt-1"].StatusCalls != 2 || n.Refused["DBS.InternalError"] != 2 || n.Refused["Throttling.User"] != 3 {
		t.Errorf("got %+v", n)
	}
	instance.Throttles = 1
	c.AddInstance("rm-1", instance)
	if r := describeTasks(t, base, nil); r.StatusCode != 400 || r.Header.Get("x-ratelimit-user-api") == "" {
		t.Errorf("after a change: %d", r.StatusCode)
	}
	if !c.UpdateTask("rm-1", "dt-1", func(task *Task) { task.ID, task.Statuses = "dt-2", []string{TaskExpired} }) || c.UpdateTask("rm-1", "dt-2", nil) {
		t.Error("the update of the task failed, or changed its ID")
	}
	var a taskAnswer
	describeTasks(t, base, &a)
	if tasks := a.tasks(t); tasks[0].DownloadStatus != TaskExpired || tasks[0].TaskID != "dt-1" {
		t.Errorf("got %+v", tasks)
	}
}

func TestTaskCallsInErrorGetTheVendorsErrors(t *testing.T) {
	c, base := withTask(t, Task{PrivateURL: Absent, PublicURL: "https://elsewhere/x"})
	c.AddInstance("rm-1", Instance{Region: "cn-hangzhou", NoUnknownError: true})
	for _, row := range []struct {
		ask        func(*testing.T, string, any, ...string) *http.Response
		parameters []string
		status     int
		code       string
	}{
		{describeTasks, nil, 200, ""},
		{describeTasks, []string{"RegionCode", ""}, 400, "MissingRegionCode"},
		{describeTasks, []string{"RegionCode", "cn-beijing"}, 200, "DBS.ParamIsInValid"},
		{describeTasks, []string{"InstanceName", ""}, 200, "DBS.InternalError"},
		{describeTasks, []string{"InstanceName", "rm-2"}, 200, "DBS.ParamIsInValid"},
		{describeTasks, []string{"PageSize", "0"}, 200, "DBS.ParamIsInValid"},
		{describeTasks, []string{"CurrentPage", "x"}, 200, "DBS.ParamIsInValid"},
		{describeTasks, []string{"Version", dmsVersion}, 400, "InvalidVersion"},
		{describeTasks, []string{"AccessKeyId", "other", "InstanceName", "rm-2"}, 404, "InvalidAccessKeyId.NotFound"},
		{storageInfoOf, nil, 200, ""},
		{storageInfoOf, []string{"RegionCode", ""}, 400, "MissingRegionCode"},
		{storageInfoOf, []string{"RegionCode", "cn-beijing"}, 200, "DBS.ParamIsInValid"},
		{storageInfoOf, []string{"TaskId", "dt-2"}, 200, "DBS.ParamIsInValid"},
		{storageInfoOf, []string{"TaskId", ""}, 200, "DBS.ParamIsInValid"},
		{storageInfoOf, []string{"Duration", ""}, 400, "MissingDuration"},
		{storageInfoOf, []string{"Duration", "299"}, 200, "DBS.ParamIsInValid"},
		{storageInfoOf, []string{"Duration", "86401"}, 200, "DBS.ParamIsInValid"},
		{storageInfoOf, []string{"Version", dmsVersion}, 400, "InvalidVersion"},
	} {
		var a taskAnswer
		if r := row.ask(t, base, &a, row.parameters...); r.StatusCode != row.status || a.Code != row.code {
			t.Errorf("%v: %d %+v", row.parameters, r.StatusCode, a)
		}
	}
	var a taskAnswer
	if storageInfoOf(t, base, &a); a.Data.PublicURL != "https://elsewhere/x" || a.Data.PrivateURL != "" {
		t.Errorf("got %+v", a.Data)
	}
}

func TestV1AnswersTasksInXMLUnlessJSONIsAskedFor(t *testing.T) {
	_, base := withTask(t, Task{File: File{Rows: 2}})
	for _, row := range []struct {
		ask  func(*testing.T, string, any, ...string) *http.Response
		want []string
	}{
		{describeTasks, []string{"<DescribeDownloadTaskResponse><RequestId>", "<Success>true</Success>", "<Data><PageNumber>1<", "<Content><List><TaskId>dt-1<"}},
		{storageInfoOf, []string{"<DescribeDownloadBackupSetStorageInfoResponse>", "<Data><PublicUrl>http://", "<ExpirationTime>"}},
	} {
		var text raw
		row.ask(t, base, &text, "Format", "XML")
		for _, want := range row.want {
			if !strings.Contains(string(text), want) {
				t.Errorf("no %s in %s", want, text)
			}
		}
	}
}
