package sandbox

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	dumpID  = "CDaRPdvKUfZrAhzTaYs"
	logPath = "/v1/transfertasklog/" + dumpID
	logBody = `{"order":"desc","sortBy":"createTimeStr"}`
)

// sdkVectors are the vendor's, but for those of this operation, which agree
// with its SDKs.
var sdkVectors = map[string]struct {
	method, url, body, id, secret, token, at string
	headers                                  []string
	signed                                   string
}{
	"published plain, GET": {"GET", "http://h/path?limit=1", "", "AccessKey", "SecretKey", "", "20060102T150405Z", nil,
		"Access=AccessKey, SignedHeaders=x-sdk-date, Signature=5a2ce64c865e0e6046321c6f3d5a77ba8413eeaf355c3166c03d58d02ac79624"},
	"published plain, POST": {"POST", "http://h/path?key=value", "{\"Name\":\"test\",\"Id\":1}\n", "AccessKey", "SecretKey", "", "20060102T150405Z", nil,
		"Access=AccessKey, SignedHeaders=x-sdk-date, Signature=cecc2af119b18ab70b4d094c0750f3b42c02f254903179a0fc2cc72fc9db4f59"},
	"published plain, host": {"GET", "http://service.region.example.com/v1/77b6a44cba5143ab91d13ab9a8ff44fd/vpcs?marker=13551d6b-755d-4757-b956-536f674975c0&limit=2", "",
		"QTWAOYTTINDUT2QVKYUC", "MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc", "", "20191115T033655Z", []string{"Content-Type", "application/json"},
		"Access=QTWAOYTTINDUT2QVKYUC, SignedHeaders=content-type;host;x-sdk-date, Signature=7be6668032f70418fcc22abc52071e57aff61b84a1d2381bb430d6870f4f6ebe"},
	"plain": {"POST", "http://dis.cn-north-4.myhuaweicloud.com" + logPath, logBody, "AccessKey", "SecretKey", "", "20260102T030405Z",
		[]string{"Content-Type", "application/json", "X-Project-Id", "575ae927fc644f22b5c5af5209b7cf51"},
		"Access=AccessKey, SignedHeaders=content-type;host;x-project-id;x-sdk-date, Signature=6a7d55f883dab7c9e0ecde22f881c60f8324c66d18f7070d09900e0d7a948621"},
	"plain, token": {"POST", "http://dis.cn-north-4.myhuaweicloud.com" + logPath, logBody, "AccessKey", "SecretKey", "tok", "20260102T030405Z",
		[]string{"X-Project-Id", "575ae927fc644f22b5c5af5209b7cf51", "X-Security-Token", "tok"},
		"Access=AccessKey, SignedHeaders=host;x-project-id;x-sdk-date;x-security-token, Signature=c2aad9f3a55fc719175bfc894290de2c6672390b7b3d9277b061a5049ec80db1"},
	"derived": {"POST", "http://dis.cn-north-4.myhuaweicloud.com" + logPath, logBody, "AccessKey", "SecretKey", "", "20260102T030405Z",
		[]string{"Content-Type", "application/json", "X-Project-Id", "575ae927fc644f22b5c5af5209b7cf51"},
		"Credential=AccessKey/20260102/cn-north-4/dis/sdk_request, SignedHeaders=content-type;host;x-project-id;x-sdk-date, Signature=d08ae867c866f93b7786ea6d1e9a3ebf5115d9cbc453bdd43e3aa2cb1bce0c41"},
}

// sdkVector returns the call, and the cloud that is to judge it.
func sdkVector(name string) (*Cloud, disCall) {
	v := sdkVectors[name]
	r := httptest.NewRequest(v.method, v.url, nil)
	setHeaders(r, "X-Sdk-Date", v.at, "Authorization", sdkHMAC+" "+v.signed)
	setHeaders(r, v.headers...)
	at := must(time.Parse(sdkDate, v.at))
	c := New(Options{AccessKeyID: v.id, AccessKeySecret: v.secret, SecurityToken: v.token, AuthToken: "token", Now: func() time.Time { return at }})
	return c, disCall{Request: r, body: []byte(v.body)}
}

func TestSDKVectorsAreAccepted(t *testing.T) {
	for name := range sdkVectors {
		c, q := sdkVector(name)
		if bad := c.judgeDIS(q); bad != nil {
			t.Errorf("%s: %s: %s", name, bad.code, bad.message)
		}
	}
}

