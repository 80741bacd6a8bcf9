package coverage

import (
	"tallyman/verify/archive/catalog"
	"tallyman/verify/archive/ledger"
)

// A Header is what is known of the header of the CSV files of a group. The zero Header is none.
type Header struct {
	Exports int64 // that it is known from, of all times

	// Of the exports that are whole and in the time: how many rows they have without headers,
	// or ledger.Unknown, and the windows of those that are short.
	Rows  int64
	Short []Span
}

// Firsts are what the CSV files of the exports of a group begin with.
type Firsts struct {
	hash      int64 // of the record that all of them begin with, or 0
	exports   int64 // that have such files
	backing   int64 // of these, the ones that count for a header
	firstEnds int64 // of their windows, where the first to end does,
	lastFrom  int64 // and where the last to begin does
	headers   int64 // how many have headers by their promise of records
	isNone    bool  // there is no header, whatever follows
}

// Add adds an export that landed.
func (f *Firsts) Add(w catalog.Window) {
	first := w.First
	switch {
	case first.Hash == 0, w.Phase == catalog.Removed, f.isNone:
		return
	case first.Hash == catalog.FirstsDiffer, f.exports > 0 && first.Hash != f.hash, first.Is&catalog.FirstAgain != 0:
		f.isNone = true
		return
	}
	f.hash = first.Hash
	f.exports++
	if first.Is&catalog.FirstIsHeader != 0 {
		f.headers++
	}
	if first.Is&catalog.FirstAlone != 0 {
		return
	}
	if f.backing++; f.backing == 1 {
		f.firstEnds, f.lastFrom = w.To, w.From
	}
	f.firstEnds, f.lastFrom = min(f.firstEnds, w.To), max(f.lastFrom, w.From)
}

// Header is the rule by which what the CSV files of a group begin with is a header, and not a
// row: two exports or more begin with it, over times that don't overlap, none that landed and
// was not removed begins with anything else, and in none of them is the second record the
// same. Exports of a single record don't count for it, unless their jobs promised none, since
// that may be a row. It returns how many exports begin with the header, or 0 if none is known.
//
// What it can't tell: exports without a header that begin with the same row by chance, all
// that landed. The first that begins with another row ends that.
func (f *Firsts) Header() int64 {
	if f.isNone || f.backing < 2 || f.firstEnds > f.lastFrom {
		return 0
	}
	return f.exports
}

// HeaderIs is Header if a first record of that SHA-256 is the header, or else 0.
func (f *Firsts) HeaderIs(sha256 string) int64 {
	if f.hash != catalog.HashOf(sha256) {
		return 0
	}
	return f.Header()
}

// FirstsOf reads what the CSV files of a group begin with.
func FirstsOf(c *catalog.Catalog, place, group string) (f Firsts, err error) {
	for w, err := range c.Windows(place, group) {
		if err != nil {
			return Firsts{}, err
		}
		if f.Add(w); f.isNone {
			break
		}
	}
	return f, nil
}

// A rowCount adds up the rows of exports, the first records of CSV files apart.
type rowCount struct {
	rows    int64
	unknown bool // of one of the exports
	counted bool // of one the first records are rows by its promise of records
}

func (t *rowCount) add(f catalog.First) {
	t.rows += f.Rows
	t.unknown = t.unknown || f.Rows == ledger.Unknown
	t.counted = t.counted || f.Is&catalog.FirstIsRow != 0
}

// addHeader adds what is known of the header. An export is short whose promise of records
// counts it as a row, unless those of all others do so, too.
func (g *Group) addHeader(c *catalog.Catalog, f *Firsts, rows *rowCount) error {
	if g.Header.Exports = f.Header(); g.Header.Exports == 0 {
		return nil
	}
	if g.Header.Rows = rows.rows; rows.unknown {
		g.Header.Rows = ledger.Unknown
	}
	if !rows.counted || f.headers == 0 {
		return nil
	}
	for w, err := range c.FirstRows(g.Place, g.Name, g.Within.From, g.Within.To) {
		if err != nil {
			return err
		}
		g.Header.Short = append(g.Header.Short, Span{w.From, w.To})
	}
	return nil
}
