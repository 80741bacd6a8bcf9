package catalog

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"tallyman/verify/archive"
	"tallyman/verify/archive/ledger"
)

const (
	suffix    = ".sqlite"
	newSuffix = ".new" // of a file that is being made

	// makeWait is how long another process may take to make the file.
	makeWait = 2 * time.Minute
	lockPoll = 20 * time.Millisecond
)

// A file is where the databases of one archive are: one, but for a moment.
type file struct {
	root   string // the real path of the archive
	prefix string // of the path: a number and the suffix follow; "": there can be none
}

// fileOf returns where the database of an archive is, or why there is none.
func fileOf(a *archive.Archive, dir string) (f file, why string) {
	root, err := filepath.Abs(a.Path(""))
	if err == nil {
		root, err = filepath.EvalSymlinks(root)
	}
	if f.root = root; err != nil {
		return f, err.Error()
	}
	if dir == "" {
		return f, "no directory is known for it"
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return f, err.Error()
	}
	dir, err = filepath.EvalSymlinks(dir)
	if err == nil {
		dir, err = filepath.Abs(dir)
	}
	switch {
	case err != nil:
		return f, err.Error()
	case dir == root || strings.HasPrefix(dir, root+string(filepath.Separator)):
		return f, dir + " is in the archive"
	case isNetwork(dir):
		return f, dir + " is on a network file system"
	}
	prefix := filepath.Join(dir, fmt.Sprintf("%s-%x-", a.ID(), sha256.Sum256([]byte(root)))[:32+1+16+1])
	lock, err := os.OpenFile(prefix+"lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return f, err.Error()
	}
	_ = lock.Close()
	f.prefix = prefix
	return f, ""
}

func (f file) path(number int) string { return f.prefix + strconv.Itoa(number) + suffix }

// newest is the number of the database, or 0 if there is none.
func (f file) newest() (number int) {
	for _, n := range f.numbers() {
		number = max(number, n)
	}
	return number
}

func (f file) numbers() (all []int) {
	entries, _ := os.ReadDir(filepath.Dir(f.prefix)) // none if it can't be read
	for _, e := range entries {
		text, ok := strings.CutPrefix(e.Name(), filepath.Base(f.prefix))
		text, isDatabase := strings.CutSuffix(text, suffix)
		if n, err := strconv.Atoi(text); ok && isDatabase && err == nil {
			all = append(all, n)
		}
	}
	return all
}

// open opens the database, unless it is open. It fails with errStale if there is none, or
// if it is to be made anew.
func (c *Catalog) open(ctx context.Context) error {
	if c.conn != nil {
		return nil
	}
	if c.file.prefix == "" {
		return c.makeInMemory(ctx)
	}
	number := c.file.newest()
	if number == 0 {
		return errStale
	}
	if err := checkHeader(c.file.path(number)); err != nil {
		return err
	}
	return c.connect(c.file.path(number), "PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 16777216")
}

// checkHeader fails with errStale if a database is of another version, or shorter than
// it says.
func checkHeader(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("%w: %w", errStale, err)
	}
	defer f.Close()
	header := make([]byte, 100)
	if _, err := f.ReadAt(header, 0); err != nil || string(header[:16]) != "SQLite format 3\x00" {
		return fmt.Errorf("%w: it is damaged", errStale)
	}
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("%w: %w", errStale, err)
	}
	page := int64(binary.BigEndian.Uint16(header[16:]))
	if version := binary.BigEndian.Uint32(header[60:]); version != schemaVersion {
		return fmt.Errorf("%w: it is of version %d, and this is %d", errStale, version, schemaVersion)
	}
	if info.Size() < page*int64(binary.BigEndian.Uint32(header[28:])) {
		return fmt.Errorf("%w: it was cut", errStale)
	}
	return nil
}

// makeInMemory makes a catalog of this process alone.
func (c *Catalog) makeInMemory(ctx context.Context) error {
	if err := c.connect(":memory:", schema); err != nil {
		return err
	}
	return c.foldAll(ctx)
}

