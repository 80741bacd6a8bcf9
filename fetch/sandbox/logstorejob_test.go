package sandbox

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// export creates a job of an hour and returns the records of its file, without the
// header, and what it promises.
func export(t *testing.T, base, name, query string, from time.Time) (records [][]string, d jobDescription) {
	t.Helper()
	body := fmt.Sprintf(`{"name":%q,"displayName":"d","configuration":{"logstore":%q,"query":%q,"fromTime":%d,"toTime":%d,"allowInComplete":false,
		"sink":{"type":"AliyunOSS","contentType":"csv","compressionType":"none"}}}`, name, logstoreName, query, from.Unix(), from.Add(time.Hour).Unix())
	if resp := askSLS(t, base, "POST", "/downloadjobs", body, nil); resp.StatusCode != 200 {
		t.Fatalf("%s: got %d", name, resp.StatusCode)
	}
	for range 3 {
		d = getJob(t, base, name)
	}
	if d.Status != JobSucceeded {
		return nil, d
	}
	file := fetch(t, "GET", d.Details.FilePath)
	records, err := csv.NewReader(bytes.NewReader([]byte(file.body))).ReadAll()
	if err != nil || file.status == 200 && len(records) == 0 {
		return nil, d
	}
	return records[1:], d
}

// The file of a job has the columns and the header that its log store says, and one that loses
// a row promises it all the same.
func TestALogstoreSaysWhatItsCSVIs(t *testing.T) {
	for _, tt := range []struct {
		name   string
		store  Logstore
		first  []string // after the header, if there is one; nil: it is not looked at
		hidden int64    // rows that are promised, and not there
		header bool
	}{
		{"as the vendor does", Logstore{RowsPerMinute: 5}, nil, 0, true},
		{"without a header", Logstore{RowsPerMinute: 5, NoHeader: true}, nil, 0, false},
		{"of some columns", Logstore{RowsPerMinute: 5, Fields: []string{"message", "level"}, Message: "beat"}, []string{"beat", "INFO"}, 0, true},
		{"with a row that is lost", Logstore{RowsPerMinute: 5, JobFaults: map[int64]JobFaults{hour.Unix(): {Lose: 1}}}, nil, 1, true},
	} {
		_, base := startLogstore(t, tt.store)
		records, d := export(t, base, "job", "*", hour) // without the first record
		n, _ := count(t, base, hour, hour.Add(time.Hour), "*")
		rows := int64(len(records))
		if !tt.header {
			rows++
		}
		if *d.Details.LogCount != int64(n) || rows != int64(n)-tt.hidden {
			t.Errorf("%s: %d rows, %d promised, %d counted", tt.name, rows, *d.Details.LogCount, n)
		}
		if tt.first != nil && (len(records[0]) != len(tt.first) || records[0][0] != tt.first[0]) {
			t.Errorf("%s: the first row is %q", tt.name, records[0])
		}
	}
}

// What a job exports of a window is what a histogram of the same window and query
// counts, each time, and every row of it has a time in the window.
func TestAHistogramCountsWhatAJobExports(t *testing.T) {
	_, base := startLogstore(t, Logstore{RowsPerMinute: 5})
	for i, query := range []string{"*", "level: ERROR", `level: "ERROR" and not __source__:*`, "not level:INFO and orders", "nothing-of-the-kind"} {
		records, d := export(t, base, fmt.Sprint("job-", i), query, hour)
		n, progress := count(t, base, hour, hour.Add(time.Hour), query)
		if n != len(records) || *d.Details.LogCount != int64(n) || progress != "Complete" {
			t.Errorf("%s: %d rows, %d promised, %d counted, %s", query, len(records), *d.Details.LogCount, n, progress)
		}
		for _, r := range records {
			if at, _ := strconv.ParseInt(r[0], 10, 64); at < hour.Unix() || at >= hour.Add(time.Hour).Unix() {
				t.Errorf("%s: a row at %d is not in the window", query, at)
			}
		}
	}
	first, _ := count(t, base, hour, hour.Add(1234*time.Second), "*")
	second, _ := count(t, base, hour.Add(1234*time.Second), hour.Add(time.Hour), "*")
	if all, _ := count(t, base, hour, hour.Add(time.Hour), "*"); all != first+second || first == 0 {
		t.Errorf("%d rows, %d and %d of its parts", all, first, second)
	}
	if none, _ := count(t, base, now(), now().Add(time.Hour), "*"); none != 0 {
		t.Errorf("%d rows of the future", none)
	}
}

