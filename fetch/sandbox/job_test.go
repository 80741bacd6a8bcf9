package sandbox

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// refused makes a call that is to be refused, and returns status and code.
func slsError(t *testing.T, base, method, path, body string) string {
	t.Helper()
	var e struct{ ErrorCode, ErrorMessage string }
	resp := askSLS(t, base, method, path, body, &e)
	if e.ErrorMessage == "" || resp.Header.Get("x-log-requestid") == "" {
		t.Errorf("%s %s: no message or request ID", method, path)
	}
	return fmt.Sprint(resp.StatusCode, " ", e.ErrorCode)
}

func TestJobAnswersOneStatusACallAndRepeatsTheLast(t *testing.T) {
	_, base := startCloud(t, Job{Name: "walks", Statuses: []string{JobStarting, JobRunning, "PAUSING", JobSucceeded}, File: File{Rows: 3}})
	var statuses []string
	for range 5 {
		d := getJob(t, base, "walks")
		statuses = append(statuses, fmt.Sprint(d.Status, d.Details.Progress))
		if done := d.Status == JobSucceeded; done != (d.Details.FilePath != "") || done != (d.Details.LogCount != nil) {
			t.Errorf("%s tells of a file: %+v", d.Status, d.Details)
		}
	}
	wantEqual(t, "statuses with their progress", statuses, []string{"STARTING0", "RUNNING25", "PAUSING50", "SUCCEEDED100", "SUCCEEDED100"})
}

func TestJobPromisesTheTruthUnlessSetOtherwise(t *testing.T) {
	_, base := startCloud(t,
		Job{Name: "honest", AllowIncomplete: true, Notice: "some shards were slow", File: File{Rows: 7, Body: []byte("123456789")}},
		Job{Name: "liar", LogCount: new(int64(8)), FileSize: new(int64(10)), CheckSum: "EXSFGSDASDASDG123ASD", DeclaredCompression: "none",
			File: File{Codec: "zstd", Rows: 7}},
		Job{Name: "silent", LogCount: new(int64(-1)), FileSize: new(int64(-1)), CheckSum: Absent},
		Job{Name: "elsewhere", Bucket: "own", Prefix: "p/", RoleARN: "acs:ram::1:role/r"},
		Job{Name: "broken", Statuses: []string{JobFailed}, Error: "timeout"})
	for name, want := range map[string]jobDetails{
		"honest": {Progress: 100, FilePath: "honest.csv", FileSize: new(int64(9)), LogCount: new(int64(7)),
			CheckSum: "25F9E794323B453885F5181F1B624D0B", Notice: "some shards were slow"},
		"liar":   {Progress: 100, FilePath: "liar.csv.zst", FileSize: new(int64(10)), LogCount: new(int64(8)), CheckSum: "EXSFGSDASDASDG123ASD"},
		"silent": {Progress: 100, FilePath: "silent.csv"},
		"broken": {ErrorMessage: "timeout"},
	} {
		got := getJob(t, base, name).Details
		got.FilePath, _, _ = strings.Cut(got.FilePath[strings.LastIndex(got.FilePath, "/")+1:], "?") // the file's name
		wantEqual(t, name, got, want)
	}
	if got := getJob(t, base, "honest").Configuration.AllowInComplete; got != true {
		t.Errorf("got allowInComplete %#v in a GET, want true", got)
	}
	if got := getJob(t, base, "liar").Configuration.Sink.CompressionType; got != "none" {
		t.Errorf("got compressionType %s, want none", got)
	}
	if d := getJob(t, base, "elsewhere"); d.Details.FilePath != "" || d.Configuration.Sink.Bucket != "own" {
		t.Errorf("got %+v of a job with a bucket, want no filePath", d)
	}
}

func TestBusyAndThrottledCallsUseUpNoStatus(t *testing.T) {
	c, base := startCloud(t, Job{Name: "loved", Unavailable: 1, Throttles: 2, Statuses: []string{JobStarting, JobSucceeded}})
	if resp := askSLS(t, base, "GET", "/downloadjobs/loved", "", nil); resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "1" {
		t.Errorf("first: %d", resp.StatusCode)
	}
	for range 2 {
		if got := slsError(t, base, "GET", "/downloadjobs/loved", ""); got != "403 MetaOperationQpsLimitExceeded" {
			t.Errorf("got %q, want %q", got, "403 MetaOperationQpsLimitExceeded")
		}
	}
	if d := getJob(t, base, "loved"); d.Status != JobStarting {
		t.Errorf("got %s, want %s", d.Status, JobStarting)
	}
	n := c.Counts()
	if n.Calls["GetDownloadJob"] != 4 || n.Refused["ServerBusy"] != 1 || n.Jobs[project+"/loved"].StatusCalls != 4 {
		t.Errorf("got %+v", n)
	}
}

