package catalog

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"
)

// A Position is that of an export in a list, which is ordered by When and then by the key.
type Position struct {
	At  int64 // When, in milliseconds since 1970
	Key string
}

// Position is where the export is in a list.
func (e *Export) Position() Position { return Position{e.When.UnixMilli(), e.Key} }

func (p Position) compare(q Position) int {
	return cmp.Or(cmp.Compare(p.At, q.At), strings.Compare(p.Key, q.Key))
}

// Paging says which page of a list is wanted.
type Paging struct {
	From  Position // the page begins behind this one, which need not be in the list; zero: at an end of it
	Newer bool     // the page is of the ones that are newer than From, in place of those that are older
	Limit int      // how many exports a page has at most

	Look int           // how many exports are looked at for it at most; 0: as many as it takes
	Time time.Duration // for how long others are looked at, about; 0: for as long as it takes
}

// A Page is a part of a list.
type Page struct {
	Exports []Export // the newest first
	Looked  int      // how many exports were looked at, if that ended the page before the list did; else 0

	Next *Position // where the page after it begins, away from From; nil: the list ends
}

// How a list is read.
const (
	fewEnough = 5_000          // of so many that pass at most, all are looked up and sorted; else those are read that are next by When
	atMost    = 20 * fewEnough // among so many that have in common what an index knows of
	stride    = 10_000         // exports that are read at once
)

// List returns a page of the exports that a filter lets pass. Where few of many exports pass,
// and no index helps, it looks no further than the Paging says, and tells how far it has
// looked. The order and the limits of the filter count for nothing.
func (c *Catalog) List(f Filter, p Paging) (page Page, err error) {
	s, err := c.newScan(f, p)
	if s == nil {
		return Page{}, err
	}
	began := time.Now()
	for n := 4 * p.Limit; !s.ended && len(page.Exports) <= p.Limit; n = min(4*n, stride) {
		if p.Look > 0 {
			n = min(n, p.Look-page.Looked)
		}
		if n == 0 || p.Time > 0 && time.Since(began) >= p.Time {
			break
		}
		page.Looked += n
		if page.Exports, err = s.next(page.Exports, n, p.Limit+1); err != nil {
			return Page{}, err
		}
	}
	if c.isOverlaid {
		if page.Exports, err = s.addOverlay(page.Exports, p); err != nil {
			return Page{}, err
		}
	}
	switch {
	case len(page.Exports) > p.Limit:
		page.Exports = page.Exports[:p.Limit]
		last := page.Exports[p.Limit-1].Position()
		page.Looked, page.Next = 0, &last
	case s.ended:
		page.Looked = 0
	default:
		page.Next = &s.at
	}
	if p.Newer {
		slices.Reverse(page.Exports)
	}
	return page, nil
}

// A scan reads exports in the order of a list.
type scan struct {
	c     *Catalog
	where string // which of them are taken
	args  []any
	index string // by which they are found
	place int64  // of all of them; 0: they are of any
	few   bool   // they are sorted, instead of read in their order

	from         Position // it began behind this one
	at           Position // all up to this one were read
	ended        bool
	before, desc string // as SQL has it of the direction
}

// newScan chooses how the exports of a list are found: by what few of them have in common,
// or else in the order of the list.
func (c *Catalog) newScan(f Filter, p Paging) (*scan, error) {
	s := &scan{c: c, index: "by_when", at: p.From, before: "<", desc: " DESC"}
	if p.Newer {
		s.before, s.desc = ">", ""
	} else if p.From == (Position{}) {
		s.at.At = math.MaxInt64
	}
	s.from = s.at
	choices := []struct {
		set   bool
		index string
		f     Filter
	}{
		{len(f.Phases) > 0 && !slices.Contains(f.Phases, Landed), "by_cause", Filter{Phases: f.Phases, Causes: f.Causes}},
		{f.Doubts, "by_doubt", Filter{Doubts: true}},
	}
	all, err := c.Total(f)
	if err != nil || all == 0 {
		return nil, err
	}
	for _, by := range choices {
		if !by.set || all > fewEnough {
			continue
		}
		n, err := c.Total(by.f)
		if err != nil {
			return nil, err
		}
		if n <= atMost {
			s.index, s.few = by.index, true
			break
		}
	}
	if len(f.Places) == 1 && !s.few {
		row := c.places.rows[f.Places[0]]
		if row == nil {
			return nil, nil //nolint:nilnil // nothing is in a place that is not known
		}
		s.index, s.place, f.Places = "by_place", row.id, nil
	}
	s.where, s.args = f.where()
	return s, nil
}

