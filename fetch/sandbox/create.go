package sandbox

import (
	"encoding/json"
	"hash/fnv"
	"net/http"
	"regexp"
	"slices"
	"time"
)

// mostRows is the most rows that a created job yields; else one for each
// second that it covers.
const mostRows = 20_000

type order struct {
	Name          string        `json:"name"`
	DisplayName   string        `json:"displayName"`
	Description   string        `json:"description"`
	Configuration configuration `json:"configuration"`
}

// createJob makes a job that starts, runs and succeeds, one step a GET.
func (c *Cloud) createJob(q call) (any, *refusal) {
	var o order
	if err := json.Unmarshal(q.body, &o); err != nil {
		return nil, refuse(http.StatusBadRequest, "ParameterInvalid", "The body is not the JSON of a job: %v", err)
	}
	if bad := o.check(); bad != nil {
		return nil, bad
	}
	if c.projects[q.project][o.Name] != nil {
		return nil, refuse(http.StatusBadRequest, "JobAlreadyExist", "Job %s already exists.", o.Name)
	}
	c.put(c.newEntry(q.project, o.job()))
	return nil, nil
}

var jobName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}[a-z0-9]$`)

func (o order) check() *refusal {
	f := o.Configuration
	_, incomplete := f.AllowInComplete.(bool)
	for _, rule := range []struct {
		kept      bool
		parameter string
	}{
		{jobName.MatchString(o.Name), "name"},
		{o.DisplayName != "", "displayName"},
		{f.Logstore != "", "logstore"},
		{f.Query != "", "query"},
		{f.FromTime > 0, "fromTime"},
		{f.ToTime > f.FromTime, "toTime"},
		{incomplete, "allowInComplete"},
		{f.Sink.Type == "AliyunOSS", "sink.type"},
		{slices.Contains([]string{"csv", "json"}, f.Sink.ContentType), "sink.contentType"},
		{slices.Contains([]string{"zstd", "lz4", "gzip", "none"}, f.Sink.CompressionType), "sink.compressionType"},
		{f.Sink.Bucket == "" || f.Sink.RoleARN != "", "sink.roleArn"},
	} {
		if !rule.kept {
			return refuse(http.StatusBadRequest, "ParameterInvalid", "The parameter %s is missing or invalid.", rule.parameter)
		}
	}
	return nil
}

func (o order) job() Job {
	f := o.Configuration
	seed := fnv.New64a()
	seed.Write([]byte(o.Name))
	return Job{
		Name:            o.Name,
		DisplayName:     o.DisplayName,
		Description:     o.Description,
		Logstore:        f.Logstore,
		Query:           f.Query,
		FromTime:        time.Unix(f.FromTime, 0),
		ToTime:          time.Unix(f.ToTime, 0),
		PowerSQL:        f.PowerSQL,
		AllowIncomplete: f.AllowInComplete.(bool),
		Bucket:          f.Sink.Bucket,
		Prefix:          f.Sink.Prefix,
		RoleARN:         f.Sink.RoleARN,
		Statuses:        []string{JobStarting, JobRunning, JobSucceeded},
		File: File{
			Rows:   int(min(f.ToTime-f.FromTime, mostRows)),
			Format: f.Sink.ContentType,
			Codec:  f.Sink.CompressionType,
			Seed:   seed.Sum64(),
		},
	}
}
