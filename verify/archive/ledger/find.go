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
		if _, err := l.find(ofKey(key), known{}, yield); err != nil && !errors.Is(err, errStopped) {
			yield(Line{}, err)
		}
	}
}

// Last returns the last line of a kind that speaks of a reference, or nil if there is none.
// It reads the ledger from its end, and no further than to that line.
func (l *Ledger) Last(kind Kind, ref string) (last *Line, err error) {
	mark := []byte(`"kind":"` + string(kind) + `"`)
	wanted := search{
		maybe: func(line []byte) bool { return bytes.Contains(line, mark) },
		is:    func(line *Line) bool { return line.Kind == kind && line.Ref == ref },
	}
	_, err = l.find(wanted, known{}, func(line Line, _ error) bool {
		last = &line
		return false
	})
	if errors.Is(err, errStopped) {
		err = nil
	}
	return last, err
}

// A known is what a search found of a key in the files, and how far it read.
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
	var files, sides Latest
	now, err := l.find(ofKey(key), before, func(line Line, _ error) bool {
		latest := &files
		if line.Seq == 0 {
			latest = &sides
		}
		latest.add(&line)
		return files.Presence == nil || files.Phase == nil
	})
	if err != nil && !errors.Is(err, errStopped) {
		return Latest{}, err
	}
	now.Latest = files.or(before.Latest)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known == nil {
		l.known = map[string]known{}
	}
	if _, again := l.known[key]; again || len(l.known) < maxKnown {
		l.known[key] = now
	}
	return sides.or(now.Latest), nil
}

// add notes a line that comes before those that were added.
func (l *Latest) add(line *Line) {
	is := classes[line.Kind]
	if is.presence && l.Presence == nil {
		l.Presence = line
	}
	if is.phase && l.Phase == nil {
		l.Phase = line
	}
}

// or returns l, and what it lacks from an earlier one.
func (l Latest) or(earlier Latest) Latest {
	return Latest{cmp.Or(l.Presence, earlier.Presence), cmp.Or(l.Phase, earlier.Phase)}
}

// find yields the lines that are searched for, the newest first, that are not in side
// files only and that a search before did not read. It says how far it read.
func (l *Ledger) find(s search, before known, yield func(Line, error) bool) (now known, err error) {
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
			if s.is(&line) && !yield(line, nil) {
				return now, errStopped
			}
		}
	}
	s.yield = yield
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
			err = s.file(f, from, end)
		}
		f.Close()
		if err != nil {
			return now, err
		}
	}
	return now, nil
}

// A search looks for some lines.
type search struct {
	maybe func(line []byte) bool // reports whether a line is worth reading
	is    func(*Line) bool       // reports whether it is one of them
	yield func(Line, error) bool
	buf   []byte
}

// ofKey searches for the lines of a key.
func ofKey(key string) search {
	return search{
		maybe: func(line []byte) bool {
			f, ok := fieldsOf(line)
			return ok && string(f.key) == key
		},
		is: func(line *Line) bool { return line.Key == key },
	}
}

// file searches a file between two offsets from its end, in chunks that begin and end
// with lines.
func (s *search) file(f *os.File, from, end int64) error {
	size := int64(findChunk)
	for end > from {
		start := max(from, end-size)
		s.buf = slices.Grow(s.buf[:0], int(end-start))
		b := s.buf[:end-start]
		if n, err := f.ReadAt(b, start); err != nil && !errors.Is(err, io.EOF) {
			return err
		} else if n < len(b) { // cut by a writer meanwhile
			end = start + int64(n)
			continue
		}
		first := 0
		if start > 0 {
			first = bytes.IndexByte(b[:len(b)-1], '\n') + 1
			if first == 0 && size <= maxLine {
				size *= 2
				continue
			}
		}
		if err := s.chunk(b[first:]); err != nil {
			return err
		}
		end, size = start+int64(first), findChunk
	}
	return nil
}

// chunk searches whole lines, and yields the last first.
func (s *search) chunk(b []byte) error {
	var lines []Line
	for len(b) > 0 {
		line, rest, _ := bytes.Cut(b, []byte{'\n'})
		b = rest
		if !s.maybe(line) {
			continue
		}
		if line, whole, err := parse(line); whole && err == nil && s.is(&line) {
			lines = append(lines, line)
		}
	}
	for _, line := range slices.Backward(lines) {
		if !s.yield(line, nil) {
			return errStopped
		}
	}
	return nil
}
