package coverage

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tallyman/verify/archive/catalog"
	"tallyman/verify/archive/ledger"
)

func sumOf(record string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(record))) }

// began is the line of an export of an hour, of so many records in CSV files that begin with
// a record. More says what else is known of it: "again", "row" or "header" as it was promised,
// or "files" for one of two.
func began(job string, from, to int, record string, records int64, more ...string) ledger.Line {
	l := landed(job, from, to)
	l.Records, l.First = records, &ledger.First{SHA256: sumOf(record), Files: 1}
	if record == "" {
		l.First.SHA256 = ""
	}
	for _, word := range more {
		switch word {
		case "again":
			l.First.Again = true
		case "files":
			l.First.Files = 2
		default:
			l.First.Promise = word
		}
	}
	return l
}

// What exports begin with is a header only where nothing else can explain it.
func TestHeader(t *testing.T) {
	old, empty := landed("old", 5, 6), landed("empty", 6, 7)
	old.Records = 9
	other := began("other", 1, 2, "names", 9)
	other.Window.Group = "other *"
	for _, tt := range []struct {
		name  string
		lines []ledger.Line
		known int64
	}{
		{"nothing", nil, 0},
		{"one export", []ledger.Line{began("a", 0, 1, "names", 9)}, 0},
		{"two exports", []ledger.Line{began("a", 0, 1, "names", 9), began("b", 1, 2, "names", 9)}, 2},
		{"two, of overlapping times", []ledger.Line{began("a", 0, 2, "names", 9), began("b", 1, 3, "names", 9)}, 0},
		{"one, fetched again", []ledger.Line{began("a", 0, 1, "names", 9), began("a@20261101T000000Z", 0, 1, "names", 9)}, 0},
		{"two of three that overlap", []ledger.Line{began("a", 0, 2, "names", 9), began("b", 1, 3, "names", 9), began("c", 2, 4, "names", 9)}, 3},
		{"one begins with another row", []ledger.Line{began("a", 0, 1, "names", 9), began("b", 1, 2, "names", 9), began("c", 2, 3, "row", 9)}, 0},
		{"in one the files begin with several", []ledger.Line{began("a", 0, 1, "names", 9), began("b", 1, 2, "names", 9), began("c", 2, 3, "", 9, "files")}, 0},
		{"all are of files that begin with several", []ledger.Line{began("a", 0, 1, "", 9, "files"), began("b", 1, 2, "", 9, "files")}, 0},
		{"another row, and removed", []ledger.Line{began("a", 0, 1, "names", 9), began("b", 1, 2, "names", 9), began("c", 2, 3, "row", 9), became(ledger.Removed, "c")}, 2},
		{"another row, and damaged", []ledger.Line{began("a", 0, 1, "names", 9), began("b", 1, 2, "names", 9), began("c", 2, 3, "row", 9), became(ledger.Damaged, "c")}, 0},
		{"constant rows", []ledger.Line{began("a", 0, 1, "names", 9), began("b", 1, 2, "names", 9, "again"), began("c", 2, 3, "names", 9)}, 0},
		{"a constant row each", []ledger.Line{began("a", 0, 1, "names", 1), began("b", 1, 2, "names", 1, "row"), began("c", 2, 3, "names", 1)}, 0},
		{"a constant row in each of two files", []ledger.Line{began("a", 0, 1, "names", 2, "files"), began("b", 1, 2, "names", 2, "files")}, 0},
		{"a header alone, by the promise", []ledger.Line{began("a", 0, 1, "names", 9), began("b", 1, 2, "names", 1, "header")}, 2},
		{"a single record beside two", []ledger.Line{began("a", 0, 1, "names", 9), began("b", 1, 2, "names", 9), began("c", 2, 3, "names", 1, "row")}, 3},
		{"beside an earlier version, and no records", []ledger.Line{began("a", 0, 1, "names", 9), began("b", 1, 2, "names", 9), old, empty}, 2},
		{"of another group", []ledger.Line{began("a", 0, 1, "names", 9), other}, 0},
	} {
		firsts, err := FirstsOf(mustCatalog(t, "", tt.lines...), place, group)
		if err != nil {
			t.Fatal(err)
		}
		for sum, want := range map[string]int64{sumOf("names"): tt.known, sumOf("row"): 0, "": 0, strings.Repeat("z", 64): 0} {
			if known := firsts.HeaderIs(sum); known != want || firsts.Header() != tt.known {
				t.Errorf("%s: known from %d exports if it is %.9q, want %d", tt.name, known, sum, want)
			}
		}
	}
}

// Rows are counted without headers where these are known, in the time that is asked about, and
// an export is short only where other jobs promise rows alone.
func TestOfCountsRowsWithoutHeaders(t *testing.T) {
	a, b, lost := began("a", 0, 1, "names", 10, "header"), began("b", 1, 2, "names", 20, "header", "files"), began("c", 2, 3, "names", 9, "row")
	old := landed("old", 5, 6)
	old.Records = 9
	doubt := ledger.Line{Kind: ledger.Witnessed, Ref: lost.Ref, Key: lost.Key, Doubts: []string{"late-rows: x"}}
	accept := ledger.Line{Kind: ledger.Accepted, Ref: lost.Ref, Key: lost.Key, Doubts: []string{"late-rows: x"}}
	counts := func(l ledger.Line) ledger.Line {
		l.First = &ledger.First{SHA256: l.First.SHA256, Files: 1, Promise: ledger.FirstIsRow}
		return l
	}
	for _, tt := range []struct {
		name   string
		lines  []ledger.Line
		within Span
		want   Header
		short  string
	}{
		{"all rows are there", []ledger.Line{a, b}, Span{}, Header{Exports: 2, Rows: 27}, ""},
		{"a row is hidden", []ledger.Line{a, b, lost}, Span{}, Header{Exports: 3, Rows: 35}, " 2-3"},
		{"at another time", []ledger.Line{a, b, lost}, Span{hour(0), hour(2)}, Header{Exports: 3, Rows: 27}, ""},
		{"as is accepted", []ledger.Line{a, b, lost, doubt, accept}, Span{}, Header{Exports: 3, Rows: 35}, ""},
		{"by an export that is gone", []ledger.Line{a, b, lost, became(ledger.Absent, "c")}, Span{}, Header{Exports: 3, Rows: 27}, ""},
		{"jobs that promise headers", []ledger.Line{counts(a), counts(b), lost}, Span{}, Header{Exports: 3, Rows: 36}, ""},
		{"no header", []ledger.Line{a, b, began("c", 2, 3, "row", 9, "row")}, Span{}, Header{}, ""},
		{"an earlier version", []ledger.Line{a, b, old}, Span{}, Header{Exports: 2, Rows: ledger.Unknown}, ""},
	} {
		c := mustCatalog(t, "", tt.lines...)
		for windows, err := range c.Groups(place) {
			if err != nil {
				t.Fatal(err)
			}
			g, err := Of(c, &catalog.Place{Name: place}, windows, tt.within)
			if err != nil {
				t.Fatal(err)
			}
			short := hours(g.Header.Short)
			g.Header.Short = nil
			if diff := cmp.Diff(tt.want, g.Header); diff != "" || short != tt.short {
				t.Errorf("%s: short%s (-want +got)\n%s", tt.name, short, diff)
			}
		}
	}
}
