package catalog

import (
	"iter"
	"strconv"

	"tallyman/verify/archive/ledger"
)

// A First tells what the CSV files of an export begin with. The zero First is of an export of
// which that is not known, or that has none with records.
type First struct {
	Hash int64 // of the record, as HashOf makes it
	Is   FirstIs
	Rows int64 // of the export without the first records, or ledger.Unknown
}

// FirstIs says what is known of first records.
type FirstIs int64

// What is known of first records.
const (
	FirstAgain    FirstIs = 1 << iota // the second record of a file is, or may be, the same
	FirstAlone                        // no file has another record, and the promise of records does not say that they are headers
	FirstIsRow                        // by the promise of records
	FirstIsHeader                     // likewise
)

// newFirst is what a line tells of an export that landed.
func newFirst(l *ledger.Line) First {
	f := l.First
	switch {
	case f == nil && l.Records == 0:
		return First{}
	case f == nil:
		return First{Rows: ledger.Unknown}
	}
	first := First{HashOf(f.SHA256), 0, ledger.Unknown}
	if l.Records >= f.Files {
		first.Rows = l.Records - f.Files
	}
	for flag, isSet := range map[FirstIs]bool{
		FirstAgain:    f.Again,
		FirstAlone:    first.Rows <= 0 && f.Promise != ledger.FirstIsHeader,
		FirstIsRow:    f.Promise == ledger.FirstIsRow,
		FirstIsHeader: f.Promise == ledger.FirstIsHeader,
	} {
		if isSet {
			first.Is |= flag
		}
	}
	return first
}

// FirstsDiffer is the hash of an export whose files begin with different records.
const FirstsDiffer = -1

// HashOf makes 60 bits of the SHA-256 of a first record, which tell the records of a log from
// each other, and are cheap to keep and to compare. It is never 0.
func HashOf(sha256 string) int64 {
	const digits = 15
	n, err := strconv.ParseInt(sha256[:min(len(sha256), digits)], 16, 64)
	if err != nil {
		return FirstsDiffer
	}
	return n + 1
}

const firstRowsSQL = "SELECT window_from, window_to FROM exports WHERE place = ? AND window_group = ? AND window_to > 0 AND phase = 'landed'" +
	" AND window_from < ? AND window_to > ? AND first_is & ? <> 0 AND NOT accepted ORDER BY window_from, window_to"

// FirstRows yields the windows of the whole exports of a group, within a time in seconds since
// 1970, whose first records are rows by the promise of records, but for those whose doubts a
// person has accepted. It ends after the first error.
func (c *Catalog) FirstRows(place, group string, from, to int64) iter.Seq2[Window, error] {
	return func(yield func(Window, error) bool) {
		p, id := c.places.rows[place], c.groups.ids[group]
		if p == nil || id == 0 {
			return
		}
		for row, err := range c.query(firstRowsSQL, p.id, id, to, from, int64(FirstIsRow)) {
			var w Window
			if err == nil {
				w = Window{From: row.ColumnInt64(0), To: row.ColumnInt64(1), Phase: Landed}
			}
			if !yield(w, err) || err != nil {
				return
			}
		}
	}
}
