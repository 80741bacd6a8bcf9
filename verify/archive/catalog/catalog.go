package catalog

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ncruces/go-sqlite3"

	"tallyman/verify/archive"
	"tallyman/verify/archive/ledger"
)

// A Catalog answers from one state of the ledger. It is for one goroutine at a time.
type Catalog struct {
	// Cut is set if the ledger lacks lines that a catalog of its path has read, or has
	// others in their places.
	Cut *CutError

	// Rebuilt says why the file was made anew, or is "".
	Rebuilt string

	// InMemory says why there is no file, or is "".
	InMemory string

	// Unrecorded says why lines that count here are not in the ledger, or is nil.
	Unrecorded error

	archive *archive.Archive
	placeOf func(ref, key string) string
	file    file
	path    string // of the database, for messages
	conn    *sqlite3.Conn
	reading bool // in a transaction that keeps the state

	position  ledger.Position
	mark      ledger.Position
	files     []string // of the ledger, by number
	places    places
	unwritten []ledger.Line // that are in no file of the ledger
}

// errStale is of a file that is to be made anew.
var errStale = errors.New("it is to be made anew")

func (c *Catalog) exec(sql string) error {
	if err := c.conn.Exec(sql); err != nil {
		return c.explain(err)
	}
	return nil
}

// A CutError says that lines of the ledger are lost that a catalog has read.
type CutError struct {
	Read ledger.Position // the last line that was read
	Last ledger.Position // the last line that there was when that was found
}

// Error says which lines.
func (e *CutError) Error() string {
	if e.Last.Seq >= e.Read.Seq {
		return fmt.Sprintf("the ledger is damaged: line %d is another than was read before", e.Read.Seq)
	}
	return fmt.Sprintf("the ledger was cut: its last line is %d, and line %d was read before", e.Last.Seq, e.Read.Seq)
}

// Is reports whether target is archive.ErrDamaged.
func (e *CutError) Is(target error) bool { return target == archive.ErrDamaged }

// Break is the CutError as a line of the kind adopted names it, which ends it.
func (e *CutError) Break() *ledger.BreakError {
	return &ledger.BreakError{Why: e.Error(), Break: ledger.Break{
		File: e.Last.File, SeqBefore: e.Last.Seq, Before: e.Last.Hash, SeqAfter: e.Read.Seq, After: e.Read.Hash,
	}}
}

// watch holds a line against the mark.
func (c *Catalog) watch(l *ledger.Line) {
	if l.Seq == c.mark.Seq && c.position.Hash != c.mark.Hash && c.Cut == nil {
		c.Cut = &CutError{c.mark, c.position}
	}
	if b := l.Break; l.Kind == ledger.Adopted && b != nil && b.SeqAfter == c.mark.Seq && b.After == c.mark.Hash {
		c.Cut, c.mark = nil, c.position
	}
}

// moveMark sets the mark to the last line, once that is durable.
func (c *Catalog) moveMark() {
	switch {
	case c.Cut != nil:
	case c.position.Seq < c.mark.Seq:
		c.Cut = &CutError{c.mark, c.position}
	case c.position.Seq > 0 && c.archive.Ledger().Sync(c.position) == nil:
		c.mark = c.position
	}
}

// A state is what the file has in its table meta.
type state struct {
	ID, Path string
	Position ledger.Position
	Mark     ledger.Position
	Cut      *CutError
}

// readState reads where the catalog is in the ledger.
func (c *Catalog) readState() error {
	var s state
	for row, err := range c.query("SELECT value FROM meta WHERE name = 'state'") {
		if err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(row.ColumnText(0)), &s); err != nil {
			return fmt.Errorf("%w: %w", errStale, err)
		}
	}
	if s.ID != c.archive.ID() || s.Path != c.file.root {
		return fmt.Errorf("%w: it is of another archive", errStale)
	}
	c.position, c.mark, c.Cut, c.files = s.Position, s.Mark, s.Cut, nil
	for row, err := range c.query("SELECT name FROM files ORDER BY number") {
		if err != nil {
			return err
		}
		c.files = append(c.files, row.ColumnText(0))
	}
	return c.readPlaces()
}

// writeState writes where the catalog is in the ledger.
func (c *Catalog) writeState(w *writer) error {
	for number, name := range c.files {
		if err := w.execSQL("INSERT OR IGNORE INTO files VALUES (?, ?)", int64(number), name); err != nil {
			return err
		}
	}
	s := state{ID: c.archive.ID(), Path: c.file.root, Position: c.position, Mark: c.mark, Cut: c.Cut}
	return w.execSQL("INSERT OR REPLACE INTO meta VALUES ('state', ?)", jsonOf(s))
}
