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

// Tar unpacks the tar that r holds up to its end, and returns the number of files
// that it made. Entries are checked one by one, so a container that is refused
// may have left files: they are for the caller to remove.
//
// Errors are as for Zip, but one of r is returned as it is.
func Tar(ctx context.Context, r io.Reader, limits Limits, create Create) (files int, err error) {
	limits = limits.withDefaults()
	in := &tarReader{ctx: ctx, r: bufio.NewReaderSize(r, 64<<10), limit: limits.Bytes}
	t := untar{
		ctx: ctx, in: in, tar: tar.NewReader(in),
		limits: limits, names: newNames(limits), create: create,
		buf: make([]byte, 64<<10),
	}
	switch err := t.unpackAll(); {
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
	in      *tarReader
	tar     *tar.Reader
	limits  Limits
	names   *names
	create  Create
	buf     []byte
	end     int64 // offset where the last entry ended
	decoded int64 // bytes of the entries so far
	files   int
}

func (t *untar) unpackAll() error {
	for {
		from := t.in.read
		t.in.heads = []byte{}
		h, err := t.tar.Next()
		heads := t.in.heads[min(t.end-from, int64(len(t.in.heads))):] // without the padding of the last entry
		t.in.heads = nil
		switch {
		case errors.Is(err, io.EOF):
			return t.checkEnd()
		case errors.Is(err, tar.ErrInsecurePath): // checkName is stricter, and says why
		case err != nil:
			return corrupt("tar after %d bytes: %v", t.end, err)
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			err = checkGlobal(h, heads)
		} else {
			err = t.unpack(h, heads)
		}
		if err != nil {
			return err
		}
		t.end = (t.in.read + tarBlock - 1) / tarBlock * tarBlock
	}
}

// checkEnd refuses a tar that just stops, which may be cut between two entries,
// and one that goes on behind its end. Two blocks of zeros are the end. Any
// number of zeros may follow them.
func (t *untar) checkEnd() error {
	if behind := t.in.read - t.end; behind < 2*tarBlock || t.in.zeros < behind {
		return corrupt("tar has no end marker, it is cut short")
	}
	if _, err := io.Copy(io.Discard, t.in); err != nil {
		return err
	}
	if t.in.zeros < t.in.read-t.end {
		return corrupt("tar goes on behind its end marker")
	}
	return nil
}

// unpack unpacks an entry whose headers were just read.
func (t *untar) unpack(h *tar.Header, heads tarHeads) error {
	name, err := t.accept(h)
	if err == nil {
		err = heads.check(h)
	}
	if err != nil {
		return fmt.Errorf("tar entry %.100q: %w", h.Name, err)
	}
	if h.Typeflag == tar.TypeDir || h.Typeflag == dumpDirectory || h.Typeflag == volumeLabel {
		if _, err := io.CopyBuffer(io.Discard, t.tar, t.buf); err != nil {
			return corrupt("tar entry %.100q: %v", h.Name, err)
		}
		return nil
	}
	out, err := t.create(name)
	if err != nil {
		return err
	}
	t.files++
	t.decoded += h.Size
	c := &content{ctx: t.ctx, out: out, left: h.Size}
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

// A tarReader reads the bytes of a tar, up to its limit.
type tarReader struct {
	ctx   context.Context
	r     io.Reader
	limit int64
	read  int64  // bytes so far
	zeros int64  // how many of them, up to the last one, are 0
	heads []byte // what was read while headers are read, else nil
	err   error  // of r, of ctx or of the limit; not io.EOF
}

func (r *tarReader) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		r.err = context.Cause(r.ctx)
		return 0, r.err
	}
	n, err := r.r.Read(p)
	r.read += int64(n)
	zeros := n - len(bytes.TrimRight(p[:n], "\x00"))
	if zeros < n {
		r.zeros = 0
	}
	r.zeros += int64(zeros)
	if r.heads != nil {
		r.heads = append(r.heads, p[:n]...)
	}
	switch {
	case len(r.heads) > maxTarHeads:
		r.err = corrupt("tar has more than %d bytes of headers for one entry", maxTarHeads)
		return 0, r.err
	case r.read > r.limit:
		r.err = overLimit(LimitDecoded, "tar is over the limit of %d bytes", r.limit)
		return 0, r.err
	case err != nil && !errors.Is(err, io.EOF):
		r.err = err
	}
	return n, err
}
