package catalog

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"iter"
	"time"

	"github.com/ncruces/go-sqlite3"

	"tallyman/verify/archive/ledger"
)

// A Phase says how an export stands.
type Phase string

// The phases.
const (
	Asked     Phase = "asked" // and neither landed nor given up: it waits for its job, or to be tried again
	Landed    Phase = "landed"
	Failed    Phase = "failed"
	Cancelled Phase = "cancelled"
	Damaged   Phase = "damaged" // it landed, and a recheck found it not to be as it was
	Absent    Phase = "absent"  // it landed, and is gone
	Removed   Phase = "removed" // a person took it out of the lists
)

// Phases are all phases.
var Phases = []Phase{Asked, Landed, Failed, Cancelled, Damaged, Absent, Removed}

// An Acceptance says who takes what is wrong as it is.
type Acceptance struct {
	At     time.Time
	By     string
	Reason string
}

// An Export is what the ledger says of an export. Times are zero, and texts "", where it
// says nothing.
type Export struct {
	Ref   string
	Key   string
	Place string
	Phase Phase

	FirstAsked time.Time
	Asked      time.Time // when it was last asked for
	Landed     time.Time // when it first landed, or was found to have landed before there was a ledger
	Changed    time.Time // of the last line that changed the phase
	When       time.Time // Landed if that is the phase, or else Changed

	Ready time.Time // when it became known until when what is to be fetched is there, of what is Asked
	Ends  time.Time // until when that is there at least

	Cause     string // of a failure; "damaged" and "cancelled" of those phases
	Message   string // of a failure or of damage
	RequestID string

	Bytes   int64 // of content, or ledger.Unknown
	Records int64 // counted, or ledger.Unknown
	Window  *ledger.Window
	Bag     string // SHA-256 of the tag manifest, in hex
	Profile string // that it was last asked for with
	Wait    string // that it was last asked for with, as "24h0m0s"

	Doubts   []string    // as they were told when it landed
	Open     int         // how many of the doubts are not accepted
	Accepted *Acceptance // of what is wrong with it; nil where that, or a part of the doubts, is not accepted
	Attempts int         // how often it landed or failed
}

// Exports yields the exports that a filter lets pass. It ends after the first error.
func (c *Catalog) Exports(f Filter) iter.Seq2[Export, error] {
	return func(yield func(Export, error) bool) {
		where, args := f.where()
		desc := ""
		if f.Desc {
			desc = " DESC"
		}
		order := " ORDER BY key" + desc
		switch f.Order {
		case ByKey:
		case Unordered:
			order = ""
		default:
			order = " ORDER BY " + string(f.Order) + desc + ", key" + desc
		}
		limit := int64(-1)
		if f.Limit > 0 {
			limit = int64(f.Limit)
		}
		args = append(args, limit, int64(f.Skip))
		for row, err := range c.query("SELECT rowid, "+rowColumns+" FROM exports WHERE "+where+order+" LIMIT ? OFFSET ?", args...) {
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

// Count counts the exports that a filter lets pass, and adds up their bytes and records
// as far as they are known.
func (c *Catalog) Count(f Filter) (Sum, error) {
	where, args := f.where()
	var sum Sum
	for row, err := range c.query("SELECT count(*), total(max(bytes, 0)), total(max(records, 0)) FROM exports WHERE "+where, args...) {
		if err != nil {
			return Sum{}, err
		}
		sum = Sum{row.ColumnInt64(0), int64(row.ColumnFloat(1)), int64(row.ColumnFloat(2))}
	}
	return sum, nil
}

// Export returns the export of a key. It fails with fs.ErrNotExist if the ledger has no
// line of it.
func (c *Catalog) Export(key string) (Export, error) {
	for row, err := range c.query("SELECT rowid, "+rowColumns+" FROM exports WHERE key = ?", key) {
		if err != nil {
			return Export{}, err
		}
		return c.exportOf(row)
	}
	return Export{}, fmt.Errorf("look up %s: %w", key, fs.ErrNotExist)
}

// exportOf makes an Export of a row.
func (c *Catalog) exportOf(stmt *sqlite3.Stmt) (e Export, err error) {
	r := readRow(stmt)
	e = Export{
		Ref: r.reference(), Key: r.key, Place: c.places.names[r.place], Phase: r.phase,
		FirstAsked: timeOf(r.firstAsked), Asked: timeOf(r.asked), Landed: timeOf(r.landed), Changed: timeOf(r.changed), When: timeOf(r.at()), Ready: timeOf(r.ready), Ends: timeOf(r.ends),
		Cause: r.cause, Message: r.message, RequestID: r.requestID, Bytes: r.bytes, Records: r.records, Bag: r.bag,
		Profile: r.profile, Wait: r.wait, Open: r.open, Attempts: r.attempts,
	}
	if r.isAccepted() {
		e.Accepted = &Acceptance{timeOf(r.acceptedAt), r.acceptedBy, r.acceptedReason}
	}
	if w := r.window; w.to > 0 {
		e.Window = &ledger.Window{Group: c.groups.names[w.group], From: w.from, To: w.to}
	}
	if r.doubts != "" {
		err = json.Unmarshal([]byte(r.doubts), &e.Doubts)
	}
	return e, err
}

// Events returns the lines of the ledger that tell of an export, the oldest first. Those
// that wait in side files, or could not be appended, are the last.
func (c *Catalog) Events(key string) (lines []ledger.Line, err error) {
	var places []byte
	for row, err := range c.query("SELECT lines FROM exports WHERE key = ?", key) {
		if err != nil {
			return nil, err
		}
		places = row.ColumnBlob(0, nil)
	}
	for file, at := range linesIn(places) {
		line, err := c.archive.Ledger().LineAt(c.files[file], at)
		if err != nil {
			return nil, fmt.Errorf("read the ledger: %w", err)
		}
		lines = append(lines, line)
	}
	for _, line := range c.unwritten {
		if line.Key == key {
			lines = append(lines, line)
		}
	}
	return lines, nil
}

func timeOf(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
