package sandbox

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"hash/fnv"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"tallyman/fetch/sandbox/internal/apierr"
)

// ProjectHeader names the project of a call whose Host does not.
const ProjectHeader = "X-Sandbox-Project"

const (
	maxBody          = 10 << 20 // bytes, of any call
	unknownOperation = "Unknown"

	jobListSize    = 100 // jobs in a listing without a size
	maxJobListSize = 500
	maxCreatedRows = 20_000 // of a created job, which else has a row for each second that it covers
)

// An slsCall is one call of SLS whose signature is good.
type slsCall struct {
	project string
	name    string // of the job or the log store that the path names
	query   url.Values
	body    []byte
	origin  string // of the URLs in the answer
}

// An slsOperation answers a call with what to write as JSON, or nil for nothing.
// It has the cloud's lock. Its errors are those of the operation's page and of
// SLS's page on common error codes.
type slsOperation struct {
	name   string
	answer func(*Cloud, slsCall) (any, *apierr.Error)
}

// slsOperations are known by their method, their path with a * for a name, and
// the parameter type.
var slsOperations = map[string]slsOperation{
	"GET /downloadjobs/*":    {"GetDownloadJob", (*Cloud).getJob},
	"GET /downloadjobs":      {"ListDownloadJobs", (*Cloud).listJobs},
	"POST /downloadjobs":     {"CreateDownloadJob", (*Cloud).createJob},
	"DELETE /downloadjobs/*": {"DeleteDownloadJob", (*Cloud).deleteJob},

	"GET /logstores/*":                      {"GetLogStore", (*Cloud).getLogstore},
	"GET /logstores/*?type=histogram":       {"GetHistograms", (*Cloud).getHistogram}, // its older path
	"GET /logstores/*/index?type=histogram": {"GetHistograms", (*Cloud).getHistogram},
	"GET /logstores/*/index":                {"GetIndex", (*Cloud).getIndex},
}

// findSLS returns the operation that a request is for, and what its path names.
func findSLS(r *http.Request) (operation slsOperation, name string) {
	parts := strings.Split(r.URL.Path, "/") // the first is ""
	if len(parts) > 2 {
		name, parts[2] = parts[2], "*"
	}
	key := r.Method + " " + strings.Join(parts, "/")
	if kind := r.URL.Query().Get("type"); kind != "" {
		key += "?type=" + kind
	}
	if operation, known := slsOperations[key]; known && (len(parts) == 2 || name != "") {
		return operation, name
	}
	return slsOperation{unknownOperation, func(*Cloud, slsCall) (any, *apierr.Error) {
		return nil, apierr.New(http.StatusNotFound, "InvalidURI", "%s %s is not an operation.", r.Method, r.URL.Path)
	}}, ""
}

func (c *Cloud) serveSLS(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("x-log-requestid", rand.Text()[:24])
	answer, bad := c.answerSLS(w, r)
	switch {
	case bad != nil:
		c.writeErrorHeader(w, bad, "application/json")
		writeJSON(w, struct {
			Code    string `json:"errorCode"`
			Message string `json:"errorMessage"`
		}{bad.Code, bad.Message})
	case answer != nil:
		if h, ok := answer.(histogram); ok {
			h.header(w.Header())
		}
		w.Header().Set("Content-Type", "application/json")
		writeJSON(w, answer)
	}
}

// answerSLS checks the signature before it looks for the job, so that a wrong
// key does not learn what exists. A call that names no project is for the first
// project that has the job or the log store, or else for the first.
func (c *Cloud) answerSLS(w http.ResponseWriter, r *http.Request) (any, *apierr.Error) {
	operation, name := findSLS(r)
	c.count(func(n *Counts) { n.Calls[operation.name]++ })
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, apierr.New(http.StatusRequestEntityTooLarge, "PostBodyTooLarge", "Body size must be less than or equal to 10 MB.")
	}
	if bad := c.account.CheckSLS(r, body, c.options.Now()); bad != nil {
		return nil, bad
	}
	label, host := splitHost(r.Host)
	c.mu.Lock()
	defer c.mu.Unlock()
	project := cmp.Or(label, r.Header.Get(ProjectHeader))
	if names := slices.Sorted(maps.Keys(c.projects)); project == "" && len(names) > 0 {
		has := func(project string) bool {
			return name == "" || c.projects[project][name] != nil || c.logstores[project][name] != nil
		}
		project = names[max(slices.IndexFunc(names, has), 0)]
	}
	if c.projects[project] == nil {
		return nil, apierr.New(http.StatusNotFound, "ProjectNotExist", "The Project does not exist : %s", project)
	}
	return operation.answer(c, slsCall{project, name, r.URL.Query(), body, origin(r, host)})
}

func (c *Cloud) job(q slsCall) (*jobState, *apierr.Error) {
	s := c.projects[q.project][q.name]
	if s == nil {
		return nil, apierr.New(http.StatusNotFound, "JobNotExist", "Job %s does not exist.", q.name)
	}
	return s, nil
}

func (c *Cloud) getJob(q slsCall) (any, *apierr.Error) {
	s, bad := c.job(q)
	if bad != nil {
		return nil, bad
	}
	s.object.count(ItemCounts{StatusCalls: 1})
	switch {
	case occurs(s.Unavailable, &s.unavailable):
		return nil, apierr.New(http.StatusServiceUnavailable, "ServerBusy", "The server is busy, please try again later.").WithHeader("Retry-After", "1")
	case occurs(s.Throttles, &s.throttled):
		return nil, apierr.New(http.StatusForbidden, "MetaOperationQpsLimitExceeded", "Qps limit for the meta operation is exceeded.")
	}
	n := s.gets
	s.gets++
	return c.describeJob(s, n, c.newURL(s.object, q.origin)), nil
}