func TestListingIsNewestFirstAndPaged(t *testing.T) {
	var jobs []Job
	for i := range 5 {
		jobs = append(jobs, Job{Name: fmt.Sprint("job-", i), CreateTime: now().Add(time.Duration(i/2) * time.Hour), Logstore: []string{"a", "b c"}[i%2]})
	}
	_, base := startCloud(t, jobs...)
	for _, row := range []struct {
		query string
		total int
		names string
	}{
		{"", 5, "job-4 job-3 job-2 job-1 job-0"},
		{"?offset=1&size=2", 5, "job-3 job-2"},
		{"?offset=4&size=10", 5, "job-0"},
		{"?offset=9&size=10", 5, ""},
		{"?logstore=" + url.QueryEscape("b c"), 2, "job-3 job-1"},
		{"?logstore=none", 0, ""},
	} {
		var l jobList
		askSLS(t, base, "GET", "/downloadjobs"+row.query, "", &l)
		var names []string
		for _, d := range l.Results {
			names = append(names, d.Name)
			if d.Configuration.AllowInComplete != "false" {
				t.Errorf("allowInComplete in a listing: %#v", d.Configuration.AllowInComplete)
			}
		}
		if got := strings.Join(names, " "); got != row.names || l.Total != row.total || l.Count != len(names) {
			t.Errorf("%s: got %q of %d", row.query, got, l.Total)
		}
	}
	for _, query := range []string{"?size=0", "?size=x", "?offset=-1", "?size=501"} {
		if got := slsError(t, base, "GET", "/downloadjobs"+query, ""); got != "400 ParameterInvalid" {
			t.Errorf("%s: %s", query, got)
		}
	}
}

func TestListingRepeatsTheStatusAndURLOfTheLastCall(t *testing.T) {
	_, base := startCloud(t, Job{Name: "seen", Statuses: []string{JobStarting, JobSucceeded, "GONE"}})
	getJob(t, base, "seen")
	given := getJob(t, base, "seen").Details.FilePath
	for range 2 {
		var l jobList
		askSLS(t, base, "GET", "/downloadjobs", "", &l)
		if d := l.Results[0]; d.Status != JobSucceeded || d.Details.FilePath != given {
			t.Errorf("%s %s, want %s", d.Status, d.Details.FilePath, given)
		}
	}
}

const creation = `{"name":"NAME","displayName":"d","configuration":{"logstore":"l","query":"*","fromTime":100,"toTime":150,
	"allowInComplete":true,"sink":{"type":"AliyunOSS","contentType":"json","compressionType":"lz4"}}}`

func TestCreatedJobEndsWithAFileOfItsRows(t *testing.T) {
	c, base := startCloud(t)
	c.AddProject(project)
	resp := askSLS(t, base, "POST", "/downloadjobs", strings.Replace(creation, "NAME", "made-1", 1), nil)
	if resp.StatusCode != 200 || resp.ContentLength != 0 {
		t.Fatalf("%d, %d bytes", resp.StatusCode, resp.ContentLength)
	}
	if got := slsError(t, base, "POST", "/downloadjobs", strings.Replace(creation, "NAME", "made-1", 1)); got != "400 JobAlreadyExist" {
		t.Errorf("got %q, want %q", got, "400 JobAlreadyExist")
	}
	for _, status := range []string{JobStarting, JobRunning} {
		if d := getJob(t, base, "made-1"); d.Status != status {
			t.Errorf("got %s, want %s", d.Status, status)
		}
	}
	d := getJob(t, base, "made-1")
	file := fetch(t, "GET", d.Details.FilePath)
	if rows := strings.Count(decompress(t, "lz4", file.body), "\n"); rows != 50 || *d.Details.LogCount != 50 {
		t.Errorf("%d rows, %d promised", rows, *d.Details.LogCount)
	}
	if askSLS(t, base, "DELETE", "/downloadjobs/made-1", "", nil).StatusCode != 200 {
		t.Error("DELETE: got an error, want 200")
	}
	for _, method := range []string{"GET", "DELETE"} {
		if got := slsError(t, base, method, "/downloadjobs/made-1", ""); got != "404 JobNotExist" {
			t.Errorf("got %q, want %q", got, "404 JobNotExist")
		}
	}
}

