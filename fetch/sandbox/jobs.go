package sandbox

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
)

func (c *Cloud) getJob(q call) (any, *refusal) {
	e, bad := c.find(q)
	if bad != nil {
		return nil, bad
	}
	e.object.count(ItemCounts{StatusCalls: 1})
	if strike(e.Unavailable, &e.unavailable) {
		return nil, refuse(http.StatusServiceUnavailable, "ServerBusy", "The server is busy, please try again later.").set("Retry-After", "1")
	}
	if strike(e.Throttles, &e.throttled) {
		return nil, refuse(http.StatusForbidden, "MetaOperationQpsLimitExceeded", "Qps limit for the meta operation is exceeded.")
	}
	n := e.gets
	e.gets++
	return c.describe(e, n, c.freshURL(e.object, q.origin)), nil
}

// Where a listing does not say how many jobs it wants, and the most it gets.
const (
	listSize    = 100
	mostListing = 500
)

type listing struct {
	Total   int              `json:"total"`
	Count   int              `json:"count"`
	Results []jobDescription `json:"results"`
}

func (c *Cloud) listJobs(q call) (any, *refusal) {
	offset, bad := number(q, "offset", 0)
	if bad != nil {
		return nil, bad
	}
	size, bad := number(q, "size", listSize)
	if bad != nil {
		return nil, bad
	}
	all := c.newestFirst(q.project, q.query.Get("logstore"))
	l := listing{Total: len(all), Results: []jobDescription{}}
	for _, e := range all[min(offset, len(all)):min(offset+size, len(all))] {
		d := c.describe(e, max(e.gets-1, 0), c.lastURL(e.object, q.origin))
		d.Configuration.AllowInComplete = strconv.FormatBool(e.AllowIncomplete)
		l.Results = append(l.Results, d)
	}
	l.Count = len(l.Results)
	return l, nil
}

func (c *Cloud) newestFirst(project, logstore string) []*entry {
	var all []*entry
	for _, e := range c.projects[project] {
		if logstore == "" || logstore == e.logstore() {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b *entry) int {
		return cmp.Or(b.CreateTime.Compare(a.CreateTime), cmp.Compare(b.number, a.number))
	})
	return all
}

func number(q call, name string, otherwise int) (int, *refusal) {
	text := q.query.Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || name == "size" && (n == 0 || n > mostListing) {
		return 0, refuse(http.StatusBadRequest, "ParameterInvalid", "%s is invalid: %s", name, text)
	}
	return n, nil
}

func (c *Cloud) deleteJob(q call) (any, *refusal) {
	e, bad := c.find(q)
	if bad == nil {
		delete(c.projects[q.project], e.Name)
	}
	return nil, bad
}

func (c *Cloud) find(q call) (*entry, *refusal) {
	e := c.projects[q.project][q.job]
	if e == nil {
		return nil, refuse(http.StatusNotFound, "JobNotExist", "Job %s does not exist.", q.job)
	}
	return e, nil
}
