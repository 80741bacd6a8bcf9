package catalog

import (
	"fmt"

	"tallyman/verify/archive"
	"tallyman/verify/archive/ledger"
)

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
