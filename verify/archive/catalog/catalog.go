package catalog

import (
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
