package main

import (
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"tallyman/cmd/tallyman/internal/config"
	"tallyman/verify/archive"
	"tallyman/verify/archive/ledger"
)

// withGaps has exports of access-log land that cover some hours of a day, and returns the line
// of one more.
func withGaps(t *testing.T, store *archive.Archive) (windows func(job string, from, to int) ledger.Line) {
	t.Helper()
	begin := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	windows = func(job string, from, to int) ledger.Line {
		return watchedLine(ledger.Landed, job, func(l *ledger.Line) {
			l.Window = &ledger.Window{Group: "access-log *", From: begin.Unix() + int64(from)*3600, To: begin.Unix() + int64(to)*3600}
		})
	}
	if err := store.Ledger().Append(windows("h0", 0, 2), windows("h1", 1, 3), windows("h5", 5, 6), windows("h7", 7, 8), windows("h8", 8, 9), watchedLine(ledger.Damaged, "h7", nil)); err != nil {
		t.Fatal(err)
	}
	return windows
}

// The page tells what the command coverage does, and what lacks leads to the commands that
// settle it.
func TestTheCoverageOfThePage(t *testing.T) {
	t.Parallel()
	a, store := newWatched(t)
	withGaps(t, store)
	h := newWatching(t, a, store, false).handler(a, "127.0.0.1:8410", "")
	if body := get(t, h, "/", nil).Body.String(); !strings.Contains(body, `href="/coverage?place=sls`) {
		t.Errorf("nothing leads to the coverage: %s", body)
	}
	first := get(t, h, "/", nil).Body.String()
	for _, want := range []string{"access-log *: 55.6% of 9h is covered, by 4 exports", `Lacks <a href="/coverage?from=2026-11-01T03`, "2026-11-01 03:00 UTC</time>, 2h</a> and 1 more gap<", `<a class="lacking" href="/coverage?`} {
		if !strings.Contains(first, want) {
			t.Errorf("the first view lacks %s: %s", want, first)
		}
	}
	body := get(t, h, "/coverage?place="+watchedPlace, nil).Body.String()
	for _, want := range []string{"access-log *", "55.6% of 9h is covered, by 4 exports", "2026-11-01 03:00 UTC", "2026-11-01 05:00 UTC", ", 2h", "damaged or gone", "Covered twice", `class="lacking" href="/coverage?`, `<span class="covered"`} {
		if !strings.Contains(body, want) {
			t.Errorf("it lacks %s: %s", want, body)
		}
	}
	links := regexp.MustCompile(`<li><a href="(/coverage\?[^"]*)"`).FindAllStringSubmatch(body, -1)
	if len(links) != 2 {
		t.Fatalf("%d gaps: %s", len(links), body)
	}
	body = html.UnescapeString(get(t, h, html.UnescapeString(links[0][1]), nil).Body.String())
	for _, want := range []string{
		"0% of 2h is covered", "tallyman ensure " + watchedPlace + " --logstore access-log --query '*' --since 2026-11-01T03:00:00Z --until 2026-11-01T05:00:00Z",
		"tallyman accept " + watchedPlace + " --logstore access-log --query '*' --from 2026-11-01T03:00:00Z --to 2026-11-01T05:00:00Z --reason TEXT",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the gap lacks %s: %s", want, body)
		}
	}
	if strings.Contains(body, "verify --repair") {
		t.Errorf("nothing is damaged in it: %s", body)
	}
	if body := get(t, h, html.UnescapeString(links[1][1]), nil).Body.String(); !strings.Contains(body, "tallyman verify --repair") {
		t.Errorf("it does not say how what is damaged comes back: %s", body)
	}
	if w := get(t, h, "/act?verb=accept&phase=gap&place="+watchedPlace+"&group=access-log+*&from=2026-11-01T00:00:00Z&to=2026-11-01T01:00:00Z", nil); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "lacks nothing then") {
		t.Errorf("a time that is covered: %d %s", w.Code, w.Body)
	}
	for query, code := range map[string]int{
		"":                              http.StatusNotFound,
		"place=sls://cn-hangzhou/none/": http.StatusNotFound,
		"place=https://example.com/%3Fsig=canary/":                                                        http.StatusNotFound,
		"place=" + watchedPlace + "&group=other&from=2026-11-01T00:00:00Z&to=2026-11-02T00:00:00Z":        http.StatusNotFound,
		"place=" + watchedPlace + "&group=access-log+*&from=2026-11-02T00:00:00Z&to=2026-11-01T00:00:00Z": http.StatusBadRequest,
		"place=" + watchedPlace + "&from=x":                                                               http.StatusBadRequest,
	} {
		if w := get(t, h, "/coverage?"+query, nil); w.Code != code || strings.Contains(w.Body.String(), "canary") {
			t.Errorf("%s: %d %s", query, w.Code, w.Body)
		}
	}
}