func TestAPathMayBeSignedWithoutASlashAtItsEnd(t *testing.T) {
	c, q := sdkVector("derived")
	sum := sha256.Sum256(q.body)
	canonical := strings.Join([]string{"POST", logPath, "", "host:" + q.Host, "x-sdk-date:20260102T030405Z", "", "host;x-sdk-date", hex.EncodeToString(sum[:])}, "\n")
	const scope = "20260102/cn-north-4/dis/sdk_request"
	signature := keyedSign("SDKSecretKey", scope, scopedText(sdkHMAC, "20260102T030405Z", scope, canonical))
	q.Header.Set("Authorization", sdkHMAC+" Credential=AccessKey/"+scope+", SignedHeaders=host;x-sdk-date, Signature="+signature)
	if bad := c.judgeDIS(q); bad != nil {
		t.Errorf("%s: %s", bad.code, bad.message)
	}
}

func TestTamperedDISCallsAreRefusedInTheVendorsWords(t *testing.T) {
	header := func(name, value string) func(*disCall) {
		return func(q *disCall) {
			q.Header.Set(name, value)
			if value == "" {
				q.Header.Del(name)
			}
		}
	}
	signed := func(old, new string) func(*disCall) {
		return func(q *disCall) {
			q.Header.Set("Authorization", strings.Replace(q.Header.Get("Authorization"), old, new, 1))
		}
	}
	for _, row := range []struct {
		of, how string
		change  func(*disCall)
		status  int
		code    string
	}{
		{"derived", "no signature", header("Authorization", ""), 441, "DIS.4101"},
		{"derived", "another body", func(q *disCall) { q.body = []byte("{}") }, 441, "DIS.4100"},
		{"derived", "another path", func(q *disCall) { q.URL.Path += "x" }, 441, "DIS.4100"},
		{"derived", "a query", func(q *disCall) { q.URL.RawQuery = "a=1" }, 441, "DIS.4100"},
		{"derived", "another project", header("X-Project-Id", "other"), 441, "DIS.4100"},
		{"derived", "another host", func(q *disCall) { q.Host = "other" }, 441, "DIS.4100"},
		{"derived", "another key", signed("AccessKey", "Other"), 441, "DIS.4107"},
		{"derived", "another signature", signed("Signature=d", "Signature=e"), 441, "DIS.4100"},
		{"derived", "a token that is not the key's", header("X-Security-Token", "tok"), 441, "DIS.4114"},
		{"derived", "another day", signed("20260102", "20260103"), 441, "DIS.4102"},
		{"derived", "another region", signed("cn-north-4", "cn-north-1"), 441, "DIS.4100"},
		{"derived", "no region", signed("cn-north-4", ""), 441, "DIS.4111"},
		{"derived", "another service", signed("/dis/", "/obs/"), 441, "DIS.4108"},
		{"derived", "no headers", signed("SignedHeaders", "X"), 441, "DIS.4109"},
		{"derived", "a date that is not signed", signed(";x-sdk-date", ""), 441, "DIS.4109"},
		{"derived", "a date that can't be read", header("X-Sdk-Date", "today"), 441, "DIS.4104"},
		{"derived", "an old date", header("X-Sdk-Date", "20260102T024805Z"), 441, "DIS.4105"},
		{"derived", "another hash", header("X-Sdk-Content-Sha256", "00"), 441, "DIS.4100"},
		{"plain", "another body", func(q *disCall) { q.body = nil }, 401, "APIGW.0301"},
		{"plain", "another key", signed("AccessKey", "Other"), 401, "APIGW.0301"},
		{"plain", "an old date", header("X-Sdk-Date", "20260102T024805Z"), 401, "APIGW.0303"},
		{"plain, token", "no token", header("X-Security-Token", ""), 401, "APIGW.0301"},
		{"derived", "an auth token that is wrong", header("X-Auth-Token", "other"), 441, "DIS.4114"},
		{"derived", "an auth token that is empty", func(q *disCall) { q.Header["X-Auth-Token"] = []string{""} }, 441, "DIS.4113"},
		{"derived", "an auth token that is good", header("X-Auth-Token", "token"), 0, ""},
		{"derived", "an auth token that is good and no signature", func(q *disCall) {
			q.Header = http.Header{"X-Auth-Token": {"token"}}
		}, 0, ""},
	} {
		c, q := sdkVector(row.of)
		row.change(&q)
		switch bad := c.judgeDIS(q); {
		case bad == nil && row.code == "":
		case bad == nil || bad.code != row.code || bad.status != row.status:
			t.Errorf("%s with %s: got %+v, want %d %s", row.of, row.how, bad, row.status, row.code)
		}
	}
}

// deliveries are n, an hour apart, of one row each.
func deliveries(n int) (all []Delivery) {
	for i := range n {
		start := time.Date(2026, 1, 1, i, 0, 0, 0, time.UTC)
		all = append(all, Delivery{Start: start, End: start.Add(5 * time.Minute), File: File{Rows: 1, Seed: uint64(i)}})
	}
	return all
}

// dumping returns a cloud that has a dump task, and its base URL.
func dumping(t *testing.T, task DumpTask) (*Cloud, string) {
	t.Helper()
	o := options()
	o.AuthToken = "token"
	c := New(o)
	task.ID, task.Bucket = dumpID, "landing"
	c.AddDumpTask(task)
	base, stop, err := c.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return c, base
}

