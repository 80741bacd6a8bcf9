package ledger

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"iter"
	"os"
	"slices"
)

const findChunk = 4 << 20

// Find returns the lines of a key, the newest first: those of side files, then those of
// the ledger from its end. It reads no more than is asked for, and checks no chain. Lines
// that can't be read are not among them.
func (l *Ledger) Find(key string) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		_, err := l.find(key, known{}, func(line Line) bool { return line.Key != key || yield(line, nil) })
		if err != nil && !errors.Is(err, errStopped) {
			yield(Line{}, err)
		}
	}
}

// Last returns the last line of a kind that speaks of a reference, or nil if there is none.
// It reads the ledger from its end, and no further than to that line.
func (l *Ledger) Last(kind Kind, ref string) (last *Line, err error) {
	_, err = l.find(`"kind":"`+string(kind)+`"`, known{}, func(line Line) bool {
		if line.Kind == kind && line.Ref == ref {
			last = &line
		}
		return last == nil
	})
	if errors.Is(err, errStopped) {
		err = nil
	}
	return last, err
}

// A known is what a search found of a key, and how far it read in the files.
type known struct {
	Latest
	month string // the last that was there
	file  os.FileInfo
	end   int64 // of its last good line
}

// maxKnown is how many keys are searched for alone, before an index of all is made.
const maxKnown = 8

// Latest returns the last lines of a key. A few keys are searched for from the end of
// the ledger, and later only in what was appended since; for more of them the Index is
// made, which takes as long as a few searches. It fails as Index.Lookup does.
func (l *Ledger) Latest(key string) (Latest, error) {
	l.mu.Lock()
	before, again := l.known[key]
	many := !again && len(l.known) == maxKnown
	l.mu.Unlock()
	if many {
		index, err := l.Index()
		if err != nil {
			return Latest{}, err
		}
		return index.Lookup(key)
	}
	if file, err := os.Lstat(l.path(before.month)); err != nil || before.file == nil || !os.SameFile(file, before.file) || file.Size() < before.end {
		before = known{}
	}
	var found Latest
	now, err := l.find(key, before, func(line Line) bool {
		is := classes[line.Kind]
		if is.presence && line.Key == key {
			found.Presence = cmp.Or(found.Presence, &line)
		}
		if is.phase && line.Key == key {
			found.Phase = cmp.Or(found.Phase, &line)
		}
		return found.Presence == nil || found.Phase == nil
	})
	if err != nil && !errors.Is(err, errStopped) {
		return Latest{}, err
	}
	now.Latest = Latest{cmp.Or(found.Presence, before.Presence), cmp.Or(found.Phase, before.Phase)}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known == nil {
		l.known = map[string]known{}
	}
	if _, again := l.known[key]; again || len(l.known) < maxKnown {
		l.known[key] = now
	}
	return now.Latest, nil
}

// find yields lines, the newest first: those that are in side files only, and those that
// a search before did not read and that may have the text in them. It says how far it
// read.
func (l *Ledger) find(text string, before known, yield func(Line) bool) (now known, err error) {
	months, sides, err := l.listAll()
	if err != nil {
		return now, err
	}
	var taken map[string]int
	if len(sides) > 0 {
		if taken, err = l.taken(months); err != nil {
			return now, err
		}
	}
	for _, side := range slices.Backward(sides) {
		for _, line := range slices.Backward(side.lines[min(taken[side.random], len(side.lines)):]) {
			if !yield(line) {
				return now, errStopped
			}
		}
	}
	for i, month := range slices.Backward(months) {
		if month < before.month {
			break
		}
		from, isLast := int64(0), i == len(months)-1
		if month == before.month {
			from = before.end
		}
		f, end, err := l.openMonth(month, from, isLast)
		if err != nil {
			return now, err
		}
		if isLast {
			now.month, now.end = month, end
			now.file, err = f.Stat()
		}
		if err == nil {
			err = findBack(f, from, end, []byte(text), yield)
		}
		f.Close()
		if err != nil {
			return now, err
		}
	}
	return now, nil
}

// findBack reads a file between two offsets from its end, in chunks that begin and end
// with lines, and yields those that have the text in them. One with an escape may have it.
func findBack(f *os.File, from, end int64, text []byte, yield func(Line) bool) error {
	var b []byte
	for size := int64(findChunk); end > from; {
		start := max(from, end-size)
		b = slices.Grow(b[:0], int(end-start))[:end-start]
		if n, err := f.ReadAt(b, start); err != nil && !errors.Is(err, io.EOF) {
			return err
		} else if n < len(b) { // cut by a writer meanwhile
			end = start + int64(n)
			continue
		}
		first := 0
		if start > from {
			first = bytes.IndexByte(b[:len(b)-1], '\n') + 1
			if first == 0 && size <= maxLine {
				size *= 2
				continue
			}
		}
		var found []Line
		for rest := b[first:]; len(rest) > 0; {
			var line []byte
			line, rest, _ = bytes.Cut(rest, []byte{'\n'})
			if !bytes.Contains(line, text) && bytes.IndexByte(line, '\\') < 0 {
				continue
			}
			if line, whole, err := parse(line); whole && err == nil {
				found = append(found, line)
			}
		}
		for _, line := range slices.Backward(found) {
			if !yield(line) {
				return errStopped
			}
		}
		end, size = start+int64(first), findChunk
	}
	return nil
}
