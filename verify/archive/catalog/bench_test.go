package catalog

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"tallyman/verify/archive"
	"tallyman/verify/archive/ledger"
)

// bigArchive returns an archive whose ledger tells of a million exports in 20 places, or
// of $EXPORTS: each was asked for, one in 50 failed, one in 100 still waits, one in 1,000
// has a doubt, and the others landed. None has a bag. It is made in $BIG_ARCHIVE, where it
// stays, or in a directory of the test.
func bigArchive(b testing.TB) *archive.Archive {
	b.Helper()
	exports, err := strconv.Atoi(cmp.Or(os.Getenv("EXPORTS"), "1000000"))
	if err != nil {
		b.Fatal(err)
	}
	dir := cmp.Or(os.Getenv("BIG_ARCHIVE"), filepath.Join(b.TempDir(), "archive"))
	a, err := archive.Open(dir, "", archive.SiteAbsent)
	if err != nil {
		b.Fatal(err)
	}
	if !a.Made {
		return a
	}
	lines := []ledger.Line{{Kind: ledger.Adopted, Through: true}}
	for n := range exports {
		place := fmt.Sprintf("project-%02d", n%20)
		job := fmt.Sprintf("job-%08d", n)
		for _, l := range []ledger.Line{line(ledger.Asked, place, job, n/1000), bigEnd(n, place, job)} {
			if l.Kind != "" {
				l.At = begin.Add(time.Duration(n) * time.Second)
				lines = append(lines, l)
			}
		}
		if len(lines) > 2000 || n == exports-1 {
			mustAppend(b, a, lines...)
			lines = lines[:0]
		}
	}
	return a
}

// bigEnd is the line that ends an export, if it has ended.
func bigEnd(n int, place, job string) ledger.Line {
	switch {
	case n%100 == 7:
		return ledger.Line{}
	case n%50 == 3:
		cause := []string{"corrupt", "network", "job-failed", "auth-denied"}[n/50%4]
		return failedLine(place, job, 0, cause, "the service answered 403 AccessDenied: "+strings.Repeat("some words of it, ", 5))
	case n%1000 == 500:
		return landedLine(place, job, 0, int64(n), "count-mismatch: 5 records, the job promised 6")
	}
	l := landedLine(place, job, 0, int64(n))
	l.Window = &ledger.Window{Group: "access-log/*", From: int64(n) * 3600, To: int64(n+1) * 3600}
	return l
}

// BenchmarkCatalog makes a catalog, and asks it.
func BenchmarkCatalog(b *testing.B) {
	a, dir := bigArchive(b), b.TempDir()
	b.Run("make", func(b *testing.B) {
		for b.Loop() {
			c := mustOpen(b, a, b.TempDir())
			_ = c.Close()
		}
	})
	c := mustOpen(b, a, dir)
	each := func(b *testing.B, f Filter) {
		for b.Loop() {
			n := 0
			for _, err := range c.Exports(f) {
				if n++; err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n), "exports")
		}
	}
	place := []string{"sls://cn-hangzhou/project-07/"}
	for name, ask := range map[string]func(b *testing.B){
		"open": func(b *testing.B) {
			for b.Loop() {
				c := mustOpen(b, a, dir)
				_ = c.Close()
			}
		},
		"sums": func(b *testing.B) {
			for b.Loop() {
				for _, err := range c.Places() {
					if err != nil {
						b.Fatal(err)
					}
				}
				for _, err := range c.Causes(Filter{}) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
		},
		"place":  func(b *testing.B) { each(b, Filter{Places: place}) },
		"doubts": func(b *testing.B) { each(b, Filter{Doubts: true}) },
		"failed": func(b *testing.B) { each(b, Filter{Places: place, Phases: []Phase{Failed}}) },
		"since":  func(b *testing.B) { each(b, Filter{Since: begin.Add(990_000 * time.Second)}) },
		"page":   func(b *testing.B) { each(b, Filter{Order: ByWhen, Desc: true, Limit: 50}) },
		"text":   func(b *testing.B) { each(b, Filter{Text: "job-00123456"}) },
		"all":    func(b *testing.B) { each(b, Filter{}) },
		"events": func(b *testing.B) {
			for b.Loop() {
				lines, err := c.Events("sls/cn-hangzhou/project-01/job-00000001")
				if len(lines) != 2 || err != nil {
					b.Fatal(lines, err)
				}
			}
		},
	} {
		b.Run(name, ask)
	}
}

// BenchmarkList asks for a page of each list that a million exports make.
func BenchmarkList(b *testing.B) {
	c := mustOpen(b, bigArchive(b), cmp.Or(os.Getenv("BIG_CACHE"), b.TempDir()))
	place := []string{"sls://cn-hangzhou/project-07/"}
	middle := Position{begin.Add(500_000 * time.Second).UnixMilli(), ""}
	for _, tt := range []struct {
		name   string
		filter Filter
		paging Paging
	}{
		{"newest", Filter{}, Paging{}},
		{"oldest", Filter{}, Paging{Newer: true}},
		{"middle", Filter{}, Paging{From: middle}},
		{"place", Filter{Places: place}, Paging{}},
		{"place-failed", Filter{Places: place, Phases: []Phase{Failed}}, Paging{From: middle}},
		{"failed", Filter{Phases: []Phase{Failed}}, Paging{From: middle, Newer: true}},
		{"cause", Filter{Phases: []Phase{Failed}, Causes: []string{"corrupt"}}, Paging{}},
		{"doubts", Filter{Doubts: true}, Paging{}},
		{"damaged", Filter{Phases: []Phase{Damaged, Absent}}, Paging{}},
		{"since", Filter{Since: begin.Add(990_000 * time.Second)}, Paging{}},
		{"name", Filter{Name: "job-00999"}, Paging{}},
		{"name-old", Filter{Name: "JOB-0000123"}, Paging{}},
		{"name-none", Filter{Name: "nobody"}, Paging{From: middle}},
		{"place-name", Filter{Places: place, Name: "job-0000123"}, Paging{}},
		{"place-landed-name", Filter{Places: place, Phases: []Phase{Landed}, Name: "job-0000123"}, Paging{}},
	} {
		b.Run(tt.name, func(b *testing.B) {
			tt.paging.Limit, tt.paging.Time = 50, 100*time.Millisecond
			for b.Loop() {
				page, err := c.List(tt.filter, tt.paging)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(len(page.Exports)), "exports")
				b.ReportMetric(float64(page.Looked), "looked")
			}
		})
	}
}