// A gap is accepted by the page as by the command, with a reason, and is a gap no longer; if it
// is another by the time that somebody agrees, nothing is done.
func TestAGapIsAcceptedByThePage(t *testing.T) {
	t.Parallel()
	a, store := newWatched(t)
	windows := withGaps(t, store)
	s := newWatching(t, a, store, false)
	h := s.handler(a, "127.0.0.1:8410", "")
	const group = "/coverage?place=" + watchedPlace + "&group=access-log+*&from=2026-11-01T03:00:00Z&to=2026-11-01T05:00:00Z"
	link := regexp.MustCompile(`href="/act\?([^"]*)" class="button">Accept this gap`).FindStringSubmatch(get(t, h, group, nil).Body.String())
	if link == nil {
		t.Fatalf("the gap can't be accepted: %s", get(t, h, group, nil).Body)
	}
	query := html.UnescapeString(link[1])
	asked := html.UnescapeString(get(t, h, "/act?"+query, nil).Body.String())
	for _, want := range []string{"Accept that " + watchedPlace + " lacks a time?", "It lacks 2026-11-01 03:00 UTC to 2026-11-01 05:00 UTC, 2h.", "Accept 1 gap", "tallyman accept " + watchedPlace + " --logstore access-log --query '*' --from 2026-11-01T03:00:00Z --to 2026-11-01T05:00:00Z --reason TEXT"} {
		if !strings.Contains(asked, want) {
			t.Errorf("the question lacks %s: %s", want, asked)
		}
	}
	form := formOf(asked)
	form.Set("reason", "the shop was closed")
	if err := store.Ledger().Append(windows("h3", 3, 4)); err != nil {
		t.Fatal(err)
	}
	s.observer.stale.Store(true)
	if w := post(h, form); w.Code != http.StatusConflict || !strings.Contains(w.Body.String(), "It has changed since you looked") {
		t.Errorf("half of it has landed: %d %s", w.Code, w.Body)
	}
	if got := done(t, h, query, "the shop was closed"); !strings.Contains(got, "1 gap accepted") || !strings.Contains(got, "the shop was closed") {
		t.Errorf("accepted: %s", got)
	}
	last, err := store.Ledger().Last(ledger.Accepted, watchedPlace)
	if err != nil || last == nil || last.By != "page" || last.Reason != "the shop was closed" || last.Window == nil || last.Window.Group != "access-log *" || last.Window.To-last.Window.From != 7200 {
		t.Errorf("the ledger has %+v, %v", last, err)
	}
	if body := get(t, h, group, nil).Body.String(); strings.Contains(body, "Not covered") || strings.Contains(body, "Accept this gap") {
		t.Errorf("it is a gap still: %s", body)
	}
	a.PageReadOnly = true
	if body := get(t, s.handler(a, "127.0.0.1:8410", ""), "/coverage?place="+watchedPlace+"&group=access-log+*&from=2026-11-01T06:00:00Z&to=2026-11-01T07:00:00Z", nil).Body.String(); strings.Contains(body, "Accept this gap") || !strings.Contains(body, "Not covered") {
		t.Errorf("read only: %s", body)
	}
}

// What is expected of a place and is not there is told by the first view, and leads to where
// it is told of.
func TestTheFirstViewTellsWhatIsLate(t *testing.T) {
	t.Parallel()
	a, store := newWatched(t)
	withGaps(t, store)
	a.Expect = []config.Expectation{{Place: watchedPlace, LogStore: "access-log", Query: "*", Every: time.Hour, Grace: time.Hour}}
	body := get(t, newWatching(t, a, store, false).handler(a, "127.0.0.1:8410", ""), "/", nil).Body.String()
	for _, want := range []string{`class="sum late">1 late</a>`, `class="sum gap">2 gaps</a>`} {
		if !strings.Contains(body, want) {
			t.Errorf("it lacks %s: %s", want, body)
		}
	}
}
