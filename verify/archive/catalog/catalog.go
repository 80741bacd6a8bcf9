package catalog

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ncruces/go-sqlite3"

	"tallyman/verify/archive"
	"tallyman/verify/archive/ledger"
)

// Options say where a catalog is, and how its exports are grouped.
type Options struct {
	// Dir is the directory for the files of catalogs. It is made. "" keeps the catalog
	// in memory.
	Dir string

	// PlaceOf returns the place of an export by its reference and its key, or "" if it is
	// in none. It must say the same each time; nil finds the part of the reference up to its
	// last slash.
	PlaceOf func(ref, key string) string

	// Memory is how many bytes it may hold of what it has read of its file. 0 is 64 MiB.
	Memory int64
}

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
	memory  int64
	file    file
	path    string // of the database, for messages
	conn    *sqlite3.Conn
	reading bool // in a transaction that keeps the state

	isOverlaid bool // there is an overlay

	position  ledger.Position
	mark      ledger.Position
	files     []string // of the ledger, by number
	places    places
	groups    groups
	unwritten []ledger.Line // that are in no file of the ledger
}

// Open opens the catalog of an archive, and reads on in the ledger. What is wrong with its
// file or with the directory is no error: see the fields of Catalog. The caller closes it.
func Open(ctx context.Context, a *archive.Archive, o Options) (*Catalog, error) {
	c := &Catalog{archive: a, placeOf: o.PlaceOf, memory: cmp.Or(o.Memory, 64<<20)}
	if c.placeOf == nil {
		c.placeOf = func(ref, _ string) string { return ref[:lastSlash(ref)+1] }
	}
	c.file, c.InMemory = fileOf(a, o.Dir)
	if err := c.Refresh(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// OpenExisting is Open for a caller who wants to know what an earlier one knew: it returns
// nil if there is no file.
func OpenExisting(ctx context.Context, a *archive.Archive, o Options) (*Catalog, error) {
	if f, _ := fileOf(a, o.Dir); f.prefix == "" || f.newest() == 0 {
		return nil, nil
	}
	return Open(ctx, a, o)
}

// Follow is Open for a caller who keeps the catalog: c is what it returned before, which it
// refreshes, or nil. The caller keeps what it returns, whatever the error.
func Follow(ctx context.Context, c *Catalog, a *archive.Archive, o Options) (*Catalog, error) {
	if c == nil {
		return Open(ctx, a, o)
	}
	return c, c.Refresh(ctx)
}

func lastSlash(s string) int {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] == '/' {
			return i
		}
	}
	return -1
}

// Close closes the catalog. It may be called twice, and on nil.
func (c *Catalog) Close() error {
	if c == nil {
		return nil
	}
	err := c.conn.Close()
	c.conn, c.reading = nil, false
	return err
}

// Refresh reads what was appended to the ledger since, and waits for none who does the
// same. It fails if the ledger can't be read, or with the error of ctx.
func (c *Catalog) Refresh(ctx context.Context) error {
	lacking, unrecorded, err := c.archive.Settle(ctx)
	if err != nil {
		return err
	}
	c.Unrecorded = unrecorded
	if c.unwritten, err = c.archive.Ledger().Waiting(); err != nil {
		return fmt.Errorf("read the ledger: %w", err)
	}
	c.unwritten = append(c.unwritten, lacking...)
	for range 3 { // it may be made anew, and then by another process
		if err = c.open(ctx); err == nil {
			err = c.follow(ctx)
		}
		if !isStale(err) {
			return err
		}
		if err := c.rebuild(ctx, err); err != nil {
			return err
		}
	}
	return err
}

// errStale is of a file that is to be made anew.
var errStale = errors.New("it is to be made anew")

// isStale reports whether the file is to be made anew: because of what is in it, or
// because of another ledger than it was made of.
func isStale(err error) bool {
	return errors.Is(err, errStale) || errors.Is(err, ledger.ErrMoved) || isDamaged(err)
}

// isDamaged reports whether the file has bytes that nobody wrote to it.
func isDamaged(err error) bool {
	return errors.Is(err, sqlite3.CORRUPT) || errors.Is(err, sqlite3.NOTADB) || errors.Is(err, sqlite3.IOERR_SHORT_READ) || errors.Is(err, sqlite3.IOERR_DATA)
}

