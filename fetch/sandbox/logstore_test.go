package sandbox

import (
	"fmt"
	"net/url"
	"strconv"
	"testing"
	"time"
)

const logstoreName = "access-log"

// startLogstore serves a cloud with that log store.
func startLogstore(t *testing.T, l Logstore) (*Cloud, string) {
	t.Helper()
	c, base := startCloud(t)
	l.Name = logstoreName
	c.AddLogstore(project, l)
	return c, base
}

// hour is the beginning of a window that is over.
var hour = now().Add(-3 * time.Hour).Truncate(time.Hour)

func histogramPath(path string, from, to time.Time, query string) string {
	q := url.Values{"type": {"histogram"}, "from": {fmt.Sprint(from.Unix())}, "to": {fmt.Sprint(to.Unix())}, "query": {query}}
	return "/logstores/" + logstoreName + path + "?" + q.Encode()
}

// count asks for a histogram, and returns what it counts and how far it got.
func count(t *testing.T, base string, from, to time.Time, query string) (n int, progress string) {
	t.Helper()
	var h histogram
	resp := askSLS(t, base, "GET", histogramPath("/index", from, to, query), "", &h)
	if resp.StatusCode != 200 {
		t.Fatalf("got %d", resp.StatusCode)
	}
	at := from.Unix()
	for _, i := range h {
		if i.From != at || i.To <= i.From {
			t.Fatalf("%+v does not go on at %d", i, at)
		}
		at, n = i.To, n+i.Count
	}
	if at != to.Unix() || strconv.Itoa(n) != resp.Header.Get("x-log-count") {
		t.Fatalf("the intervals end at %d, and hold %d rows; the header says %s", at, n, resp.Header.Get("x-log-count"))
	}
	return n, resp.Header.Get("x-log-progress")
}

// The parts of a window have the rows of the whole, each time.
func TestAHistogramCountsTheRowsOfItsWindow(t *testing.T) {
	_, base := startLogstore(t, Logstore{RowsPerMinute: 5})
	first, _ := count(t, base, hour, hour.Add(1234*time.Second), "*")
	second, _ := count(t, base, hour.Add(1234*time.Second), hour.Add(time.Hour), "*")
	if all, progress := count(t, base, hour, hour.Add(time.Hour), "*"); all != first+second || first == 0 || progress != "Complete" {
		t.Errorf("%d rows, %d and %d of its parts, %s", all, first, second, progress)
	}
	if none, _ := count(t, base, now(), now().Add(time.Hour), "*"); none != 0 {
		t.Errorf("%d rows of the future", none)
	}
}

func TestAHistogramIsIncompleteAtFirst(t *testing.T) {
	_, base := startLogstore(t, Logstore{RowsPerMinute: 5, Incomplete: 2})
	end := hour.Add(time.Hour)
	for i, want := range []string{"Incomplete", "Incomplete", "Complete", "Complete"} {
		if _, progress := count(t, base, hour, end, "*"); progress != want {
			t.Errorf("call %d: got %s", i, progress)
		}
	}
	if _, progress := count(t, base, hour, end, "level:INFO"); progress != "Incomplete" {
		t.Error("another query is counted at once")
	}
}

func TestTheOlderPathOfAHistogramIsAnswered(t *testing.T) {
	_, base := startLogstore(t, Logstore{RowsPerMinute: 5})
	var older, newer histogram
	askSLS(t, base, "GET", histogramPath("", hour, hour.Add(time.Hour), "*"), "", &older)
	askSLS(t, base, "GET", histogramPath("/index", hour, hour.Add(time.Hour), "*"), "", &newer)
	if wantEqual(t, "the histogram", older, newer); len(newer) != 12 {
		t.Errorf("%d intervals of an hour", len(newer))
	}
}

func TestRowsArriveLateAndGoByTTL(t *testing.T) {
	clock := now()
	o := options()
	o.Now = func() time.Time { return clock }
	c := New(o)
	c.AddLogstore(project, Logstore{Name: logstoreName, RowsPerMinute: 5, TTL: 1, Late: []LateRows{{Time: hour.Add(time.Minute), Arrival: now().Add(time.Hour), Rows: 7}}})
	base := start(t, c)
	counted := func() int {
		n := 0
		for r := range c.logstores[project][logstoreName].rows(hour, hour.Add(time.Hour), clock) {
			if r.Time != "" {
				n++
			}
		}
		return n
	}
	before := counted()
	clock = clock.Add(2 * time.Hour)
	if after := counted(); before == 0 || after != before+7 {
		t.Errorf("%d rows, and later %d, want 7 more", before, after)
	}
	clock = hour.Add(25 * time.Hour)
	if after := counted(); after != 0 {
		t.Errorf("%d rows past the time that they are kept for", after)
	}
	clock = now() // when the requests of this test are signed
	var d logstoreDescription
	askSLS(t, base, "GET", "/logstores/"+logstoreName, "", &d)
	wantEqual(t, "GetLogStore", d, logstoreDescription{Name: logstoreName, TTL: 1})
}

func TestLogstoreCallsAreRefused(t *testing.T) {
	_, base := startLogstore(t, Logstore{RowsPerMinute: 1})
	store, end := "/logstores/"+logstoreName, hour.Add(time.Hour)
	for path, want := range map[string]string{
		"/logstores/none":       "404 LogStoreNotExist",
		"/logstores/none/index": "404 LogStoreNotExist",
		"/logstores/none/index?type=histogram&from=1&to=2": "404 LogStoreNotExist",
		"/logstores/":       "404 InvalidURI",
		store + "/shards":   "404 InvalidURI",
		store + "?type=log": "404 InvalidURI",
		store + "/index?type=histogram&to=2&query=*":         "400 ParameterInvalid",
		histogramPath("/index", hour, hour, "*"):             "400 InvalidTimeRange",
		histogramPath("/index", end, hour, "*"):              "400 InvalidTimeRange",
		histogramPath("/index", hour, end, "* | select *"):   "400 InvalidQueryString",
		histogramPath("/index", hour, end, "level:(a or b)"): "400 InvalidQueryString",
		histogramPath("/index", hour, end, " "):              "400 InvalidQueryString",
	} {
		if got := slsError(t, base, "GET", path, ""); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
}
