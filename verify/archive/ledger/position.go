package ledger

import (
	"bytes"
	"errors"
	"iter"
	"os"
	"slices"
)

// A Position is a line and where it is. The zero Position is before the first.
type Position struct {
	File string // a name in the ledger's directory
	At   int64  // the offset of the line in it
	Seq  int64
	Hash string // SHA-256 of the line, without its newline, in hex
}

// ErrMoved is of a Position whose line is not there as it was.
var ErrMoved = errors.New("the ledger has another line there")

// A Placed is a line as Since yields it.
type Placed struct {
	Line
	File string
	At   int64
	raw  []byte
}

// Position is the Position of the line. It is to be asked for before the next line.
func (p *Placed) Position() Position { return Position{p.File, p.At, p.Seq, hashOf(p.raw)} }

// Since yields each line behind a Position, in order, for a caller that keeps what it
// makes of them. It checks no chain: lines that can't be read are not among them, and
// those of side files are told by Waiting. It fails with ErrMoved if the line at the
// Position is not as it was.
func (l *Ledger) Since(from Position) iter.Seq2[Placed, error] {
	return func(yield func(Placed, error) bool) {
		if err := l.since(from, yield); err != nil && !errors.Is(err, errStopped) {
			yield(Placed{}, err)
		}
	}
}

func (l *Ledger) since(from Position, yield func(Placed, error) bool) error {
	found, err := l.list()
	if err != nil {
		return err
	}
	first := 0
	if from.File != "" {
		if first = slices.Index(found.months, from.File); first < 0 {
			return ErrMoved
		}
	}
	for i, month := range found.months[first:] {
		begin := int64(0)
		if month == from.File {
			begin = from.At
		}
		f, end, err := l.openMonth(month, begin, first+i == len(found.months)-1)
		if err != nil {
			return err
		}
		lines := scanner{r: f, off: begin, end: end}
		if month == from.File && (!lines.next() || hashOf(lines.line) != from.Hash) {
			f.Close()
			return errors.Join(ErrMoved, lines.err)
		}
		for err == nil && lines.next() {
			if line, whole, unread := parse(lines.line); whole && unread == nil && !yield(Placed{line, month, lines.at, lines.line}, nil) {
				err = errStopped
			}
		}
		f.Close()
		if err = errors.Join(err, lines.err); err != nil {
			return err
		}
	}
	return nil
}

// OfKind yields each line of one kind, in order, and reads no other any further than to
// see that. Like Since it checks no chain, and leaves out what waits in side files.
func (l *Ledger) OfKind(kind Kind) iter.Seq2[Placed, error] {
	return func(yield func(Placed, error) bool) {
		found, err := l.list()
		for i, month := range found.months {
			if err == nil {
				err = l.ofKind(kind, month, i == len(found.months)-1, yield)
			}
		}
		if err != nil && !errors.Is(err, errStopped) {
			yield(Placed{}, err)
		}
	}
}

func (l *Ledger) ofKind(kind Kind, month string, isLast bool, yield func(Placed, error) bool) error {
	f, end, err := l.openMonth(month, 0, isLast)
	if err != nil {
		return err
	}
	defer f.Close()
	written := []byte(`,"kind":"` + string(kind) + `"`)
	lines := scanner{r: f, end: end}
	for lines.next() {
		if !bytes.Contains(lines.line, written) {
			continue
		}
		if line, whole, unread := parse(lines.line); whole && unread == nil && line.Kind == kind && !yield(Placed{line, month, lines.at, lines.line}, nil) {
			return errStopped
		}
	}
	return lines.err
}

// LineAt returns the line at an offset of a file, such as a Position has.
func (l *Ledger) LineAt(file string, at int64) (Line, error) {
	if !monthName().MatchString(file) {
		return Line{}, ErrMoved
	}
	f, err := os.Open(l.path(file))
	if err != nil {
		return Line{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Line{}, err
	}
	lines := scanner{r: f, off: at, end: info.Size()}
	if at > info.Size() || !lines.next() {
		return Line{}, errors.Join(ErrMoved, lines.err)
	}
	line, whole, err := parse(lines.line)
	if !whole || err != nil {
		return Line{}, errors.Join(ErrMoved, err)
	}
	return line, nil
}

// Waiting returns the lines of side files that no writer has taken in yet, in order.
func (l *Ledger) Waiting() (lines []Line, err error) {
	months, sides, err := l.listAll()
	if err != nil || len(sides) == 0 {
		return nil, err
	}
	taken, err := l.taken(months)
	if err != nil {
		return nil, err
	}
	for _, side := range sides {
		lines = append(lines, side.lines[min(taken[side.random], len(side.lines)):]...)
	}
	return lines, nil
}

// Sync makes the line at a Position durable, and all before it: no power cut takes them
// back. It fails where nobody may do so, as on a file system that is read-only.
func (l *Ledger) Sync(p Position) error {
	f, err := os.Open(l.path(p.File))
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