// follow folds what is new in the ledger, and begins to read.
func (c *Catalog) follow(ctx context.Context) error {
	if err := c.exec(endRead(c.reading) + dropOverlay); err != nil {
		return err
	}
	c.reading, c.isOverlaid = false, false
	if err := c.exec("BEGIN"); err != nil {
		return err
	}
	c.reading = true
	if err := c.readState(); err != nil {
		return err
	}
	isNew, overlay := false, false
	for _, err := range c.archive.Ledger().Since(c.position) {
		if err != nil {
			return fmt.Errorf("read the ledger: %w", err)
		}
		isNew = true
		break
	}
	if isNew {
		err := c.update(ctx)
		if overlay = errors.Is(err, sqlite3.BUSY) || errors.Is(err, sqlite3.READONLY) || errors.Is(err, sqlite3.FULL); err != nil && !overlay {
			return err
		}
	}
	if !overlay && len(c.unwritten) == 0 {
		return nil
	}
	return c.overlay(ctx, overlay)
}

func endRead(reading bool) string {
	if reading {
		return "ROLLBACK;"
	}
	return ""
}

func (c *Catalog) exec(sql string) error {
	if err := c.conn.Exec(sql); err != nil {
		return c.explain(err)
	}
	return nil
}

// update folds what is new into the file, and goes on reading what that has then. If it
// fails, it reads what it did before.
func (c *Catalog) update(ctx context.Context) error {
	if err := c.exec("ROLLBACK; BEGIN IMMEDIATE"); err != nil {
		return errors.Join(err, c.exec("BEGIN"), c.readState())
	}
	err := c.readState()
	if err == nil {
		err = c.fold(ctx, false)
	}
	if err == nil {
		err = c.exec("COMMIT; BEGIN")
	}
	if err != nil {
		_ = c.conn.Exec("ROLLBACK") // which the error may have done
		return errors.Join(err, c.exec("BEGIN"), c.readState())
	}
	return c.readState()
}

// overlay folds what is in no file of the ledger, and, if all is set, what the file of
// the catalog lacks, into tables of this connection.
func (c *Catalog) overlay(ctx context.Context, all bool) error {
	if err := c.exec(overlaySchema); err != nil {
		return err
	}
	c.isOverlaid = true
	if all {
		if err := c.fold(ctx, true); err != nil {
			return err
		}
	}
	w, err := c.newWriter(true)
	if err != nil {
		return err
	}
	defer w.close()
	for _, line := range c.unwritten {
		if err := w.add(&line, 0, -1); err != nil {
			return err
		}
	}
	return w.flush()
}

// fold folds the lines of the ledger behind the position.
func (c *Catalog) fold(ctx context.Context, overlay bool) error {
	w, err := c.newWriter(overlay)
	if err != nil {
		return err
	}
	defer w.close()
	number := int64(-1)
	for line, err := range c.archive.Ledger().Since(c.position) {
		if err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return fmt.Errorf("read the ledger: %w", err)
		}
		if number < 0 || line.File != c.files[number] {
			number = c.numberOf(line.File)
		}
		c.position = line.Position()
		c.watch(&line.Line)
		if err := w.add(&line.Line, int(number), line.At); err != nil {
			return err
		}
	}
	if err := w.flush(); err != nil || overlay {
		return err
	}
	c.moveMark()
	return c.writeState(w)
}

// numberOf is the number of a file of the ledger.
func (c *Catalog) numberOf(name string) int64 {
	i := slices.Index(c.files, name)
	if i < 0 {
		i = len(c.files)
		c.files = append(c.files, name)
	}
	return int64(i)
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
	if err := c.readGroups(); err != nil {
		return err
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

// busyWait is how long another process may keep the file while it folds.
const busyWait = 3 * time.Second

// connect opens a database.
func (c *Catalog) connect(path, pragmas string) (err error) {
	c.path = path
	if c.conn, err = sqlite3.OpenFlags(path, sqlite3.OPEN_READWRITE|sqlite3.OPEN_CREATE); err != nil {
		return c.explain(err)
	}
	if err = c.conn.BusyTimeout(busyWait); err != nil {
		return c.explain(err)
	}
	return c.exec(fmt.Sprintf("PRAGMA temp_store = MEMORY; PRAGMA cache_size = -%d; ", c.memory>>10) + pragmas)
}
