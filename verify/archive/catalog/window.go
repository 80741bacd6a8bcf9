package catalog

import (
	"cmp"
	"iter"
	"slices"
	"strings"
	"time"

	"tallyman/verify/archive"
	"tallyman/verify/archive/ledger"
)

// A rowWindow is the window of an export as the catalog keeps it. The zero rowWindow is none.
type rowWindow struct{ group, from, to int64 }

// An AcceptedWindow is a time that a place lacks, and that a person takes as it is.
type AcceptedWindow struct {
	ledger.Window // whose Group may be "": it is of all groups of the place
	Acceptance
}

// A Group is the windows of a place that can be compared with each other.
type Group struct {
	Place   string
	Name    string
	Windows int64 // of exports that landed, those that were removed or are damaged or absent since among them
	From    int64 // where the first begins, in seconds since 1970
	To      int64 // where the last ends
}

// A Window is that of an export that landed.
type Window struct {
	From, To int64 // in seconds since 1970; To is not in it
	Phase    Phase // of the export
	Again    bool  // the export is one that landed before, fetched once more
	First    First // what its CSV files begin with
}

// The index by_window has all that the first two ask for.
const (
	groupsSQL  = "SELECT place, window_group, count(*), min(window_from), max(window_to) FROM exports WHERE window_to > 0 AND place IN (SELECT id FROM places WHERE "
	windowsSQL = "SELECT window_from, window_to, phase, again, first, first_is, first_rows FROM exports WHERE place = ? AND window_group = ? AND window_to > 0 ORDER BY window_from, window_to"
	countsSQL  = "SELECT rowid, " + rowColumns + " FROM exports WHERE place = ? AND count_due BETWEEN ? AND ? AND count_due > 0 AND phase = 'landed' ORDER BY count_due, key"
)

// Groups yields the groups of places, or of all if none is named, by place and name. It ends
// after the first error.
func (c *Catalog) Groups(names ...string) iter.Seq2[Group, error] {
	return func(yield func(Group, error) bool) {
		where, args := "true", valuesOf(names)
		if len(args) > 0 {
			where = "name IN (" + marks(args) + ")"
		}
		var found []Group
		for row, err := range c.query(groupsSQL+where+") GROUP BY 1, 2", args...) {
			if err != nil {
				yield(Group{}, err)
				return
			}
			found = append(found, Group{c.places.names[row.ColumnInt64(0)], c.groups.names[row.ColumnInt64(1)], row.ColumnInt64(2), row.ColumnInt64(3), row.ColumnInt64(4)})
		}
		slices.SortFunc(found, func(a, b Group) int {
			return cmp.Or(strings.Compare(a.Place, b.Place), strings.Compare(a.Name, b.Name))
		})
		for _, g := range found {
			if !yield(g, nil) {
				return
			}
		}
	}
}

// Windows yields the windows of a group in the order in which they begin. It ends after the
// first error.
func (c *Catalog) Windows(place, group string) iter.Seq2[Window, error] {
	return func(yield func(Window, error) bool) {
		p, id := c.places.rows[place], c.groups.ids[group]
		if p == nil || id == 0 {
			return
		}
		for row, err := range c.query(windowsSQL, p.id, id) {
			var w Window
			if err == nil {
				w = Window{row.ColumnInt64(0), row.ColumnInt64(1), phaseOf(row.ColumnRawText(2)), row.ColumnBool(3), First{row.ColumnInt64(4), FirstIs(row.ColumnInt64(5)), row.ColumnInt64(6)}}
			}
			if !yield(w, err) || err != nil {
				return
			}
		}
	}
}

// phaseOf is the phase that a column has, without a copy of its text where it is known.
func phaseOf(text []byte) Phase {
	for _, p := range Phases {
		if string(text) == string(p) {
			return p
		}
	}
	return Phase(text)
}

// DueCounts yields the exports of a place whose sources were due to be asked for their counts
// between two times, as [archive.CountDue] has it, those that are due longest first. It ends
// after the first error.
func (c *Catalog) DueCounts(place string, since, until time.Time) iter.Seq2[Export, error] {
	return func(yield func(Export, error) bool) {
		p := c.places.rows[place]
		if p == nil {
			return
		}
		for row, err := range c.query(countsSQL, p.id, max(since.UnixMilli(), 1), until.UnixMilli()) {
			var e Export
			if err == nil {
				e, err = c.exportOf(row)
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// setCountDue notes when the source is to be asked for its count, which a line may change.
func (r *row) setCountDue(l *ledger.Line) {
	var last *ledger.Line
	switch {
	case r.window.to == 0:
		r.countDue = 0
		return
	case l.Kind == ledger.Witnessed:
		last = l
	case l.Kind != ledger.Landed && l.Kind != ledger.Adopted && l.Kind != ledger.Restored:
		return
	}
	r.countDue = 0
	if due := archive.CountDue(ledger.Window{From: r.window.from, To: r.window.to}, last); !due.IsZero() {
		r.countDue = max(due.UnixMilli(), r.landed)
	}
}

// groups are the names of all groups of windows in a catalog, by their numbers.
type groups struct {
	ids   map[string]int64
	names map[int64]string
	fresh []string // that are not written yet
}

func newGroups() groups { return groups{ids: map[string]int64{}, names: map[int64]string{}} }

// add returns the number of a group, which is made if there is none.
func (g *groups) add(name string) int64 {
	id := g.ids[name]
	if id == 0 {
		id = int64(len(g.ids)) + 1
		g.ids[name], g.names[id] = id, name
		g.fresh = append(g.fresh, name)
	}
	return id
}

// readGroups reads the groups that the file has.
func (c *Catalog) readGroups() error {
	c.groups = newGroups()
	for row, err := range c.query("SELECT id, name FROM window_groups") {
		if err != nil {
			return err
		}
		id, name := row.ColumnInt64(0), row.ColumnText(1)
		c.groups.ids[name], c.groups.names[id] = id, name
	}
	return nil
}

// setWindow sets the window of an export that landed: that of the line, or, of one that an
// earlier version wrote, that of its receipt.
func (w *writer) setWindow(r *row, l *ledger.Line) {
	window := l.Window
	if window == nil {
		window = w.c.archive.Window(r.reference(), r.key)
	}
	r.window = rowWindow{}
	if window != nil && window.From < window.To && window.To > 0 {
		r.window = rowWindow{w.c.groups.add(window.Group), window.From, window.To}
	}
}

// flushGroups writes the groups that are new.
func (w *writer) flushGroups() error {
	for _, name := range w.c.groups.fresh {
		if err := w.execSQL("INSERT INTO "+w.table("window_groups")+" VALUES (?, ?)", w.c.groups.ids[name], name); err != nil {
			return err
		}
	}
	w.c.groups.fresh = nil
	return nil
}

// isAgain reports whether the export is one that was fetched before. Only the keys of those
// have an @.
func (r *row) isAgain() bool { return strings.ContainsRune(r.key[lastSlash(r.key)+1:], '@') }