type jobList struct {
	Total   int              `json:"total"`
	Count   int              `json:"count"`
	Results []jobDescription `json:"results"`
}

// listJobs lists the newest first.
func (c *Cloud) listJobs(q slsCall) (any, *apierr.Error) {
	offset, bad := q.number("offset", 0)
	if bad != nil {
		return nil, bad
	}
	size, bad := q.number("size", jobListSize)
	if bad != nil {
		return nil, bad
	}
	all := c.newestFirst(q.project)
	if logstore := q.query.Get("logstore"); logstore != "" {
		all = slices.DeleteFunc(slices.Clone(all), func(s *jobState) bool { return s.logstore() != logstore })
	}
	l := jobList{Total: len(all), Results: []jobDescription{}}
	for _, s := range all[min(offset, len(all)):min(offset+size, len(all))] {
		d := c.describeJob(s, max(s.gets-1, 0), c.lastURL(s.object, q.origin))
		d.Configuration.AllowInComplete = strconv.FormatBool(s.AllowIncomplete)
		l.Results = append(l.Results, d)
	}
	l.Count = len(l.Results)
	return l, nil
}

// number reads a parameter of a listing.
func (q slsCall) number(name string, otherwise int) (int, *apierr.Error) {
	text := q.query.Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || name == "size" && (n == 0 || n > maxJobListSize) {
		return 0, apierr.New(http.StatusBadRequest, "ParameterInvalid", "%s is invalid: %s", name, text)
	}
	return n, nil
}

func (c *Cloud) deleteJob(q slsCall) (any, *apierr.Error) {
	s, bad := c.job(q)
	if bad == nil {
		c.removeJob(q.project, s.Name)
	}
	return nil, bad
}

// A jobRequest is the body of CreateDownloadJob.
type jobRequest struct {
	Name          string           `json:"name"`
	DisplayName   string           `json:"displayName"`
	Description   string           `json:"description"`
	Configuration jobConfiguration `json:"configuration"`
}

// jobName matches the names of jobs, if they are no longer than maxJobName.
var jobName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*[a-z0-9]$`) })

const maxJobName = 64

// check returns the refusal of a request that has no job's parameters, or nil.
func (r jobRequest) check() *apierr.Error {
	f := r.Configuration
	_, isBool := f.AllowInComplete.(bool)
	_, knownCodec := codecs[f.Sink.CompressionType]
	for _, rule := range []struct {
		valid     bool
		parameter string
	}{
		{len(r.Name) <= maxJobName && jobName().MatchString(r.Name), "name"},
		{r.DisplayName != "", "displayName"},
		{f.Logstore != "", "logstore"},
		{f.Query != "", "query"},
		{f.FromTime > 0, "fromTime"},
		{f.ToTime > f.FromTime, "toTime"},
		{isBool, "allowInComplete"},
		{f.Sink.Type == "AliyunOSS", "sink.type"},
		{formats[f.Sink.ContentType] != nil, "sink.contentType"},
		{knownCodec, "sink.compressionType"},
		{f.Sink.Bucket == "" || f.Sink.RoleARN != "", "sink.roleArn"},
	} {
		if !rule.valid {
			return apierr.New(http.StatusBadRequest, "ParameterInvalid", "The parameter %s is missing or invalid.", rule.parameter)
		}
	}
	return nil
}

// createJob notes the call, whether or not it makes a job.
func (c *Cloud) createJob(q slsCall) (any, *apierr.Error) {
	var r jobRequest
	if err := json.Unmarshal(q.body, &r); err != nil {
		return nil, apierr.New(http.StatusBadRequest, "ParameterInvalid", "The body is not the JSON of a job: %v", err)
	}
	bad := c.makeJob(q.project, r)
	c.creations[q.project] = append(c.creations[q.project], newCreation(r, bad))
	return nil, bad
}

// makeJob makes a job that starts, runs and succeeds, one step a call. In a project
// without log stores its rows are of no log.
func (c *Cloud) makeJob(project string, r jobRequest) *apierr.Error {
	if bad := r.check(); bad != nil {
		return bad
	}
	if c.projects[project][r.Name] != nil {
		return apierr.New(http.StatusBadRequest, "JobAlreadyExist", "Job %s already exists.", r.Name)
	}
	if bad := c.overQuota(project); bad != nil {
		return bad
	}
	f, seed := r.Configuration, fnv.New64a()
	seed.Write([]byte(r.Name))
	job := Job{
		Name: r.Name, DisplayName: r.DisplayName, Description: r.Description,
		Logstore: f.Logstore, Query: f.Query, FromTime: time.Unix(f.FromTime, 0), ToTime: time.Unix(f.ToTime, 0),
		PowerSQL: f.PowerSQL, AllowIncomplete: f.AllowInComplete == true,
		Bucket: f.Sink.Bucket, Prefix: f.Sink.Prefix, RoleARN: f.Sink.RoleARN,
		Statuses: []string{JobStarting, JobRunning, JobSucceeded},
		File:     File{Rows: int(min(f.ToTime-f.FromTime, maxCreatedRows)), Format: f.Sink.ContentType, Codec: f.Sink.CompressionType, Seed: seed.Sum64()},
	}
	if len(c.logstores[project]) > 0 {
		l, bad := c.logstore(slsCall{project: project, name: f.Logstore})
		if bad != nil {
			return bad
		}
		if bad := l.result(&job, c.options.Now()); bad != nil {
			return bad
		}
	}
	c.addJob(c.newJobState(project, job))
	return nil
}
