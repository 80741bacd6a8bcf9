package catalog

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"tallyman/verify/archive/ledger"
)

// listedLines are lines of exports of each kind in three places, many of them of one time.
func listedLines(n int) (lines []ledger.Line) {
	for i := range n {
		place, job := fmt.Sprintf("p%d", i%3), fmt.Sprintf("job-%03d", i*7%n)
		switch hours := i / 10; i % 7 {
		case 0:
			lines = append(lines, landedLine(place, job, hours, int64(i), "unproven: by its size alone"))
		case 1:
			lines = append(lines, failedLine(place, job, hours, []string{"corrupt", "network"}[i%2], "why"))
		case 2:
			lines = append(lines, line(ledger.Asked, place, job, hours))
		default:
			lines = append(lines, landedLine(place, job, hours, int64(i)))
		}
	}
	return lines
}

// readList pages through a list from one of its ends, and returns the keys as they were met.
func readList(t *testing.T, c *Catalog, f Filter, p Paging) (keys []string) {
	t.Helper()
	for range 10_000 {
		page, err := c.List(f, p)
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Exports) > p.Limit || page.Looked > 0 && page.Next == nil || page.Looked == 0 && page.Next != nil && len(page.Exports) < p.Limit {
			t.Fatalf("%+v: %d exports, looked at %d, next %v", p, len(page.Exports), page.Looked, page.Next)
		}
		if p.Newer {
			slices.Reverse(page.Exports)
		}
		for _, e := range page.Exports {
			keys = append(keys, e.Key)
		}
		if page.Next == nil {
			return keys
		}
		p.From = *page.Next
	}
	t.Fatal("the list does not end")
	return nil
}

// A list has each export that its filter lets pass once, and in one order from both its
// ends, however many are looked at for a page, by whichever index, and if a part of them is
// in no file of the ledger.
func TestList(t *testing.T) {
	a, dir := newArchive(t)
	mustAppend(t, a, listedLines(120)...)
	plain, overlaid := mustOpen(t, a, dir), mustOpen(t, a, "")
	more := listedLines(40)
	for i := range more {
		more[i].Key, more[i].Ref, more[i].At = more[i].Key+"-new", more[i].Ref+"-new", more[i].At.Add(3*time.Hour)
	}
	changed := failedLine("p0", "job-000", 5, "corrupt", "it is in the file too")
	overlaid.unwritten = append(more, changed)
	if err := overlaid.overlay(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	for _, f := range []Filter{
		{}, {Places: []string{"sls://cn-hangzhou/p1/"}}, {Phases: []Phase{Failed}}, {Phases: []Phase{Failed, Landed}}, {Doubts: true},
		{Places: []string{"sls://cn-hangzhou/p2/"}, Phases: []Phase{Failed}, Causes: []string{"corrupt"}}, {Causes: []string{"network"}},
		{Since: begin.Add(4 * time.Hour)}, {Until: begin.Add(4 * time.Hour), Unaccepted: true}, {Name: "JOB-01"}, {Name: "sls://cn-hangzhou/p1/job-0"}, {Name: "100%_"},
		{Places: []string{"sls://cn-hangzhou/p0/"}, Name: "2"}, {Places: []string{"sls://cn-hangzhou/nowhere/"}}, {Phases: []Phase{Damaged}},
	} {
		for name, c := range map[string]*Catalog{"plain": plain, "overlaid": overlaid} {
			all := mustExports(t, c, f)
			slices.SortFunc(all, func(a, b Export) int { return b.Position().compare(a.Position()) })
			var want []string
			for _, e := range all {
				want = append(want, e.Key)
			}
			for _, p := range []Paging{{Limit: 1000}, {Limit: 7}, {Limit: 3, Look: 5}, {Limit: 1, Look: 1}} {
				if diff := cmp.Diff(want, readList(t, c, f, p)); diff != "" {
					t.Errorf("%s %+v %+v: (-want +got)\n%s", name, f, p, diff)
				}
				p.Newer = true
				got := readList(t, c, f, p)
				slices.Reverse(got)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s %+v %+v: (-want +got)\n%s", name, f, p, diff)
				}
			}
		}
	}
}

// A list that few pass tells how far it has looked, and goes on from there; and what all
// pass does not depend on that.
func TestListTellsHowFarItHasLooked(t *testing.T) {
	a, dir := newArchive(t)
	mustAppend(t, a, listedLines(120)...)
	c := mustOpen(t, a, dir)
	page, err := c.List(Filter{Name: "job-000"}, Paging{Limit: 5, Look: 50}) // which is the oldest
	if err != nil || len(page.Exports) != 0 || page.Looked != 50 || page.Next == nil {
		t.Fatalf("%+v, %v", page, err)
	}
	page, err = c.List(Filter{Name: "job-000"}, Paging{Limit: 5, From: *page.Next})
	if err != nil || len(page.Exports) != 1 || page.Looked != 0 || page.Next != nil {
		t.Fatalf("%+v, %v", page, err)
	}
	if n, err := c.Total(Filter{Phases: []Phase{Failed}, Causes: []string{"corrupt"}, Name: "counts for nothing"}); n != 8 || err != nil {
		t.Errorf("Total = %d, %v", n, err)
	}
}