// Total returns how many exports a filter lets pass by its places, phases, causes, doubts
// and acceptance alone.
func (c *Catalog) Total(f Filter) (n int64, err error) {
	f = Filter{Places: f.Places, Phases: f.Phases, Causes: f.Causes, Doubts: f.Doubts, Unaccepted: f.Unaccepted}
	where, args := f.where()
	for row, err := range c.query("SELECT total(n) FROM sums WHERE "+where, args...) {
		if err != nil {
			return 0, err
		}
		n = int64(row.ColumnFloat(0))
	}
	return n, nil
}

// next looks at the next n exports, and appends those that the filter lets pass until there
// are limit.
func (s *scan) next(found []Export, n, limit int) ([]Export, error) {
	where, args := "(at, key) "+s.before+" (?, ?)", []any{s.at.At, s.at.Key}
	if s.place != 0 {
		where, args = "place = ? AND "+where, append([]any{s.place}, args...)
	}
	from, order := " FROM main.exports INDEXED BY "+s.index+" WHERE ", " ORDER BY at"+s.desc+", key"+s.desc
	s.ended = true
	until := s.at
	if !s.few {
		for row, err := range s.c.query("SELECT at, key"+from+where+order+" LIMIT 1 OFFSET ?", append(slices.Clone(args), int64(n-1))...) {
			if err != nil {
				return nil, err
			}
			until, s.ended = Position{row.ColumnInt64(0), row.ColumnText(1)}, false
		}
	}
	if !s.ended {
		where, args = where+" AND (at, key) "+opposite[s.before]+" (?, ?)", append(args, until.At, until.Key)
	}
	if s.c.isOverlaid {
		where += " AND key NOT IN (SELECT key FROM temp.more_exports)"
	}
	args = append(append(args, s.args...), int64(limit-len(found)))
	found, err := s.read(found, from+where+" AND "+s.where+order+" LIMIT ?", args)
	s.at = until
	return found, err
}

// read appends the exports that a statement selects.
func (s *scan) read(found []Export, from string, args []any) ([]Export, error) {
	for row, err := range s.c.query("SELECT rowid, "+rowColumns+from, args...) {
		var e Export
		if err == nil {
			e, err = s.c.exportOf(row)
		}
		if err != nil {
			return nil, err
		}
		found = append(found, e)
	}
	return found, nil
}

// opposite are the comparisons that a part of a list ends by.
var opposite = map[string]string{"<": ">=", ">": "<="}

// addOverlay merges what the overlay has of the page.
func (s *scan) addOverlay(found []Export, p Paging) ([]Export, error) {
	where, args := "(at, key) "+s.before+" (?, ?)", []any{s.from.At, s.from.Key}
	if s.place != 0 {
		where, args = where+" AND place = ?", append(args, s.place)
	}
	if !s.ended {
		where, args = where+" AND (at, key) "+opposite[s.before]+" (?, ?)", append(args, s.at.At, s.at.Key)
	}
	args = append(append(args, s.args...), int64(p.Limit+1))
	found, err := s.read(found, " FROM temp.more_exports WHERE "+where+" AND "+s.where+" ORDER BY at"+s.desc+", key"+s.desc+" LIMIT ?", args)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(found, func(a, b Export) int {
		if p.Newer {
			return a.Position().compare(b.Position())
		}
		return b.Position().compare(a.Position())
	})
	return found, nil
}
