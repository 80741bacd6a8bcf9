package ledger

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"slices"
)

const findChunk = 4 << 20

// Find returns the lines of a key, the newest first: those of side files, then those of
// the ledger from its end. It reads no more than is asked for, and checks no chain. Lines
// that can't be read are not among them.
func (l *Ledger) Find(key string) iter.Seq2[Line, error] {
	return func(yield func(Line, error) bool) {
		if err := l.find(key, yield); err != nil && !errors.Is(err, errStopped) {
			yield(Line{}, err)
		}
	}
}

func (l *Ledger) find(key string, yield func(Line, error) bool) error {
	months, sides, err := l.listAll()
	if err != nil {
		return err
	}
	var taken map[string]int
	if len(sides) > 0 {
		if taken, err = l.taken(months); err != nil {
			return err
		}
	}
	for _, side := range slices.Backward(sides) {
		for _, line := range slices.Backward(side.lines[min(taken[side.random], len(side.lines)):]) {
			if line.Key == key && !yield(line, nil) {
				return errStopped
			}
		}
	}
	s := search{key: key, yield: yield}
	for i, month := range slices.Backward(months) {
		if err := s.file(l, month, i == len(months)-1); err != nil {
			return err
		}
	}
	return nil
}

// A search looks for the lines of a key.
type search struct {
	key   string
	yield func(Line, error) bool
	buf   []byte
}

// file searches one file from its end, in chunks that begin and end with lines.
func (s *search) file(l *Ledger, month string, isLast bool) error {
	f, end, err := l.openMonth(month, isLast)
	if err != nil {
		return err
	}
	defer f.Close()
	size := int64(findChunk)
	for end > 0 {
		start := max(0, end-size)
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
		if f, ok := fieldsOf(line); !ok || string(f.key) != s.key {
			continue
		}
		if line, whole, err := parse(line); whole && err == nil && line.Key == s.key {
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
