package coverage

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tallyman/verify/archive"
	"tallyman/verify/archive/catalog"
	"tallyman/verify/archive/ledger"
)

const place, group = "sls://cn-hangzhou/p/", "access *"

// hour is the beginning of an hour of the first of November 2026.
func hour(n int) int64 { return time.Date(2026, 11, 1, n, 0, 0, 0, time.UTC).Unix() }

// landed is the line of an export that spans hours.
func landed(job string, from, to int) ledger.Line {
	return ledger.Line{
		Kind: ledger.Landed, Ref: place + job, Key: "sls/cn-hangzhou/p/" + job, At: time.Unix(hour(to), 0).Add(20 * time.Minute),
		Window: &ledger.Window{Group: group, From: hour(from), To: hour(to)},
	}
}

// became is a line that says what became of an export.
func became(kind ledger.Kind, job string) ledger.Line {
	l := landed(job, 0, 1)
	l.Kind, l.Window = kind, nil
	return l
}

func accepted(group string, from, to int) ledger.Line {
	return ledger.Line{Kind: ledger.Accepted, Ref: place, Reason: "known", Window: &ledger.Window{Group: group, From: hour(from), To: hour(to)}}
}

func mustCatalog(t testing.TB, dir string, lines ...ledger.Line) *catalog.Catalog {
	t.Helper()
	a, err := archive.Open(filepath.Join(t.TempDir(), "archive"), "", archive.SiteAbsent)
	if err != nil {
		t.Fatal(err)
	}
	for len(lines) > 0 {
		n := min(len(lines), 2000)
		if err := a.Ledger().Append(lines[:n]...); err != nil {
			t.Fatal(err)
		}
		lines = lines[n:]
	}
	c, err := catalog.Open(t.Context(), a, catalog.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// hours are spans as the hours that they have, such as "1-3 5-6".
func hours(spans []Span) (text string) {
	for _, s := range spans {
		text += fmt.Sprintf(" %d-%d", (s.From-hour(0))/3600, (s.To-hour(0))/3600)
	}
	return text
}

// What is whole covers its window; what was accepted or removed settles it; and what is
// damaged or gone does neither.
func TestOf(t *testing.T) {
	again := landed("a", 0, 4)
	again.Key += "@20261101T000000Z"
	all := []ledger.Line{
		landed("a", 0, 4), again, landed("b", 3, 6), landed("c", 7, 8), became(ledger.Damaged, "c"), landed("d", 8, 9), became(ledger.Absent, "d"),
		landed("e", 9, 10), became(ledger.Removed, "e"), accepted(group, 5, 7), accepted("other *", 7, 8), accepted("", 12, 13), landed("f", 14, 15),
		landed("g", 10, 11), became(ledger.Damaged, "g"), became(ledger.Healed, "g"),
	}
	for _, tt := range []struct {
		name                                     string
		within                                   Span
		covered, settled, gaps, lost, twice, pct string
		whole                                    int64
	}{
		{"from the first to the last", Span{}, " 0-6 10-11 14-15", " 6-7 9-10 12-13", " 7-9 11-12 13-14", " 7-9", " 3-4", "66.7", 5},
		{"a time", Span{hour(5), hour(8)}, " 5-6", " 6-7", " 7-8", " 7-8", "", "50.0", 1},
		{"beyond both", Span{hour(-2), hour(20)}, " 0-6 10-11 14-15", " 6-7 9-10 12-13", " -2-0 7-9 11-12 13-14 15-20", " 7-9", " 3-4", "42.1", 5},
		{"what is all there", Span{hour(1), hour(7)}, " 1-6", " 6-7", "", "", " 3-4", "100.0", 3},
		{"what is not there", Span{hour(15), hour(16)}, "", "", " 15-16", "", "", "0.0", 0},
	} {
		c := mustCatalog(t, "", all...)
		var g Group
		for p, err := range c.Places() {
			for windows, groupErr := range c.Groups(p.Name) {
				if err == nil && groupErr == nil {
					g, err = Of(c, &p, windows, tt.within)
				}
				if err != nil || groupErr != nil {
					t.Fatal(err, groupErr)
				}
			}
		}
		got := []string{hours(g.Covered), hours(g.Settled), hours(g.Gaps), hours(g.Lost), hours(g.Overlaps), fmt.Sprintf("%.1f", g.Percent())}
		if diff := cmp.Diff([]string{tt.covered, tt.settled, tt.gaps, tt.lost, tt.twice, tt.pct}, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", tt.name, diff)
		}
		if g.Windows != 8 || g.Whole != tt.whole || g.Place != place || g.Name != group {
			t.Errorf("%+v", g)
		}
	}
}

// A share is never told as all while anything is lacking.
func TestPercentIsNotRoundedToAll(t *testing.T) {
	g := Group{Covered: []Span{{0, 1_000_000}}, Gaps: []Span{{1_000_000, 1_000_001}}}
	if got := g.Percent(); got != 99.9 {
		t.Errorf("%v", got)
	}
	g.Covered, g.Gaps = g.Gaps, g.Covered
	if got := g.Percent(); got != 0.1 {
		t.Errorf("%v", got)
	}
}

func TestCheck(t *testing.T) {
	const h = time.Hour
	windows := []ledger.Line{landed("a", 0, 1), landed("b", 1, 2), landed("d", 3, 4)}
	for _, tt := range []struct {
		name  string
		lines []ledger.Line
		now   int // hour
		e     Expectation
		gaps  string
		last  int
		late  bool
	}{
		{"a gap within", windows, 5, Expectation{Group: group, Every: h, Grace: 2 * h}, " 2-3", 4, false},
		{"a gap whose grace is not over", windows, 4, Expectation{Group: group, Every: h, Grace: 2 * h}, "", 4, false},
		{"all that was due is there", windows, 7, Expectation{Group: group, Every: h, Grace: 2 * h}, " 2-3", 4, false},
		{"the next is late", windows, 9, Expectation{Group: group, Every: h, Grace: 2 * h}, " 2-3 4-6", 4, true},
		{"a gap that is accepted", append(windows[:3:3], accepted(group, 2, 3)), 7, Expectation{Group: group, Every: h, Grace: 2 * h}, "", 4, false},
		{"a late one that is accepted", append(windows[:3:3], accepted("", 2, 3), accepted("", 4, 7)), 9, Expectation{Group: group, Every: h, Grace: 2 * h}, "", 4, false},
		{"gaps far back", windows, 5, Expectation{Group: group, Every: h, Grace: 2 * h, Since: 2 * h}, "", 4, false},
		{"before the first", windows, 5, Expectation{Group: group, Every: h, Grace: 2 * h, Since: 7 * h}, " -2-0 2-3", 4, false},
		{"a group that never landed", windows, 9, Expectation{Group: "other *", Every: h, Grace: 2 * h}, "", 0, true},
		{"one that is to be there since", windows, 9, Expectation{Group: "other *", Every: h, Grace: 2 * h, Since: 5 * h}, " 4-6", 0, true},
		{"something landed in time", windows, 7, Expectation{Every: h, Grace: 2 * h}, "", 4, false},
		{"nothing landed in time", windows, 8, Expectation{Every: h, Grace: 2 * h}, "", 4, true},
		{"nothing landed, as is accepted", append(windows[:3:3], accepted("", 4, 8)), 10, Expectation{Every: h, Grace: 2 * h}, "", 4, false},
		{"and not for long enough", append(windows[:3:3], accepted("", 4, 8)), 12, Expectation{Every: h, Grace: 2 * h}, "", 4, true},
		{"a place where nothing landed", nil, 12, Expectation{Every: h, Grace: 2 * h}, "", 0, true},
	} {
		c := mustCatalog(t, "", tt.lines...)
		tt.e.Place = place
		findings, err := Check(c, []Expectation{tt.e, {Place: "sls://cn-hangzhou/never/", Every: h}}, time.Unix(hour(tt.now), 0))
		if err != nil || len(findings) != 2 || !findings[1].Late {
			t.Fatal(tt.name, findings, err)
		}
		f := findings[0]
		if got := hours(f.Windows.Gaps); got != tt.gaps || f.Late != tt.late || f.IsMet() != (!tt.late && tt.gaps == "") {
			t.Errorf("%s: gaps %q, late %v", tt.name, got, f.Late)
		}
		if last := f.Last.Unix(); !f.Last.IsZero() && last-last%3600 != hour(tt.last) {
			t.Errorf("%s: the last was at %v", tt.name, f.Last)
		}
	}
	if findings, err := Check(nil, nil, time.Now()); findings != nil || err != nil {
		t.Error(findings, err)
	}
}

// The windows of a year, and a million of them, are counted in a moment.
func BenchmarkOf(b *testing.B) {
	for _, n := range []int{8760, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			lines := []ledger.Line{{Kind: ledger.Adopted, Through: true}}
			for i := range n {
				if i%1000 != 7 {
					lines = append(lines, began(fmt.Sprint("job-", i), i, i+1, "names", 1000, ledger.FirstIsHeader))
				}
			}
			c := mustCatalog(b, b.TempDir(), lines...)
			b.ReportAllocs()
			for b.Loop() {
				findings, err := Check(c, []Expectation{{Place: place, Group: group, Every: time.Hour}}, time.Unix(hour(n), 0))
				if err != nil || len(findings[0].Windows.Gaps) != (n+992)/1000 {
					b.Fatal(len(findings[0].Windows.Gaps), err)
				}
			}
		})
	}
}