// askDIS makes a call with the token and decodes the answer into v.
func askDIS(t *testing.T, method, address, body string, v any) *http.Response {
	t.Helper()
	r, err := http.NewRequest(method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Auth-Token", "token")
	return do(t, r, v)
}

// toldLog is an answer of the log, as a client reads it.
type toldLog struct {
	ErrorCode any             `json:"errorCode"`
	Total     int             `json:"totalNum"`
	Message   *string         `json:"message"`
	Rows      json.RawMessage `json:"transferTaskLogList"`
}

func (l toldLog) rows(t *testing.T) (rows []transferRow) {
	t.Helper()
	if err := json.Unmarshal(l.Rows, &rows); err != nil {
		t.Fatalf("%v: %s", err, l.Rows)
	}
	return rows
}

func TestTheLogIsToldInPages(t *testing.T) {
	_, base := dumping(t, DumpTask{Deliveries: deliveries(23)})
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
		var l toldLog
		askDIS(t, "POST", base+logPath, row.body, &l)
		rows := l.rows(t)
		if len(rows) != row.rows || time.UnixMilli(rows[0].Start).UTC().Hour() != row.first || l.Total != 23 || l.ErrorCode != -1.0 || l.Message != nil {
			t.Errorf("%s: got %+v of %+v", row.body, rows, l)
		}
	}
	var l toldLog
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

func TestADeliveryIsInTheBucketOnceItsRowHasAnEnd(t *testing.T) {
	d := deliveries(3)
	d[1].RunningCalls, d[2].State = 1, 2
	c, base := dumping(t, DumpTask{Prefix: "logs/", Partition: "yyyy/MM/dd/HH", Deliveries: d})
	ends := func() (ends []bool) {
		var l toldLog
		askDIS(t, "POST", base+logPath, `{"order":"asc"}`, &l)
		for _, row := range l.rows(t) {
			ends = append(ends, row.End != nil)
		}
		return ends
	}
	key := func(i int) string {
		return fmt.Sprintf("logs/2026/01/01/%02d/%s.access-log.0.%d", 8+i, dumpID, d[i].Start.UnixMilli()+10)
	}
	if got := c.Keys("landing"); !slices.Equal(got, []string{key(0)}) {
		t.Errorf("got %q", got)
	}
	if got := ends(); !slices.Equal(got, []bool{true, false, true}) || len(c.Keys("landing")) != 1 {
		t.Errorf("at the first call: got %v", got)
	}
	if got := ends(); !slices.Equal(got, []bool{true, true, true}) || !slices.Equal(c.Keys("landing"), []string{key(0), key(1)}) {
		t.Errorf("at the second call: got %v, %q", got, c.Keys("landing"))
	}
	if n := c.Counts().Calls["ShowTransferTaskLog"]; n != 2 {
		t.Errorf("%d calls", n)
	}
}

func TestALogTellsWhatItIsToldTo(t *testing.T) {
	d := deliveries(1)
	d[0].Bytes, d[0].Records = new(int64(7)), new(int64(-1))
	_, base := dumping(t, DumpTask{SingleRow: true, ErrorCode: "0", StreamID: "id", Deliveries: d})
	var l toldLog
	askDIS(t, "POST", base+logPath, "", &l)
	var row transferRow
	if err := json.Unmarshal(l.Rows, &row); err != nil || *row.Bytes != 7 || row.Records != nil || row.Stream != "id" || row.Project != "project-1" || l.ErrorCode != "0" {
		t.Errorf("got %s, %v", l.Rows, err)
	}
}

func TestATaskIsToldByItsStream(t *testing.T) {
	c, base := dumping(t, DumpTask{Name: "a b", Prefix: "logs", Delimiter: ",", Partition: "yyyy"})
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

func TestRefusedLogsUseUpNothing(t *testing.T) {
	d := deliveries(1)
	d[0].RunningCalls = 1
	c, base := dumping(t, DumpTask{Unavailable: 1, Throttles: 1, Deliveries: d})
	for _, want := range []string{"500 DIS.5000", "400 DIS.4303", "200 -1", "200 -1"} {
		var l toldLog
		r := askDIS(t, "POST", base+logPath, "", &l)
		if got := fmt.Sprint(r.StatusCode, " ", l.ErrorCode); got != want || r.Header.Get("X-Request-Id") == "" {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if !c.UpdateDumpTask(dumpID, func(task *DumpTask) { task.Throttles = 2 }) || c.UpdateDumpTask("other", nil) {
		t.Error("a task is known by an ID that it does not have")
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
		t.Errorf("%v", n)
	}
}

func TestAFileHasTheTasksDelimiterAndCompression(t *testing.T) {
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
