package ledger

import (
	"bytes"
	"errors"
	"io"
	"os"
	"time"
)

const (
	// maxWrite bounds one append, and so how far from the end of a file a power cut
	// may have left a hole.
	maxWrite = 1 << 20

	// maxBody leaves room in an append for what ties a line to the chain.
	maxBody = maxWrite - 1024
)

// A place is where the next line goes, and what it follows.
type place struct {
	file string
	info os.FileInfo // nil: it is not known
	size int64
	last
}

// A last is what the next line follows.
type last struct {
	seq  int64
	hash string
	at   time.Time
}

// A tail is the end of a file as a reader finds it.
type tail struct {
	good  int64 // where the last good line ends; what is behind is torn
	found bool  // whether there is one
	last  last
}

// tailOf reads the tail of a file, and its size.
func (l *Ledger) tailOf(name string) (t tail, size int64, err error) {
	f, err := os.Open(l.path(name))
	if err != nil {
		return t, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return t, 0, err
	}
	t, err = readTail(f, 0, info.Size())
	return t, info.Size(), err
}

// readTail finds the last good line of a file between two offsets, of which the first
// is the beginning of a line. Lines behind a hole in the last append are not good.
func readTail(r io.ReaderAt, from, size int64) (tail, error) {
	if size <= from {
		return tail{good: from}, nil
	}
	start := max(from, size-2*maxWrite)
	b := make([]byte, size-start)
	if n, err := r.ReadAt(b, start); err != nil && !errors.Is(err, io.EOF) {
		return tail{}, err
	} else if n < len(b) { // cut by a writer meanwhile
		b, size = b[:n], start+int64(n)
	}
	first := 0
	if start > from {
		first = bytes.IndexByte(b, '\n') + 1
	}
	b = b[:holeIn(b, first)]
	for end := bytes.LastIndexByte(b, '\n') + 1; end > first; {
		begin := max(first, bytes.LastIndexByte(b[:end-1], '\n')+1)
		if last, ok := asLast(b[begin : end-1]); ok {
			return tail{start + int64(end), true, last}, nil
		}
		end = begin
	}
	if start == from {
		return tail{good: from}, nil
	}
	return scanTail(r, from, size)
}

// holeIn is the length of the end of a file without the lines from the first on that
// has a hole, if that begins within the reach of one append.
func holeIn(b []byte, first int) int {
	if reach := len(b) - maxWrite; reach > first {
		first = reach + bytes.IndexByte(b[reach-1:], '\n') // the first line that begins there
		if first < reach {
			return len(b)
		}
	}
	hole := bytes.IndexByte(b[first:], 0)
	if hole < 0 {
		return len(b)
	}
	return bytes.LastIndexByte(b[:first+hole], '\n') + 1
}

// scanTail is readTail for a file of which the end has no good line within the reach
// of two appends: it reads all of it.
func scanTail(r io.ReaderAt, from, size int64) (tail, error) {
	found := tail{good: from}
	s := scanner{r: r, off: from, end: size}
	for s.next() {
		if last, ok := asLast(s.line); ok {
			found = tail{s.after(), true, last}
		} else if s.at >= size-maxWrite && bytes.IndexByte(s.line, 0) >= 0 {
			break
		}
	}
	return found, s.err
}

// asLast reads what the line behind this one needs of it.
func asLast(line []byte) (last, bool) {
	l, whole, _ := parse(line)
	if !whole {
		return last{}, false
	}
	return last{l.Seq, hashOf(line), l.At}, true
}

// Torn returns how many bytes the next writer will cut off the end of the ledger. If
// a writer is at work, they may be what it is writing.
func (l *Ledger) Torn() (int64, error) {
	found, err := l.list()
	if err != nil || len(found.months) == 0 {
		return 0, err
	}
	tail, size, err := l.tailOf(found.months[len(found.months)-1])
	return size - tail.good, err
}
