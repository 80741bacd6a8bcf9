package unpack

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/flate"

	"tallyman/fetch/internal/memory"
)

// An inflater unpacks entries of a zip, one at a time.
type inflater struct {
	ctx      context.Context
	r        io.ReaderAt
	memory   memory.Account
	create   Create
	in       *bufio.Reader
	decoders map[uint16]decoder // by method; made at the first use
	files    int64              // created so far
}

// inflate unpacks an entry into its file. The content of a directory is empty,
// but some writers encode it: it is only checked.
func (f *inflater) inflate(e *entry) error {
	if e.isDirectory() {
		return f.decode(io.Discard, e)
	}
	if f.ctx.Err() != nil {
		return context.Cause(f.ctx)
	}
	out, err := f.create(e.file)
	if err != nil {
		return err
	}
	f.files++
	err = f.decode(out, e)
	if closing := out.Close(); err == nil {
		err = closing
	}
	return err
}

func (f *inflater) decode(out io.Writer, e *entry) error {
	in := &errorSaver{Reader: io.NewSectionReader(f.r, e.content, e.encoded)}
	c := &content{ctx: f.ctx, out: out, left: e.decoded}
	err := f.copy(c, in, e.method)
	switch {
	case c.err != nil:
		return c.err
	case in.err != nil:
		return fmt.Errorf("read zip entry %.100q: %w", e.name, in.err)
	case err == nil && c.left > 0:
		err = corrupt("decodes to %d bytes less than declared", c.left)
	case err == nil && c.crc != e.crc:
		err = corrupt("CRC-32 is %08x, want %08x", c.crc, e.crc)
	}
	if err != nil {
		return fmt.Errorf("zip entry %.100q: %w", e.name, err)
	}
	return nil
}

// copy decodes all of in into c.
func (f *inflater) copy(c *content, in io.Reader, method uint16) (err error) {
	d, ok := f.decoders[method]
	if !ok {
		d = methods[method](f)
		f.decoders[method] = d
	}
	f.in.Reset(in)
	if err = d.Reset(f.in); err == nil {
		_, err = d.WriteTo(c)
	}
	if err = WindowError(err); err != nil {
		if errors.Is(err, ErrCorrupt) || errors.Is(err, ErrBomb) || errors.Is(err, context.Cause(f.ctx)) {
			return err
		}
		return corrupt("decode: %v", err)
	}
	if _, err := f.in.Peek(1); err == nil {
		return corrupt("bytes follow the end of what is encoded")
	}
	return nil
}

// An errorSaver saves the error of its reader, which a decoder may rephrase.
type errorSaver struct {
	io.Reader
	err error // not io.EOF
}

func (s *errorSaver) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// A content passes what was decoded to a file, but never more than was declared.
type content struct {
	ctx  context.Context
	out  io.Writer
	left int64 // bytes to come
	crc  uint32
	err  error // of out or ctx
}

func (c *content) Write(p []byte) (int, error) {
	if int64(len(p)) > c.left {
		return 0, errTooLong
	}
	c.left -= int64(len(p))
	c.crc = crc32.Update(c.crc, crc32.IEEETable, p)
	if c.ctx.Err() != nil {
		c.err = context.Cause(c.ctx)
		return 0, c.err
	}
	n, err := c.out.Write(p)
	if n < len(p) && err == nil {
		err = io.ErrShortWrite
	}
	c.err = err
	return n, err
}

var errTooLong = fmt.Errorf("decodes to more bytes than declared: %w", ErrCorrupt)

// A decoder decodes one entry after another.
type decoder interface {
	Reset(*bufio.Reader) error
	io.WriterTo
	Close()
}

const (
	methodStored  = 0
	methodDeflate = 8
	methodZstd    = 93
)

// methods are the compression methods that are decoded.
var methods = map[uint16]func(*inflater) decoder{
	methodStored: func(*inflater) decoder { return &storedDecoder{} },
	methodDeflate: func(*inflater) decoder {
		d := flate.NewReader(nil)
		return flateDecoder{d.(flate.Resetter), d.(io.WriterTo)}
	},
	methodZstd: func(f *inflater) decoder { return zstdDecoder{memory.NewZstd(f.ctx, nil, f.memory)} },
}

type storedDecoder struct{ *bufio.Reader }

func (d *storedDecoder) Reset(in *bufio.Reader) error {
	d.Reader = in
	return nil
}

func (d *storedDecoder) Close() {}

type flateDecoder struct {
	flate.Resetter
	io.WriterTo
}

func (d flateDecoder) Reset(in *bufio.Reader) error { return d.Resetter.Reset(in, nil) }
func (d flateDecoder) Close()                       {}

type zstdDecoder struct{ *memory.Zstd }

func (d zstdDecoder) Reset(in *bufio.Reader) error {
	d.Zstd.Reset(in)
	return nil
}