func TestCreateRefusesInvalidParameters(t *testing.T) {
	c, base := startCloud(t)
	c.AddProject(project)
	good := strings.Replace(creation, "NAME", "made-1", 1)
	for _, row := range [][2]string{
		{`"made-1"`, `"x"`},
		{`"made-1"`, `"Made"`},
		{`"made-1"`, `"made-"`},
		{`"made-1"`, `"_made"`},
		{`"made-1"`, `"` + strings.Repeat("m", 65) + `"`},
		{`"displayName":"d"`, `"displayName":""`},
		{`"logstore":"l",`, ``},
		{`"query":"*",`, ``},
		{`"toTime":150`, `"toTime":100`},
		{`"allowInComplete":true`, `"allowInComplete":"true"`},
		{`"AliyunOSS"`, `"OSS"`},
		{`"json"`, `"xml"`},
		{`"lz4"`, `"snappy"`},
		{`"type":"AliyunOSS"`, `"type":"AliyunOSS","bucket":"own"`},
		{`{`, `[`},
	} {
		if got := slsError(t, base, "POST", "/downloadjobs", strings.Replace(good, row[0], row[1], 1)); got != "400 ParameterInvalid" {
			t.Errorf("%s: %s", row[1], got)
		}
	}
	if got := c.Counts().Calls["CreateDownloadJob"]; got != 15 {
		t.Errorf("%d calls counted", got)
	}
}

func TestProjectIsTheHostsFirstLabel(t *testing.T) {
	c, base := startCloud(t, Job{Name: "job-1"})
	c.AddJob("other-project", Job{Name: "job-2"})
	address := strings.TrimPrefix(base, "http://")
	for _, row := range []struct {
		host, header, job, want string
	}{
		{project + "." + address, "", "job-1", "200"},
		{"other-project." + address, "", "job-2", "200"},
		{"other-project." + address, "", "job-1", "404 JobNotExist"},
		{"nobody." + address, "", "job-1", "404 ProjectNotExist"},
		{address, "", "job-1", "200"},
		{address, "", "job-2", "200"},
		{address, "", "job-3", "404 JobNotExist"},
		{address, "other-project", "job-1", "404 JobNotExist"},
		{"localhost:80", "other-project", "job-2", "200"},
	} {
		r := slsRequest(t, "GET", base+"/downloadjobs/"+row.job, row.host, "", ProjectHeader, row.header)
		var e struct{ ErrorCode string }
		resp := do(t, r, &e)
		if got := strings.TrimSpace(fmt.Sprint(resp.StatusCode, " ", e.ErrorCode)); got != row.want {
			t.Errorf("%+v: %s", row, got)
		}
	}
}

func TestUnknownOperationsAreRefused(t *testing.T) {
	_, base := startCloud(t, Job{Name: "job-1"})
	for _, method := range []string{http.MethodPut, http.MethodPost} {
		if got := slsError(t, base, method, "/downloadjobs/job-1", ""); got != "404 InvalidURI" {
			t.Errorf("got %q, want %q", got, "404 InvalidURI")
		}
	}
}

func TestUpdateResetsOnlyTheCountsOfChangedSettings(t *testing.T) {
	c, base := startCloud(t, Job{Name: "job-1", Statuses: []string{JobRunning, JobSucceeded}, File: File{Body: []byte("old")}})
	getJob(t, base, "job-1")
	c.UpdateJob(project, "job-1", func(j *Job) { j.Notice = "n"; j.Name = "job-2"; j.File.Body = []byte("new!") })
	if d := getJob(t, base, "job-1"); d.Status != JobSucceeded || d.Details.Notice != "n" || *d.Details.FileSize != 4 {
		t.Errorf("got %+v", d)
	}
	c.UpdateJob(project, "job-1", func(j *Job) { j.Statuses[0] = JobStarting })
	if d := getJob(t, base, "job-1"); d.Status != JobStarting {
		t.Errorf("got %s, want %s", d.Status, JobStarting)
	}
	if c.UpdateJob(project, "none", nil) || c.UpdateJob("none", "job-1", nil) {
		t.Error("UpdateJob of a job that does not exist: got true, want false")
	}
}

