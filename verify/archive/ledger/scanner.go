package ledger

import (
	"bytes"
	"errors"
	"io"
)

// A scanner reads the lines of a part of a file. Of one that is longer than maxLine it
// returns nothing.
type scanner struct {
	r        io.ReaderAt
	off, end int64 // what is not read yet

	line []byte // without its newline; valid until the next
	at   int64  // its offset
	rest int64  // bytes behind the last newline, once there is no next
	err  error

	buf         []byte
	begin, fill int   // of what is read and not returned
	skipped     int64 // bytes of a line that is too long
}

const (
	// maxLine bounds what a reader takes for a line.
	maxLine    = 16 << 20
	scanBuffer = 256 << 10
)

// next reads the next line. It returns false at the end and on errors.
func (s *scanner) next() bool {
	searched := s.begin
	for {
		if i := bytes.IndexByte(s.buf[searched:s.fill], '\n'); i >= 0 {
			s.line = s.buf[s.begin : searched+i]
			if s.skipped > 0 || len(s.line) > maxLine {
				s.line = nil
			}
			s.at = s.off - int64(s.fill-s.begin) - s.skipped
			s.begin = searched + i + 1
			s.skipped = 0
			return true
		}
		if s.begin > 0 {
			s.fill = copy(s.buf, s.buf[s.begin:s.fill])
			s.begin = 0
		}
		if s.fill > maxLine {
			s.skipped += int64(s.fill)
			s.fill = 0
		}
		searched = s.fill
		if s.fill == len(s.buf) {
			s.buf = append(s.buf, make([]byte, min(int64(max(scanBuffer, s.fill)), s.end-s.off))...)
		}
		n, err := s.r.ReadAt(s.buf[s.fill:s.fill+int(min(int64(len(s.buf)-s.fill), s.end-s.off))], s.off)
		s.fill += n
		s.off += int64(n)
		if n == 0 {
			s.rest = int64(s.fill) + s.skipped
			if err != nil && !errors.Is(err, io.EOF) {
				s.err = err
			}
			return false
		}
	}
}

// after is the offset behind the line and its newline.
func (s *scanner) after() int64 { return s.off - int64(s.fill-s.begin) }