// foldAll folds the whole ledger into an empty database.
func (c *Catalog) foldAll(ctx context.Context) error {
	c.position, c.files, c.places, c.groups = ledger.Position{}, nil, places{map[string]*placeRow{}, map[int64]string{}}, newGroups()
	if err := c.exec("BEGIN"); err != nil {
		return err
	}
	if err := c.fold(ctx, false); err != nil {
		return err
	}
	return c.exec("COMMIT")
}

// rebuild makes a database in place of one that is stale, or waits for another process
// that does.
func (c *Catalog) rebuild(ctx context.Context, why error) error {
	if err := c.Close(); err != nil {
		return c.explain(err)
	}
	if c.file.prefix == "" { // open makes it
		c.Rebuilt = reason(why)
		return nil
	}
	stale := c.file.newest()
	lock := flock.New(c.file.prefix + "lock")
	defer lock.Close()
	waiting, stop := context.WithTimeout(ctx, makeWait)
	defer stop()
	if _, err := lock.TryLockContext(waiting, lockPoll); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		c.file.prefix, c.InMemory = "", fmt.Sprintf("its lock can't be had: %v", err)
		return nil
	}
	if c.file.newest() != stale { // another process was first
		return nil
	}
	if stale > 0 {
		c.Rebuilt = reason(why)
		c.mark, c.Cut = markOf(c.file.path(stale))
	}
	err := c.makeFile(ctx, stale+1)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !isLedgers(err) {
		c.file.prefix, c.InMemory = "", err.Error()
		return nil
	}
	return err
}

// isLedgers reports whether an error is of the ledger, and not of the database.
func isLedgers(err error) bool { return strings.HasPrefix(err.Error(), "read the ledger") }

// reason is why a database was made anew, as a person is told.
func reason(err error) string {
	switch {
	case errors.Is(err, ledger.ErrMoved):
		return ledger.ErrMoved.Error()
	case isDamaged(err):
		return "it is damaged"
	}
	return strings.TrimPrefix(err.Error(), errStale.Error()+": ")
}

// makeFile makes the database of a number, and removes those before it.
func (c *Catalog) makeFile(ctx context.Context, number int) (err error) {
	path := c.file.path(number)
	for _, name := range []string{path + newSuffix, path + newSuffix + "-journal", path + "-wal", path + "-shm"} {
		_ = os.Remove(name) // of a process that was killed
	}
	defer func() {
		err = errors.Join(err, c.Close())
		if err != nil {
			_ = os.Remove(path + newSuffix)
		}
	}()
	err = c.connect(path+newSuffix, fmt.Sprintf("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA user_version = %d; %s", schemaVersion, schema))
	if err == nil {
		err = c.foldAll(ctx)
	}
	if err == nil { // what is rare is found by its index only if that is known to be short
		err = c.exec("PRAGMA analysis_limit = 1000; ANALYZE; PRAGMA journal_mode = WAL")
	}
	if err == nil {
		err = c.Close()
	}
	if err == nil {
		err = publish(path)
	}
	if err != nil {
		return err
	}
	for _, n := range c.file.numbers() {
		if n < number {
			for _, end := range []string{"", "-wal", "-shm"} {
				_ = os.Remove(c.file.path(n) + end) // who has it open goes on reading
			}
		}
	}
	return nil
}

// publish gives a database that is made its name, once its bytes are durable.
func publish(path string) error {
	f, err := os.Open(path + newSuffix)
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	if err != nil {
		return err
	}
	return os.Rename(path+newSuffix, path)
}

// markOf returns what a database that is stale says of the last line that was read, as
// far as it can be read.
func markOf(path string) (mark ledger.Position, cut *CutError) {
	c := &Catalog{}
	defer func() { _ = c.Close() }()
	if err := c.connect(path, ""); err != nil {
		return mark, nil
	}
	for row, err := range c.query("SELECT value FROM meta WHERE name = 'state'") {
		var s state
		if err == nil && json.Unmarshal([]byte(row.ColumnText(0)), &s) == nil {
			mark, cut = s.Mark, s.Cut
		}
	}
	return mark, cut
}
