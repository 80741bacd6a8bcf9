package catalog

import (
	"maps"
	"slices"

	"github.com/ncruces/go-sqlite3"

	"tallyman/verify/archive/ledger"
)

// maxHeld is how many rows a writer holds before it writes them.
const maxHeld = 20_000

// A writer folds lines into the rows of the file, or of the overlay.
type writer struct {
	c       *Catalog
	overlay bool
	rows    map[string]*row // by key
	sums    map[sumKey]Sum  // what is to be added
	changed map[*placeRow]bool

	find, insert, update *sqlite3.Stmt
}

// newWriter prepares a writer. The caller closes it.
func (c *Catalog) newWriter(overlay bool) (w *writer, err error) {
	w = &writer{c: c, overlay: overlay, rows: map[string]*row{}, sums: map[sumKey]Sum{}, changed: map[*placeRow]bool{}}
	const parameters = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
	statements := []struct {
		to  **sqlite3.Stmt
		sql string
	}{
		{&w.find, "SELECT rowid, " + rowColumns + " FROM exports WHERE key = ?"},
		{&w.insert, "INSERT OR REPLACE INTO " + w.table("exports") + " (" + rowColumns + ") VALUES " + parameters},
	}
	if !overlay {
		statements = append(statements, struct {
			to  **sqlite3.Stmt
			sql string
		}{&w.update, "UPDATE exports SET (" + rowColumns + ") = " + parameters + " WHERE rowid = ?"})
	}
	for _, s := range statements {
		if *s.to, _, err = c.conn.Prepare(s.sql); err != nil {
			w.close()
			return nil, c.explain(err)
		}
	}
	return w, nil
}

func (w *writer) close() {
	for _, s := range []*sqlite3.Stmt{w.find, w.insert, w.update} {
		if s != nil {
			s.Close()
		}
	}
}

// table is the name of a table that the writer writes to.
func (w *writer) table(name string) string {
	if w.overlay {
		return "temp.more_" + name
	}
	return "main." + name
}

// add folds a line. at is where it is in the numbered file, or -1 if it is in none.
func (w *writer) add(l *ledger.Line, file int, at int64) error {
	is, known := folds[l.Kind]
	switch {
	case !known:
		return nil
	case l.Key == "" && is.place != nil:
		p := w.c.places.add(l.Ref)
		is.place(p, l)
		w.changed[p] = true
		return nil
	case l.Key == "":
		return nil
	}
	r, err := w.row(l)
	if err != nil {
		return err
	}
	r.fold(l, is)
	if is.stands == Landed {
		w.setWindow(r, l)
	}
	r.setCountDue(l)
	if at >= 0 {
		r.addLine(file, at)
	}
	if len(w.rows) < maxHeld {
		return nil
	}
	return w.flush()
}

// row returns the row of the export that a line tells of.
func (w *writer) row(l *ledger.Line) (*row, error) {
	r := w.rows[l.Key]
	if r != nil {
		return r, nil
	}
	if err := bind(w.find, []any{l.Key}); err != nil {
		return nil, w.c.explain(err)
	}
	if w.find.Step() {
		r = readRow(w.find)
	}
	if err := w.find.Reset(); err != nil {
		return nil, w.c.explain(err)
	}
	if r == nil {
		r = &row{key: l.Key, bytes: ledger.Unknown, records: ledger.Unknown}
		r.setRef(l.Ref)
		p := w.c.places.add(w.c.placeOf(r.reference(), l.Key))
		if r.place = p.id; !p.kept {
			w.changed[p] = true
		}
	}
	w.rows[l.Key] = r
	return r, nil
}

// flush writes what is held.
func (w *writer) flush() error {
	for _, key := range slices.Sorted(maps.Keys(w.rows)) {
		r := w.rows[key]
		if r.counts {
			s := w.sums[r.before]
			s.add(r.was, -1)
			w.sums[r.before] = s
		}
		s := w.sums[r.sumKey()]
		s.add(r.sum(), 1)
		w.sums[r.sumKey()] = s
		stmt, args := w.insert, r.values()
		if r.id != 0 && !w.overlay {
			stmt, args = w.update, append(args, r.id)
		}
		if err := w.exec(stmt, args); err != nil {
			return err
		}
	}
	clear(w.rows)
	for p := range w.changed {
		p.kept = true
		if err := w.execSQL("INSERT OR REPLACE INTO "+w.table("places")+" VALUES (?, ?, ?)", p.id, p.Name, jsonOf(p.Place)); err != nil {
			return err
		}
	}
	clear(w.changed)
	if err := w.flushGroups(); err != nil {
		return err
	}
	for k, s := range w.sums {
		err := w.execSQL("INSERT INTO "+w.table("sums")+" VALUES (?, ?, ?, ?, ?, ?, ?, ?)"+
			" ON CONFLICT DO UPDATE SET n = n + excluded.n, bytes = bytes + excluded.bytes, records = records + excluded.records",
			k.place, string(k.phase), k.cause, k.open, k.accepted, s.Exports, s.Bytes, s.Records)
		if err != nil {
			return err
		}
	}
	clear(w.sums)
	return nil
}

func (w *writer) exec(s *sqlite3.Stmt, args []any) error {
	err := bind(s, args)
	if err == nil {
		err = s.Exec()
	}
	if err != nil {
		return w.c.explain(err)
	}
	return nil
}

func (w *writer) execSQL(sql string, args ...any) error {
	s, _, err := w.c.conn.Prepare(sql)
	if err != nil {
		return w.c.explain(err)
	}
	defer s.Close()
	return w.exec(s, args)
}
