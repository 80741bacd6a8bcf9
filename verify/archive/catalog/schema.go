package catalog

import (
	"fmt"
	"iter"

	"github.com/ncruces/go-sqlite3"
)

// schemaVersion is another one whenever the schema is, or what lines are folded to. A
// file of another version is made anew.
const schemaVersion = 11

// schema is that of the file, and of the tables of the overlay, with their names.
const (
	placesTable  = "(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, listing TEXT NOT NULL)"
	groupsTable  = "(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)"
	sumsTable    = "(place, phase, cause, open, accepted, n, bytes, records, PRIMARY KEY (place, phase, cause, open, accepted)) WITHOUT ROWID"
	exportsTable = "(key TEXT NOT NULL UNIQUE, ref TEXT, place INTEGER NOT NULL, stands TEXT, presence TEXT, phase TEXT, " +
		"first_asked INTEGER, asked INTEGER, landed INTEGER, changed INTEGER, at INTEGER, cause TEXT, message TEXT, request_id TEXT, bytes INTEGER, records INTEGER, first INTEGER, first_is INTEGER, first_rows INTEGER, " +
		"window_group INTEGER, window_from INTEGER, window_to INTEGER, again INTEGER, count_due INTEGER, doubts TEXT, open INTEGER, bag TEXT, profile TEXT, wait TEXT, attempts INTEGER, ready INTEGER, ends INTEGER, " +
		"accepted INTEGER, accepted_at INTEGER, accepted_by TEXT, accepted_reason TEXT, accepted_doubts TEXT, lines BLOB)"

	schema = `
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE files (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE places ` + placesTable + `;
CREATE TABLE window_groups ` + groupsTable + `;
CREATE TABLE sums ` + sumsTable + `;
CREATE TABLE exports ` + exportsTable + `;
CREATE INDEX by_when ON exports (at, key, ref, place, phase, cause, open, accepted);
CREATE INDEX by_place ON exports (place, at);
CREATE INDEX by_cause ON exports (phase, cause, at, place, accepted) WHERE phase <> 'landed';
CREATE INDEX by_doubt ON exports (place, at) WHERE open > 0;
CREATE INDEX by_window ON exports (place, window_group, window_from, window_to, phase, again, first, first_is, first_rows) WHERE window_to > 0;
CREATE INDEX by_count ON exports (place, count_due) WHERE count_due > 0;
CREATE INDEX by_end ON exports (ends) WHERE ends > 0;
`

	// overlaySchema makes tables of one connection, and views of the same names as the
	// tables of the file, which take their place: what is in the overlay counts.
	overlaySchema = `
CREATE TEMP TABLE more_places ` + placesTable + `;
CREATE TEMP TABLE more_window_groups ` + groupsTable + `;
CREATE TEMP TABLE more_sums ` + sumsTable + `;
CREATE TEMP TABLE more_exports ` + exportsTable + `;
CREATE TEMP VIEW places AS SELECT * FROM more_places UNION ALL SELECT * FROM main.places WHERE id NOT IN (SELECT id FROM more_places);
CREATE TEMP VIEW window_groups AS SELECT * FROM more_window_groups UNION ALL SELECT * FROM main.window_groups WHERE id NOT IN (SELECT id FROM more_window_groups);
CREATE TEMP VIEW sums AS SELECT * FROM more_sums UNION ALL SELECT * FROM main.sums;
CREATE TEMP VIEW exports AS SELECT rowid, * FROM more_exports UNION ALL SELECT rowid, * FROM main.exports WHERE key NOT IN (SELECT key FROM more_exports);
`
	dropOverlay = `
DROP VIEW IF EXISTS temp.exports; DROP VIEW IF EXISTS temp.sums; DROP VIEW IF EXISTS temp.window_groups; DROP VIEW IF EXISTS temp.places;
DROP TABLE IF EXISTS temp.more_exports; DROP TABLE IF EXISTS temp.more_sums; DROP TABLE IF EXISTS temp.more_window_groups; DROP TABLE IF EXISTS temp.more_places;
`
)

// bind binds the parameters of a statement.
func bind(s *sqlite3.Stmt, args []any) (err error) {
	for i, arg := range args {
		switch v := arg.(type) {
		case nil:
			err = s.BindNull(i + 1)
		case int64:
			err = s.BindInt64(i+1, v)
		case bool:
			err = s.BindBool(i+1, v)
		case string:
			err = s.BindText(i+1, v)
		case []byte:
			err = s.BindBlob(i+1, v)
		default:
			err = fmt.Errorf("no value of a database: %T", arg)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// query yields the rows of a statement. What it yields is valid until the next.
func (c *Catalog) query(sql string, args ...any) iter.Seq2[*sqlite3.Stmt, error] {
	return func(yield func(*sqlite3.Stmt, error) bool) {
		stmt, _, err := c.conn.Prepare(sql)
		if err != nil {
			yield(nil, c.explain(err))
			return
		}
		defer stmt.Close()
		if err = bind(stmt, args); err == nil {
			for stmt.Step() {
				if !yield(stmt, nil) {
					return
				}
			}
			err = stmt.Err()
		}
		if err != nil {
			yield(nil, c.explain(err))
		}
	}
}

// explain says what an error of the database is about.
func (c *Catalog) explain(err error) error { return fmt.Errorf("the catalog %s: %w", c.path, err) }