func TestWrongKeyDoesNotLearnWhichJobsExist(t *testing.T) {
	_, base := startCloud(t, Job{Name: "here"})
	for _, row := range [][2]string{{project + ".example.com", "here"}, {project + ".example.com", "nowhere"}, {"nobody.example.com", "here"}} {
		r := slsRequest(t, "GET", base+"/downloadjobs/"+row[1], row[0], "")
		r.Header.Set("Authorization", "LOG "+mockID+":bm90aGluZw==")
		var e struct{ ErrorCode string }
		resp := do(t, r, &e)
		if resp.StatusCode != 401 || e.ErrorCode != "SignatureNotMatch" || resp.Header.Get("x-log-requestid") == "" {
			t.Errorf("%s: got %d %s, want 401 SignatureNotMatch", row, resp.StatusCode, e.ErrorCode)
		}
	}
}

func TestJobWritesToItsBucketOnceItSucceeds(t *testing.T) {
	clock := now()
	o := options()
	o.Now = func() time.Time { return clock }
	c := New(o)
	old := clock.Add(-time.Hour)
	c.AddObject("own", "x/job-1-old.csv", File{LastModified: old})
	c.AddJob(project, Job{Name: "job-1", Bucket: "own", Prefix: "x/", Statuses: []string{JobRunning, JobSucceeded},
		Files: []File{{Rows: 2}, {Rows: 3, Codec: "zstd"}, {Name: "third.bin", Body: []byte("123456789"), LastModified: old}}})
	c.AddJob(project, Job{Name: "job-2", Bucket: "own", Prefix: "x/", File: File{Rows: 1, Codec: "gzip"}})
	base := start(t, c)
	getJob(t, base, "job-1")
	wantEqual(t, "keys while the job runs", c.Keys("own"), []string{"x/job-1-old.csv", "x/job-2.csv.gzip"})
	clock = clock.Add(time.Minute)
	d := getJob(t, base, "job-1").Details
	if d.FilePath != "" || *d.LogCount != 5 || d.CheckSum != "" {
		t.Errorf("got %+v", d)
	}
	var size int64
	p := listOSS(t, base, "prefix=x/job-1")
	for _, o := range p.Contents {
		size += int64(o.Size)
	}
	wantEqual(t, "listing of the job's files", p.items(), []string{"x/job-1-1.csv", "x/job-1-2.csv.zst", "x/job-1-old.csv"})
	if got, want := p.Contents[0].LastModified, "2026-01-02T03:05:05.000Z"; got != want {
		t.Errorf("got LastModified %s, want %s", got, want)
	}
	if p := listOSS(t, base, "prefix=x/third"); p.Contents[0].LastModified != "2026-01-02T02:04:05.000Z" {
		t.Errorf("got %+v", p)
	}
	if g := askOSS(t, "GET", base, "/own/x/third.bin"); g.body != "123456789" {
		t.Errorf("got %d %s", g.status, g.body)
	}
	if one := getJob(t, base, "job-2").Details; one.CheckSum != strings.Trim(listOSS(t, base, "prefix=x/job-2").Contents[0].ETag, `"`) || *one.LogCount != 1 {
		t.Errorf("got %+v", one)
	}
	header := int64(len(Generate(0, "csv", 0)))
	if *d.FileSize != size-header+9 {
		t.Errorf("promised %d, listed %d", *d.FileSize, size)
	}
	c.RemoveObject("own", "x/third.bin")
	getJob(t, base, "job-1")
	if slices.Contains(c.Keys("own"), "x/third.bin") {
		t.Error("the job wrote a removed file again")
	}
	c.UpdateJob(project, "job-1", func(j *Job) { j.Files[2].Body = []byte("1234") })
	if d := getJob(t, base, "job-1").Details; *d.FileSize != size-header+4 || !slices.Contains(c.Keys("own"), "x/third.bin") {
		t.Errorf("after a change: %+v", d)
	}
	c.UpdateJob(project, "job-1", func(j *Job) { j.Files = j.Files[2:]; j.FilePath = "oss://own/x/third.bin" })
	if d := getJob(t, base, "job-1").Details; d.CheckSum == "" || *d.FileSize != 4 || d.FilePath == "" || !slices.Contains(c.Keys("own"), "x/third.bin") {
		t.Errorf("got %+v", d)
	}
}

func TestBucketOfAJobExistsBeforeItsFile(t *testing.T) {
	c, base := startCloud(t, Job{Name: "job-1", Bucket: "own", Statuses: []string{JobRunning}})
	if p := listOSS(t, base, "list-type=2"); len(p.Contents) != 0 || p.KeyCount != 0 {
		t.Errorf("got %+v", p)
	}
	c.RemoveJob(project, "job-1")
	listOSS(t, base, "")
}
