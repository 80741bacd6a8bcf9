package sandbox

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// ProjectHeader names the project of a call whose Host does not.
const ProjectHeader = "X-Sandbox-Project"

const (
	jobsPath    = "/downloadjobs"
	mostBody    = 10 << 20
	unknownCall = "Unknown"
)

// A call is one request of the job API, let in.
type call struct {
	project string
	job     string
	query   url.Values
	body    []byte
	origin  string // scheme and host of the files' URLs
}

// An operation answers a call: with what to send as JSON, or nil for nothing.
// It holds the cloud's lock.
type operation struct {
	name   string
	answer func(*Cloud, call) (any, *refusal)
}

// operations are known by their method, and a "/" where they name a job.
var operations = map[string]operation{
	"GET/":    {"GetDownloadJob", (*Cloud).getJob},
	"GET":     {"ListDownloadJobs", (*Cloud).listJobs},
	"POST":    {"CreateDownloadJob", (*Cloud).createJob},
	"DELETE/": {"DeleteDownloadJob", (*Cloud).deleteJob},
}

func isJobCall(r *http.Request) bool {
	return r.URL.Path == jobsPath || strings.HasPrefix(r.URL.Path, jobsPath+"/") || scheme(r) != nil
}

func (c *Cloud) serveJobs(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("x-log-requestid", requestID())
	answer, bad := c.answer(w, r)
	switch {
	case bad != nil:
		c.countRefusal(bad.code)
		bad.writeJSON(w)
	case answer != nil:
		w.Header().Set("Content-Type", "application/json")
		writeJSON(w, answer)
	}
}

// writeJSON leaves the & of a URL as it is.
func writeJSON(w io.Writer, v any) {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.Encode(v)
}

// answer judges the caller before it looks at what is asked for, so that a
// wrong key learns nothing of what is there.
func (c *Cloud) answer(w http.ResponseWriter, r *http.Request) (any, *refusal) {
	op, job := route(r)
	c.countCall(op.name)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostBody))
	if err != nil {
		return nil, refuse(http.StatusRequestEntityTooLarge, "PostBodyTooLarge", "Body size must be less than or equal to 10 MB.")
	}
	if bad := c.judge(r, body); bad != nil {
		return nil, bad
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	project, bad := c.project(r, job)
	if bad != nil {
		return nil, bad
	}
	return op.answer(c, call{project, job, r.URL.Query(), body, origin(r)})
}

func route(r *http.Request) (operation, string) {
	job, named := strings.CutPrefix(r.URL.Path, jobsPath+"/")
	key := r.Method
	if named {
		key += "/"
	}
	if op, ok := operations[key]; ok && (named || r.URL.Path == jobsPath) {
		return op, job
	}
	return operation{unknownCall, func(*Cloud, call) (any, *refusal) {
		return nil, refuse(http.StatusNotFound, "InvalidURI", "%s %s is not an operation.", r.Method, r.URL.Path)
	}}, ""
}

// project finds the project that a call is for: by Host, by header, or, for a
// bare host, one that has the job.
func (c *Cloud) project(r *http.Request, job string) (string, *refusal) {
	name, _ := splitHost(r.Host)
	if name == "" {
		name = r.Header.Get(ProjectHeader)
	}
	if name == "" {
		name = c.projectWith(job)
	}
	if c.projects[name] == nil {
		return "", refuse(http.StatusNotFound, "ProjectNotExist", "The Project does not exist : %s", name)
	}
	return name, nil
}

func (c *Cloud) projectWith(job string) string {
	names := slices.Sorted(maps.Keys(c.projects))
	for _, name := range names {
		if job == "" || c.projects[name][job] != nil {
			return name
		}
	}
	if len(names) == 0 {
		return ""
	}
	return names[0]
}

func origin(r *http.Request) string {
	_, host := splitHost(r.Host)
	return schemeOf(r) + host
}

func schemeOf(r *http.Request) string {
	if r.TLS != nil {
		return "https://"
	}
	return "http://"
}
