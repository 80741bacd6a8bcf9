package unpack

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// An inflater inflates entries, one at a time.
type inflater struct {
	ctx      context.Context
	r        io.ReaderAt
	create   Create
	in       *bufio.Reader
	decoders map[uint16]decoder
	files    int64 // created so far
}

func newInflater(ctx context.Context, r io.ReaderAt, create Create) *inflater {
	return &inflater{
		ctx:      ctx,
		r:        contextReaderAt{ctx, r},
		create:   create,
		in:       bufio.NewReaderSize(nil, 64<<10),
		decoders: map[uint16]decoder{},
	}
}

func (f *inflater) close() {
	for _, d := range f.decoders {
		d.Close()
	}
}

// inflate inflates an entry into its file. A directory's content, which some
// writers encode though it is nothing, is only checked.
func (f *inflater) inflate(e *entry) error {
	if e.isDirectory() {
		return f.decode(io.Discard, e)
	}
	if f.ctx.Err() != nil {
		return context.Cause(f.ctx)
	}
	out, err := f.create(e.name)
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
	in := &source{Reader: io.NewSectionReader(f.r, e.content, e.encoded)}
	c := &content{ctx: f.ctx, out: out, left: e.decoded}
	err := f.copy(c, in, e.method)
	switch {
	case c.err != nil:
		return c.err
	case in.err != nil:
		return fmt.Errorf("read zip entry %.100q: %w", e.name, in.err)
	case err == nil:
		err = c.check(e.crc)
	}
	if err != nil {
		return fmt.Errorf("zip entry %.100q: %w", e.name, err)
	}
	return nil
}

// copy decodes in, all of it, into c.
func (f *inflater) copy(c *content, in *source, method uint16) error {
	d, err := f.decoder(method)
	if err != nil {
		return err
	}
	f.in.Reset(in)
	if err := d.Reset(f.in); err != nil {
		return undecodable(err)
	}
	if _, err := d.WriteTo(c); err != nil {
		return undecodable(err)
	}
	if _, err := f.in.Peek(1); err == nil {
		return corrupt("bytes follow the end of what is encoded")
	}
	return nil
}

func (f *inflater) decoder(method uint16) (decoder, error) {
	if d, ok := f.decoders[method]; ok {
		return d, nil
	}
	d, err := methods[method]()
	if err == nil {
		f.decoders[method] = d
	}
	return d, err
}

// content passes what was decoded to a file, and never more than was declared.
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

func (c *content) check(crc uint32) error {
	switch {
	case c.left > 0:
		return corrupt("decodes to %d bytes less than declared", c.left)
	case c.crc != crc:
		return corrupt("CRC-32 is %08x, want %08x", c.crc, crc)
	}
	return nil
}

var errTooLong = corrupt("decodes to more bytes than declared")

// undecodable makes a decoder's error one of ours.
func undecodable(err error) error {
	if errors.Is(err, ErrCorrupt) || errors.Is(err, ErrBomb) {
		return err
	}
	return corrupt("decode: %v", err)
}
