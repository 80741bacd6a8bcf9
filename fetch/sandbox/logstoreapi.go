package sandbox

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"tallyman/fetch/sandbox/internal/apierr"
)

// A logstoreState is a log store with what has happened to it so far.
type logstoreState struct {
	Logstore
	asked map[string]int // histograms so far, by window and query
	made  map[int64]int  // jobs so far that did not get ERROR by a fault, by the beginning of their window
	fail  map[int64]int  // and those that did
}

// AddLogstore adds a log store, and its project if need be. It replaces one of the
// same name. In a project that has log stores, a job is created for one of them alone,
// and its file holds what its query finds there at that time.
func (c *Cloud) AddLogstore(project string, l Logstore) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.addProject(project)
	if c.logstores[project] == nil {
		c.logstores[project] = map[string]*logstoreState{}
	}
	c.logstores[project][l.Name] = &logstoreState{Logstore: l, asked: map[string]int{}, made: map[int64]int{}, fail: map[int64]int{}}
}

// UpdateLogstore calls change under the cloud's lock and reports whether there is such
// a log store. change must not call the cloud. What was counted so far goes on.
func (c *Cloud) UpdateLogstore(project, name string, change func(*Logstore)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.logstores[project][name]
	if l == nil {
		return false
	}
	change(&l.Logstore)
	l.Name = name
	return true
}

func (c *Cloud) logstore(q slsCall) (*logstoreState, *apierr.Error) {
	l := c.logstores[q.project][q.name]
	if l == nil {
		return nil, apierr.New(http.StatusNotFound, "LogStoreNotExist", "logstore %s does not exist", q.name)
	}
	return l, nil
}

// A logstoreDescription is the answer of GetLogStore, as far as it is known here.
type logstoreDescription struct {
	Name string `json:"logstoreName"`
	TTL  int    `json:"ttl"` // days
}

func (c *Cloud) getLogstore(q slsCall) (any, *apierr.Error) {
	l, bad := c.logstore(q)
	if bad != nil {
		return nil, bad
	}
	return logstoreDescription{l.Name, l.ttl()}, nil
}

// An indexDescription is the answer of GetIndex, as far as it is known here.
type indexDescription struct {
	Mode         string `json:"index_mode"`
	TTL          int    `json:"ttl"`            // days
	LastModified int64  `json:"lastModifyTime"` // seconds since 1970
}

func (c *Cloud) getIndex(q slsCall) (any, *apierr.Error) {
	l, bad := c.logstore(q)
	if bad != nil {
		return nil, bad
	}
	return indexDescription{"v2", l.ttl(), max(l.IndexedSince.Unix(), 0)}, nil
}

// An interval is one of those that a histogram counts.
type interval struct {
	From     int64  `json:"from"`
	To       int64  `json:"to"`
	Count    int    `json:"count"`
	Progress string `json:"progress"`
}

// A histogram is the answer of GetHistograms: intervals that the service chooses.
type histogram []interval

// header adds the totals, which the service gives in the header alone.
func (h histogram) header(to http.Header) {
	total, progress := 0, "Complete"
	for _, i := range h {
		if total += i.Count; i.Progress != progress {
			progress = i.Progress
		}
	}
	to.Set("x-log-count", strconv.Itoa(total))
	to.Set("x-log-progress", progress)
}

// widths are the lengths that intervals have, in seconds.
var widths = []int64{1, 5, 15, 30, 60, 300, 900, 1800, 3600, 4 * 3600, 24 * 3600}

const maxIntervals = 60 // of a histogram, unless it spans more days

// newHistogram returns the intervals of [from, to) with no rows in them: aligned, and
// of the least width with which there are no more than maxIntervals.
func newHistogram(from, to int64) (h histogram) {
	width := widths[len(widths)-1]
	for _, w := range widths {
		if (to-from)/w < maxIntervals {
			width = w
			break
		}
	}
	for at := from; at < to; {
		end := min(at-at%width+width, to)
		h = append(h, interval{From: at, To: end, Progress: "Complete"})
		at = end
	}
	return h
}

func (c *Cloud) getHistogram(q slsCall) (any, *apierr.Error) {
	l, bad := c.logstore(q)
	if bad != nil {
		return nil, bad
	}
	from, bad := q.seconds("from")
	if bad != nil {
		return nil, bad
	}
	to, bad := q.seconds("to")
	if bad != nil {
		return nil, bad
	}
	if from >= to {
		return nil, apierr.New(http.StatusBadRequest, "InvalidTimeRange", "request time range is invalid: from %d to %d", from, to)
	}
	query, ok := parseQuery(q.query.Get("query"))
	if !ok || query.sql != "" {
		return nil, apierr.New(http.StatusBadRequest, "InvalidQueryString", "query string is invalid: %s", q.query.Get("query"))
	}
	h := newHistogram(from, to)
	for r := range l.rows(laterOf(time.Unix(from, 0), l.IndexedSince), time.Unix(to, 0), c.options.Now()) {
		if query.selects(r) {
			h.add(r)
		}
	}
	key := url.Values{"from": q.query["from"], "to": q.query["to"], "query": q.query["query"]}.Encode()
	if l.asked[key]++; l.asked[key] <= l.Incomplete {
		last := &h[len(h)-1]
		last.Count, last.Progress = last.Count/2, "Incomplete"
	}
	return h, nil
}

// add counts a row, which is within the histogram.
func (h histogram) add(r row) {
	second, _ := strconv.ParseInt(r.Time, 10, 64)
	for i := range h {
		if second < h[i].To {
			h[i].Count++
			return
		}
	}
}

// seconds reads a time of a histogram.
func (q slsCall) seconds(name string) (int64, *apierr.Error) {
	n, err := strconv.ParseInt(q.query.Get(name), 10, 64)
	if err != nil || n <= 0 {
		return 0, apierr.New(http.StatusBadRequest, "ParameterInvalid", "%s is invalid: %s", name, q.query.Get(name))
	}
	return n, nil
}
