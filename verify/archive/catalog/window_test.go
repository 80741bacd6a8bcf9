package catalog

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tallyman/verify/archive"
	"tallyman/verify/archive/ledger"
)

func mustWindows(t testing.TB, c *Catalog, place, group string) (all []Window) {
	t.Helper()
	for w, err := range c.Windows(place, group) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, w)
	}
	return all
}

// windowLine is a line of an export that landed and spans the time from..to of a group.
func windowLine(job, group string, from, to int64) ledger.Line {
	l := landedLine("p", job, 1, 5)
	l.Window = &ledger.Window{Group: group, From: from, To: to}
	return l
}

// The windows of what landed are known with what became of their exports, also those that an
// earlier version left out of its lines.
func TestWindows(t *testing.T) {
	const place = "sls://cn-hangzhou/p/"
	a, dir := newArchive(t)
	a.WindowOf = func(reference string, answer func() any) *ledger.Window {
		switch got := answer(); {
		case got != nil:
			t.Errorf("%s has no bag, and its answer is %v", reference, got)
		case reference == place+"earlier":
			return &ledger.Window{Group: "access *", From: 300, To: 400}
		}
		return nil
	}
	again := windowLine("a", "access *", 0, 100)
	again.Key += "@20261101T000000Z"
	outage := line(ledger.Accepted, "p", "", 5)
	outage.Key, outage.Window, outage.Reason = "", &ledger.Window{Group: "access *", From: 500, To: 600}, "known outage"
	gone := line(ledger.Asked, "p", "f", 4)
	mustAppend(t, a,
		windowLine("b", "access *", 200, 300), windowLine("a", "access *", 0, 100), again, landedLine("p", "earlier", 2, 5), landedLine("p", "none", 2, 5),
		windowLine("c", "access *", 100, 200), line(ledger.Damaged, "p", "c", 3), windowLine("d", "errors *", 50, 60), line(ledger.Removed, "p", "d", 3),
		windowLine("f", "errors *", 60, 70), line(ledger.Absent, "p", "f", 3), gone, outage)
	c := mustOpen(t, a, dir)
	var groups []Group
	for g, err := range c.Groups(place, "sls://cn-hangzhou/q/") {
		if err != nil {
			t.Fatal(err)
		}
		groups = append(groups, g)
	}
	if diff := cmp.Diff([]Group{{place, "access *", 5, 0, 400}, {place, "errors *", 2, 50, 70}}, groups); diff != "" {
		t.Error(diff)
	}
	for group, want := range map[string][]Window{
		"access *": {{0, 100, Landed, false, First{Rows: ledger.Unknown}}, {0, 100, Landed, true, First{Rows: ledger.Unknown}}, {100, 200, Damaged, false, First{Rows: ledger.Unknown}}, {200, 300, Landed, false, First{Rows: ledger.Unknown}}, {300, 400, Landed, false, First{Rows: ledger.Unknown}}},
		"errors *": {{50, 60, Removed, false, First{Rows: ledger.Unknown}}, {60, 70, Absent, false, First{Rows: ledger.Unknown}}},
		"other":    nil,
	} {
		if diff := cmp.Diff(want, mustWindows(t, c, place, group)); diff != "" {
			t.Errorf("%s: %s", group, diff)
		}
	}
	if got := mustNames(t, c, Filter{Group: "access *", From: 150, To: 301, Order: ByWindow}); got != "c b earlier" {
		t.Errorf("the exports of a time are %q", got)
	}
	for p, err := range c.Places() {
		want := []AcceptedWindow{{*outage.Window, Acceptance{outage.At, "", "known outage"}}}
		if diff := cmp.Diff(want, p.AcceptedWindows); diff != "" || err != nil {
			t.Error(diff, err)
		}
	}
	e, err := c.Export("sls/cn-hangzhou/p/earlier")
	if err != nil || e.Window == nil || e.Window.From != 300 {
		t.Errorf("%+v, %v", e.Window, err)
	}
}

// A window is found by its index alone: a place may have a million of them.
func TestWindowsAreFoundByTheirIndex(t *testing.T) {
	a, dir := newArchive(t)
	mustAppend(t, a, windowLine("a", "g", 1, 2))
	c := mustOpen(t, a, dir)
	for _, sql := range []string{windowsSQL, groupsSQL + "true) GROUP BY 1, 2"} {
		var plan []string
		for row, err := range c.query("EXPLAIN QUERY PLAN " + sql) {
			if err != nil {
				t.Fatal(err)
			}
			plan = append(plan, row.ColumnText(3))
		}
		if !slices.ContainsFunc(plan, func(s string) bool { return strings.Contains(s, "USING COVERING INDEX by_window") }) || slices.ContainsFunc(plan, func(s string) bool { return strings.Contains(s, "TEMP B-TREE") }) {
			t.Errorf("%s: %q", sql, plan)
		}
	}
}

// The counts that are due are those that no witness was asked for since the export landed,
// and those that it is to be asked for again, since rows may have been late.
func TestDueCounts(t *testing.T) {
	const place = "sls://cn-hangzhou/p/"
	a, dir := newArchive(t)
	end := time.Date(2026, 11, 3, 0, 0, 0, 0, time.UTC)
	landed := func(job string) ledger.Line {
		l := windowLine(job, "access *", end.Unix()-3600, end.Unix())
		l.At = end.Add(time.Hour)
		return l
	}
	counted := func(job string, after time.Duration, verdict archive.Verdict) ledger.Line {
		l := landed(job)
		l.Kind, l.Bag, l.Verdict, l.At = ledger.Witnessed, "", string(verdict), end.Add(after)
		return l
	}
	gone := landed("gone")
	gone.Kind = ledger.Absent
	const day = 24 * time.Hour
	mustAppend(t, a, landed("never"), landed("once"), landed("sql"), landed("twice"), landed("gone"), landedLine("p", "untimed", 5, 5),
		gone, counted("once", 2*time.Hour, archive.Agrees), counted("sql", 2*time.Hour, archive.NotCountable),
		counted("twice", 2*time.Hour, archive.LateRows), counted("twice", 8*day, archive.Agrees))
	c := mustOpen(t, a, dir)
	due := func(since, until time.Time) (names []string) {
		for e, err := range c.DueCounts(place, since, until) {
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, e.Ref[len(place):])
		}
		return names
	}
	for _, tt := range []struct {
		since, until time.Time
		want         []string
	}{
		{time.Time{}, end, nil},
		{time.Time{}, end.Add(time.Hour), []string{"never"}},
		{time.Time{}, end.Add(8 * day), []string{"never", "once"}},
		{end.Add(day), end.Add(9 * day), []string{"once"}},
	} {
		if diff := cmp.Diff(tt.want, due(tt.since, tt.until)); diff != "" {
			t.Errorf("from %v to %v (-want +got)\n%s", tt.since, tt.until, diff)
		}
	}
	again := landed("twice")
	again.At = end.Add(9 * day)
	mustAppend(t, a, again)
	if err := c.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"twice"}, due(end.Add(8*day+time.Second), end.Add(9*day))); diff != "" {
		t.Errorf("what landed anew is due anew (-want +got)\n%s", diff)
	}
	for row, err := range c.query("EXPLAIN QUERY PLAN " + countsSQL) {
		if err != nil || !strings.Contains(row.ColumnText(3), "USING INDEX by_count") && !strings.Contains(row.ColumnText(3), "LAST TERM OF ORDER BY") {
			t.Errorf("%v: %s", err, row.ColumnText(3))
		}
	}
}
