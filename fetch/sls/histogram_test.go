package sls

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/fetch/sandbox"
)

// windowOf returns an hour of a log store and query.
func windowOf(t testing.TB, query string) fetch.Window {
	from := time.Unix(1767312000, 0).UTC()
	return fetch.Window{Place: parsePlace(t, placeRef), Group: WindowGroup("access", query), From: from, To: from.Add(time.Hour)}
}

func describeCount(t testing.TB, c fetch.Count, err error) string {
	if err != nil {
		return fetchtest.Describe(t, nil, err)
	}
	return fmt.Sprintf("%d records after %d calls, the last of them %s to %s\n", c.Records, c.Calls, c.RequestID, c.Endpoint)
}

func TestRecordedHistograms(t *testing.T) {
	files, err := filepath.Glob("testdata/histogram/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no recorded answers", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				replay(t, file, func(p *Provider) string {
					count, err := p.Count(t.Context(), windowOf(t, "*"))
					return describeCount(t, count, err)
				})
			})
		})
	}
}

// A count that can't be trusted is none: it is an error that passes, so that it is asked
// for again.
func TestAHistogramThatDoesNotAddUpIsNoCount(t *testing.T) {
	for name, c := range map[string]struct{ body, total string }{
		"null":                           {`null`, ""},
		"an object":                      {`{"count":1}`, ""},
		"no interval and no total":       {`[]`, ""},
		"another total":                  {`[{"count":7,"progress":"Complete"}]`, "8"},
		"a total that is none":           {`[{"count":7,"progress":"Complete"}]`, "many"},
		"a negative count":               {`[{"count":-7,"progress":"Complete"}]`, "-7"},
		"no count":                       {`[{"progress":"Complete"}]`, "0"},
		"more than can be counted":       {`[{"count":9223372036854775807},{"count":9223372036854775807}]`, ""},
		"a page":                         {`<html>busy`, "7"},
		"a list of other things":         {`[[],"x",null]`, "0"},
		"a histogram that never is done": {`[{"count":7,"progress":"Incomplete"}]`, "7"},
		"a word that is not known":       {`[{"count":7,"progress":"Mostly"}]`, "7"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, err := answering(200, c.body, "x-log-count", c.total, "x-log-requestid", "R1").Count(t.Context(), windowOf(t, "*"))
				if !errors.Is(err, fetch.ErrTemporary) {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

// What is asked for is the search alone, for the window as it is.
func TestAQueryThatOnlySelectsIsCountedByItsSearch(t *testing.T) {
	for query, want := range map[string]string{
		"":                          "*",
		"*":                         "*",
		"level: ERROR":              "level: ERROR",
		"* | select *":              "*",
		"level: ERROR |\n SELECT *": "level: ERROR",
		"| select *":                "*",
	} {
		p := provider(func(req *http.Request) (*http.Response, error) {
			q := req.URL.Query()
			if q.Get("query") != want || q.Get("from") != "1767312000" || q.Get("to") != "1767315600" || q.Get("type") != "histogram" || req.URL.Path != "/logstores/access/index" {
				t.Errorf("%q: got %s", query, req.URL)
			}
			return answered(200, `[{"count":1,"progress":"Complete"}]`), nil
		})
		if _, err := p.Count(t.Context(), windowOf(t, query)); err != nil {
			t.Errorf("%q: %v", query, err)
		}
	}
}

func TestWhatAHistogramCantCountIsNotAskedFor(t *testing.T) {
	p := provider(func(req *http.Request) (*http.Response, error) {
		t.Errorf("asked for %s", req.URL)
		return nil, errors.ErrUnsupported
	})
	for _, query := range []string{
		"* | select count(*)", "* | select level", "* | select * from log", "* |", "* | select * | select *", strings.Repeat("a", 2000), "https://h/p?Signature=secret", "message: ***",
	} {
		if _, err := p.Count(t.Context(), windowOf(t, query)); !errors.Is(err, fetch.ErrNotCountable) {
			t.Errorf("%.40q: got %v", query, err)
		}
	}
	window := windowOf(t, "*")
	for _, window.Group = range []string{"", "access", " *"} {
		if _, err := p.Count(t.Context(), window); !errors.Is(err, fetch.ErrNotCountable) {
			t.Errorf("the group %q: got %v", window.Group, err)
		}
	}
}

func TestHistogramsHaveARateOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := answering(200, `[{"count":1,"progress":"Complete"}]`)
		p.CountLimit = rate.NewLimiter(rate.Every(time.Minute), 1)
		began := time.Now()
		if count, err := p.Count(t.Context(), windowOf(t, "*")); err != nil || count.Calls != 2 || time.Since(began) != time.Minute {
			t.Errorf("%+v, %v after %v", count, err, time.Since(began))
		}
	})
}

// The sandbox signs for nobody: a count that comes back was signed as the vendor wants it.
func TestACountIsWhatTheLogStoreHas(t *testing.T) {
	for _, signature := range []string{"v4", "v1", "v1-sha1"} {
		cloud := started(t, sandbox.Job{})
		cloud.provider.Signature = signature
		cloud.AddLogstore("ali-test-project", sandbox.Logstore{Name: "access", RowsPerMinute: 3, TTL: 7, IndexedSince: time.Now().Add(-time.Hour)})
		w := windowOf(t, "not level: INFO")
		w.From = time.Now().Add(-30 * time.Minute).Truncate(time.Second)
		w.To = w.From.Add(10 * time.Minute)
		count, err := cloud.provider.Count(t.Context(), w)
		if err != nil || count.Records == 0 || count.Calls != 2 || count.RequestID == "" {
			t.Errorf("%s: %+v, %v", signature, count, err)
		}
	}
}

func TestCountableIsWhatIsKeptAndIndexed(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		name     string
		logstore sandbox.Logstore
		since    time.Time
		why      string
	}{
		{"all", sandbox.Logstore{}, time.Time{}, ""},
		{"a week", sandbox.Logstore{TTL: 7}, now.Add(-7 * 24 * time.Hour), "the log store keeps rows for 7 days"},
		{"since the index was made", sandbox.Logstore{TTL: 7, IndexedSince: now.Add(-time.Hour)}, now.Add(-time.Hour), "its index was made or changed on "},
		{"a week, after that", sandbox.Logstore{TTL: 7, IndexedSince: now.Add(-100 * 24 * time.Hour)}, now.Add(-7 * 24 * time.Hour), "the log store keeps rows for 7 days"},
	} {
		cloud := started(t, sandbox.Job{})
		c.logstore.Name = "access"
		cloud.AddLogstore("ali-test-project", c.logstore)
		got, err := cloud.provider.Countable(t.Context(), windowOf(t, "* | select level"))
		if off := got.Since.Sub(c.since).Abs(); err != nil || off > time.Minute || !strings.HasPrefix(got.Why, c.why) || (c.why == "") != (got.Why == "") || got.RequestID == "" {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
}

func FuzzHistogram(f *testing.F) {
	for _, body := range append(fetchtest.Recorded(f, "testdata/histogram/*.txtar"), `[{"count":"1"}]`, `[]`, `null`, `{"errorCode":"signingKey"}`) {
		f.Add(200, body, "7", "Complete")
		f.Add(404, body, "", "")
	}
	f.Fuzz(func(t *testing.T, status int, body, total, progress string) {
		synctest.Test(t, func(t *testing.T) {
			body := strings.ReplaceAll(body, "signingKey", fetchtest.Secret)
			p := answering(200+(status%300+300)%300, body, "x-log-count", total, "x-log-progress", progress)
			count, err := p.Count(t.Context(), windowOf(t, "*"))
			if got := describeCount(t, count, err); strings.Contains(got, fetchtest.Secret) || err == nil && (count.Records < 0 || count.Calls != 2) {
				t.Errorf("got %s", got)
			}
		})
	})
}