func TestAJobWithSQLWritesItsResult(t *testing.T) {
	_, base := startLogstore(t, Logstore{RowsPerMinute: 5})
	all, _ := export(t, base, "all", "*", hour)
	if starred, _ := export(t, base, "starred", "* | SELECT  *", hour); len(starred) != len(all) {
		t.Errorf("select *: %d rows, want %d", len(starred), len(all))
	}
	counted, d := export(t, base, "counted", "* | select count(*) as n", hour)
	wantEqual(t, "the result", counted, [][]string{{strconv.Itoa(len(all))}})
	if *d.Details.LogCount != 1 {
		t.Errorf("%d rows promised", *d.Details.LogCount)
	}
}

func TestWhatIsOlderThanTheIndexIsNotCounted(t *testing.T) {
	_, base := startLogstore(t, Logstore{RowsPerMinute: 5, IndexedSince: hour.Add(30 * time.Minute)})
	records, _ := export(t, base, "job", "*", hour)
	if n, _ := count(t, base, hour, hour.Add(time.Hour), "*"); n == 0 || n >= len(records) {
		t.Errorf("%d counted of %d rows", n, len(records))
	}
	var d indexDescription
	askSLS(t, base, "GET", "/logstores/"+logstoreName+"/index", "", &d)
	wantEqual(t, "GetIndex", d, indexDescription{Mode: "v2", TTL: 3650, LastModified: hour.Add(30 * time.Minute).Unix()})
}

func TestCreatedJobsHaveTheFaultsOfTheirWindow(t *testing.T) {
	_, base := startLogstore(t, Logstore{RowsPerMinute: 5, JobFaults: map[int64]JobFaults{hour.Unix(): {Fail: 1, Gone: 1, DropPercent: 1}}})
	if _, d := export(t, base, "fails", "*", hour); d.Status != JobFailed || d.Details.ErrorMessage == "" {
		t.Errorf("got %+v", d)
	}
	_, d := export(t, base, "gone", "*", hour)
	if got := fetch(t, "GET", d.Details.FilePath); got.status != 404 || !strings.Contains(got.body, "NoSuchKey") {
		t.Errorf("got %d %s", got.status, got.body)
	}
	records, d := export(t, base, "drops", "*", hour)
	if n, _ := count(t, base, hour, hour.Add(time.Hour), "*"); len(records) != n-(n+99)/100 || *d.Details.LogCount != int64(len(records)) {
		t.Errorf("%d of %d rows, %d promised", len(records), n, *d.Details.LogCount)
	}
	before := hour.Add(-time.Hour)
	records, _ = export(t, base, "whole", "*", before)
	if n, _ := count(t, base, before, hour, "*"); len(records) != n {
		t.Errorf("%d of %d rows of another window", len(records), n)
	}
}

func TestAProjectHasAQuotaOfUnfinishedJobs(t *testing.T) {
	c, base := startLogstore(t, Logstore{RowsPerMinute: 1})
	c.SetJobQuota(project, 1)
	body := `{"name":"NAME","displayName":"d","configuration":{"logstore":"` + logstoreName + `","query":"*","fromTime":100,"toTime":150,
		"allowInComplete":true,"sink":{"type":"AliyunOSS","contentType":"json","compressionType":"none"}}}`
	askSLS(t, base, "POST", "/downloadjobs", strings.Replace(body, "NAME", "first", 1), nil)
	if got := slsError(t, base, "POST", "/downloadjobs", strings.Replace(body, "NAME", "second", 1)); got != "403 ExceedQuota" {
		t.Errorf("got %s", got)
	}
	for range 3 {
		getJob(t, base, "first")
	}
	if resp := askSLS(t, base, "POST", "/downloadjobs", strings.Replace(body, "NAME", "second", 1), nil); resp.StatusCode != 200 {
		t.Errorf("got %d once the first has finished", resp.StatusCode)
	}
	jobs := c.Jobs(project)
	if len(jobs) != 2 || jobs[0].Name+jobs[0].Statuses[0] != "firstSUCCEEDED" || jobs[1].Name+jobs[1].Statuses[0] != "secondSTARTING" {
		t.Errorf("got %+v", jobs)
	}
}

func TestAJobOfAnUnknownLogstoreIsRefused(t *testing.T) {
	_, base := startLogstore(t, Logstore{RowsPerMinute: 1})
	if got := slsError(t, base, "POST", "/downloadjobs", strings.Replace(creation, "NAME", "job", 1)); got != "404 LogStoreNotExist" {
		t.Errorf("a job of another log store: %s", got)
	}
}
