package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"
)

// A BreakError says that the ledger is damaged at a place.
type BreakError struct {
	Break
	Line int    // of the file, counted from 1: the first that is wrong
	Why  string // what is wrong there
}

// Error says where and what.
func (e *BreakError) Error() string {
	return fmt.Sprintf("the ledger is damaged: %s, line %d: %s", e.File, e.Line, e.Why)
}

// All returns each line of the ledger in order, then those of side files, whose Seq is 0.
// A damaged place yields a *BreakError, and reading goes on behind it; a break that a
// later line names yields none: that line tells of it. A torn tail is no error, see Torn.
// Any other error ends it. Where there is no ledger there are no lines.
func (l *Ledger) All() iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		if err := l.readAll(yield); err != nil && !errors.Is(err, errStopped) {
			yield(Line{}, err)
		}
	}
}

// errStopped is of a reader who wants no more.
var errStopped = errors.New("stopped")

func (l *Ledger) readAll(yield func(Line, error) bool) error {
	months, sides, err := l.listAll()
	if err != nil {
		return err
	}
	c := chain{last: last{hash: l.genesis}, yield: yield, taken: map[string]int{}}
	if c.named, err = l.namedBreaks(months); err != nil {
		return err
	}
	for i, month := range months {
		if err := l.readMonth(&c, month, i == len(months)-1); err != nil {
			return err
		}
	}
	if b := c.pending; b != nil && !c.named[b.Break] && !yield(Line{}, b) {
		return errStopped
	}
	for _, side := range sides {
		for _, bad := range side.bad {
			if !yield(Line{}, bad) {
				return errStopped
			}
		}
		for _, line := range side.lines[min(c.taken[side.random], len(side.lines)):] {
			if !yield(line, nil) {
				return errStopped
			}
		}
	}
	return nil
}

// namedBreaks are the breaks that lines of the kind adopted name.
func (l *Ledger) namedBreaks(months []string) (map[Break]bool, error) {
	named := map[Break]bool{}
	err := l.eachLine(months, func(b []byte) bool {
		if !bytes.Contains(b, []byte(`"break":`)) {
			return true
		}
		if line, _, err := parse(b); err == nil && line.Kind == Adopted && line.Break != nil {
			named[*line.Break] = true
		}
		return true
	})
	return named, err
}

// Through reports whether an adopted line says that all that landed before the ledger
// has its line. There it is near the beginning, so it is looked for from there.
func (l *Ledger) Through() (through bool, err error) {
	found, err := l.list()
	if err != nil {
		return false, err
	}
	sides, err := l.readSides(found.sides) // first, as in readAll
	if err != nil {
		return false, err
	}
	for _, side := range sides {
		if slices.ContainsFunc(side.lines, func(line Line) bool { return line.Kind == Adopted && line.Through }) {
			return true, nil
		}
	}
	if found, err = l.list(); err != nil {
		return false, err
	}
	err = l.eachLine(found.months, func(b []byte) bool {
		if bytes.Contains(b, []byte(`"through":true`)) {
			line, whole, err := parse(b)
			through = whole && err == nil && line.Kind == Adopted && line.Through
		}
		return !through
	})
	return through, err
}

// eachLine reads the lines of files in order, whatever they are, until do wants no more.
func (l *Ledger) eachLine(months []string, do func(line []byte) bool) error {
	for _, month := range months {
		f, end, err := l.openMonth(month, 0, false)
		if err != nil {
			return err
		}
		lines, more := scanner{r: f, end: end}, true
		for more && lines.next() {
			more = do(lines.line)
		}
		f.Close()
		if lines.err != nil || !more {
			return lines.err
		}
	}
	return nil
}

// A chain is what a reader has seen of the ledger.
type chain struct {
	last
	named   map[Break]bool
	pending *BreakError // lines that are none, if no whole one came since
	taken   map[string]int
	yield   func(Line, error) bool
}

// openMonth opens one file, and says where its last good line ends, which may be the one
// before from. The caller closes the file.
func (l *Ledger) openMonth(month string, from int64, isLast bool) (f *os.File, end int64, err error) {
	if f, err = os.Open(l.path(month)); err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil {
		end = info.Size()
	}
	if err == nil && isLast {
		var at tail
		at, err = readTail(f, from, end)
		end = at.good
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, end, nil
}

// readMonth reads one file.
func (l *Ledger) readMonth(c *chain, month string, isLast bool) error {
	f, end, err := l.openMonth(month, 0, isLast)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := scanner{r: f, end: end}
	n := 1
	for ; lines.next(); n++ {
		if err := c.line(month, n, lines.line); err != nil {
			return err
		}
	}
	if lines.rest > 0 && !isLast {
		c.bad(month, n, fmt.Sprintf("its last %d bytes are no line", lines.rest))
	}
	return lines.err
}

// line checks one line against the chain and yields it.
func (c *chain) line(file string, n int, b []byte) error {
	line, whole, err := parse(b)
	if !whole {
		c.bad(file, n, err.Error())
		return nil
	}
	if line.Side != "" {
		c.taken[line.Side]++
	}
	broken := c.pending
	c.pending = nil
	switch {
	case broken != nil:
	case line.Seq > c.seq+1:
		broken = &BreakError{Line: n, Why: fmt.Sprintf("lines are missing: seq %d follows seq %d", line.Seq, c.seq)}
	case line.Seq <= c.seq:
		broken = &BreakError{Line: n, Why: fmt.Sprintf("lines are out of order: seq %d follows seq %d", line.Seq, c.seq)}
	case line.Prev != c.hash:
		broken = &BreakError{Line: n, Why: "it does not follow from the line before: one of them was changed"}
	case err != nil:
		broken = &BreakError{Line: n, Why: fmt.Sprintf("it can't be read: %v", err)}
	}
	hash := hashOf(b)
	if broken != nil {
		if broken.File == "" {
			broken.File = file
		}
		broken.SeqBefore, broken.Before, broken.SeqAfter, broken.After = c.seq, c.hash, line.Seq, hash
		if !c.named[broken.Break] && !c.yield(Line{}, broken) {
			return errStopped
		}
	}
	c.last = last{line.Seq, hash, line.At}
	if err == nil && !c.yield(line, nil) {
		return errStopped
	}
	return nil
}

// bad notes bytes that are no line. The break that they are is known once a whole line
// follows.
func (c *chain) bad(file string, n int, why string) {
	if c.pending == nil {
		c.pending = &BreakError{Break: Break{File: file, SeqBefore: c.seq, Before: c.hash}, Line: n, Why: why}
	}
}
