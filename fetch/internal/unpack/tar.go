package unpack

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
)

// Tar unpacks the tar that r holds up to its end, and returns how many files it
// made. Entries are judged as they come, so that a container that is refused
// may have left files: they are for the caller to throw away.
//
// Errors are as for Zip, but one of r comes back as it is: what is below knows
// best what it means.
func Tar(ctx context.Context, r io.Reader, limits Limits, create Create) (files int, err error) {
	limits = limits.orDefault()
	in := &tarStream{ctx: ctx, r: bufio.NewReaderSize(r, 64<<10), limit: limits.Bytes}
	t := untar{
		ctx: ctx, in: in, tar: tar.NewReader(in),
		limits: limits, names: newNames(limits), create: create,
		buf: make([]byte, 64<<10),
	}
	switch err := t.all(); {
	case in.err != nil:
		return 0, in.err
	case err != nil:
		return 0, err
	}
	return t.files, nil
}

// An untar unpacks one tar.
type untar struct {
	ctx     context.Context
	in      *tarStream
	tar     *tar.Reader
	limits  Limits
	names   *names
	create  Create
	buf     []byte
	end     int64 // offset where the last entry ended
	decoded int64 // bytes of all entries so far
	files   int
}

func (t *untar) all() error {
	for {
		h, heads, err := t.next()
		switch {
		case errors.Is(err, io.EOF):
			return t.finish()
		case errors.Is(err, tar.ErrInsecurePath): // our rules are stricter, and say why
		case err != nil:
			return corrupt("tar after %d bytes: %v", t.end, err)
		}
		if err := t.entry(h, heads); err != nil {
			return err
		}
		t.end = (t.in.read + tarBlock - 1) / tarBlock * tarBlock
	}
}

// next reads the headers of the next entry. Padding comes before them.
func (t *untar) next() (*tar.Header, tarHeads, error) {
	from := t.in.read
	t.in.heads = []byte{}
	h, err := t.tar.Next()
	heads := t.in.heads
	t.in.heads = nil
	return h, heads[min(t.end-from, int64(len(heads))):], err
}

// finish refuses a tar that just stops, which might be cut between two
// entries, and one that goes on behind its end. Two blocks of zeros are the
// end, however many more pad it.
func (t *untar) finish() error {
	if t.in.read-t.end < 2*tarBlock || !t.in.zeroFrom(t.end) {
		return corrupt("tar has no end marker, it is cut short")
	}
	if _, err := io.Copy(io.Discard, t.in); err != nil {
		return err
	}
	if !t.in.zeroFrom(t.end) {
		return corrupt("tar goes on behind its end marker")
	}
	return nil
}

// entry unpacks one entry, whose header was just read.
func (t *untar) entry(h *tar.Header, heads tarHeads) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return checkGlobal(h, heads)
	}
	name, err := t.accept(h)
	if err == nil {
		err = heads.check(h)
	}
	if err != nil {
		return fmt.Errorf("tar entry %.100q: %w", h.Name, err)
	}
	if h.Typeflag == tar.TypeDir {
		return nil
	}
	return t.unpack(name, h.Size)
}

// unpack unpacks the content of one file.
func (t *untar) unpack(name string, size int64) error {
	out, err := t.create(name)
	if err != nil {
		return err
	}
	t.files++
	t.decoded += size
	c := &content{ctx: t.ctx, out: out, left: size}
	_, err = io.CopyBuffer(c, t.tar, t.buf)
	closing := out.Close()
	switch {
	case c.err != nil:
		return c.err
	case err != nil:
		return corrupt("tar entry %.100q: %v", name, err)
	}
	return closing
}

// A tarStream is a tar as it is read, byte by byte within its limit.
type tarStream struct {
	ctx   context.Context
	r     io.Reader
	limit int64
	read  int64  // bytes so far
	zeros int64  // of which the last so many are 0
	heads []byte // what is read, while that is headers; else nil
	err   error  // of r, of ctx or of the limit; not io.EOF
}

func (s *tarStream) Read(p []byte) (int, error) {
	if s.ctx.Err() != nil {
		s.err = context.Cause(s.ctx)
		return 0, s.err
	}
	n, err := s.r.Read(p)
	s.count(p[:n])
	if s.heads != nil {
		s.heads = append(s.heads, p[:n]...)
	}
	switch {
	case len(s.heads) > maxTarHeads:
		s.err = corrupt("tar has more than %d bytes of headers for one entry", maxTarHeads)
		return 0, s.err
	case s.read > s.limit:
		s.err = overLimit(LimitDecoded, "tar is over the limit of %d bytes", s.limit)
		return 0, s.err
	case err != nil && !errors.Is(err, io.EOF):
		s.err = err
	}
	return n, err
}

func (s *tarStream) count(p []byte) {
	s.read += int64(len(p))
	zeros := len(p) - len(bytes.TrimRight(p, "\x00"))
	if zeros < len(p) {
		s.zeros = 0
	}
	s.zeros += int64(zeros)
}

// zeroFrom reports whether all bytes from an offset on, as far as read, are 0.
func (s *tarStream) zeroFrom(offset int64) bool { return s.zeros >= s.read-offset }
