package sandbox

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"tallyman/fetch/sandbox/internal/apierr"
)

// JobFaults are what goes wrong with the jobs that are created for one window.
type JobFaults struct {
	Fail int // how many end with ERROR, before the first that does not
	Gone int // of how many that succeed the file is gone, before the first that has one
	// DropPercent of the rows, and at least one, are not in the file of any. The
	// job's logCount agrees with the file.
	DropPercent int
	// Lose is how many of the last rows are not in the file of any. The job's logCount
	// counts them.
	Lose int
}

// CreateJob adds a job that exports its window of a log store, as CreateDownloadJob does,
// with Statuses of its own. It reports whether there is such a log store, and whether that
// takes the query.
func (c *Cloud) CreateJob(project string, j Job) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.logstores[project][j.Logstore]
	if l == nil {
		return false
	}
	j.Query = cmp.Or(j.Query, "*")
	j.File.Format, j.File.Codec = j.File.format(), j.File.codec()
	if bad := l.result(&j, c.options.Now()); bad != nil {
		return false
	}
	c.addJob(c.newJobState(project, j))
	return true
}

// SetJobQuota limits how many jobs of a project may be unfinished at once: those whose
// status was not yet said to be SUCCEEDED or ERROR. 0 = no limit.
func (c *Cloud) SetJobQuota(project string, unfinished int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.addProject(project)
	c.quotas[project] = unfinished
}

// overQuota refuses a job beyond the quota.
func (c *Cloud) overQuota(project string) *apierr.Error {
	unfinished, quota := 0, c.quotas[project]
	for _, s := range c.projects[project] {
		if status := s.status(); !isStatus(status, JobSucceeded) && !isStatus(status, JobFailed) {
			unfinished++
		}
	}
	if quota == 0 || unfinished < quota {
		return nil
	}
	return apierr.New(http.StatusForbidden, "ExceedQuota", "download job quota exceeded: %d jobs are unfinished", unfinished)
}

// result gives a created job the file that its query makes of the log store now, with
// the faults of its window.
func (l *logstoreState) result(j *Job, now time.Time) *apierr.Error {
	query, ok := parseQuery(j.Query)
	if !ok {
		return apierr.New(http.StatusBadRequest, "ParameterInvalid", "The parameter query is invalid: %s", j.Query)
	}
	window := j.FromTime.Unix()
	faults := l.JobFaults[window]
	if l.fail[window] < faults.Fail {
		l.fail[window]++
		j.Statuses, j.Error = []string{JobStarting, JobRunning, JobFailed}, "the query timed out"
		return nil
	}
	content, n := l.content(query, l.rows(j.FromTime, j.ToTime, now), j.File.Format, faults)
	j.File.Rows, j.File.Body = n, Compress(j.File.Codec, content)
	j.File.Gone = l.made[window] < faults.Gone
	l.made[window]++
	return nil
}

// content returns what a job with that query writes, and its logCount. Of SQL the sandbox
// knows "select *", which changes nothing, and takes any other statement for "select
// count(*) as n". Of each hundred rows that the search finds, the first DropPercent are
// dropped.
func (l *Logstore) content(q logQuery, rows iter.Seq[row], format string, faults JobFaults) (content []byte, logCount int) {
	var found []row
	seen := 0
	for r := range rows {
		if q.selects(r) {
			if seen%100 >= faults.DropPercent {
				found = append(found, r)
			}
			seen++
		}
	}
	if q.sql != "" && !strings.EqualFold(q.sql, "select *") {
		return countResult(len(found), format), 1
	}
	logCount = len(found)
	found = found[:max(0, logCount-faults.Lose)]
	lines := retried(slices.All(found))
	if l.Message != "" {
		for i := range found {
			found[i].Message = l.Message
		}
		lines = slices.All(found)
	}
	var b bytes.Buffer
	if format == "csv" {
		writeCSV(&b, lines, l.Fields, !l.NoHeader)
	} else {
		formats[format](&b, slices.All(found))
	}
	return b.Bytes(), logCount
}

// countResult is the result of "select count(*) as n".
func countResult(n int, format string) []byte {
	var b bytes.Buffer
	if format == "json" {
		_ = json.NewEncoder(&b).Encode(map[string]string{"n": strconv.Itoa(n)})
		return b.Bytes()
	}
	out := csv.NewWriter(&b)
	_ = out.WriteAll([][]string{{"n"}, {strconv.Itoa(n)}})
	return b.Bytes()
}
