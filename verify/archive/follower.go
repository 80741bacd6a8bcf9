package archive

import (
	"context"
	"errors"
	"io"

	"tallyman/verify"
)

// Fail tells the reader of the Wire that a hole will not be filled, and why.
func (p *Partial) Fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed == nil {
		p.failed = err
	}
	p.moved.Broadcast()
}

// Wire reads the object from its beginning: what is here, then what comes. It
// waits at a hole until the hole is filled, Fail is called, or ctx ends. Its
// io.EOF is the verdict; see [verify.Wire]. There is one Wire of a Partial,
// made after the first Promise.
func (p *Partial) Wire(ctx context.Context) *verify.Wire {
	var bytes io.Reader = &follower{ctx: ctx, partial: p}
	if p.keep != nil {
		bytes = io.TeeReader(bytes, p.keep.sum)
	}
	p.wire = verify.NewWire(p.name, p.Want(), bytes)
	return p.wire
}

type follower struct {
	ctx     context.Context
	partial *Partial
	off     int64
}

func (f *follower) Read(b []byte) (int, error) {
	n, err := f.partial.wait(f.ctx, f.off)
	if err != nil {
		return 0, err
	}
	read, err := f.partial.readAt(b[:min(int64(len(b)), n)], f.off)
	f.off += int64(read)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // the file is shorter than its parts
	}
	return read, err
}

// readAt reads from the partial's file.
func (p *Partial) readAt(b []byte, off int64) (int, error) {
	if err := p.in.archive.disk.begin("read", p.file.Name()); err != nil {
		return 0, err
	}
	return p.file.ReadAt(b, off)
}

// wait returns how many bytes are here from off on, once there are any.
func (p *Partial) wait(ctx context.Context, off int64) (int64, error) {
	defer context.AfterFunc(ctx, func() { p.Fail(context.Cause(ctx)) })()
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		n, ended := p.available(off)
		switch {
		case n > 0:
			return n, nil
		case ended:
			return 0, io.EOF
		case p.failed != nil:
			return 0, p.failed
		}
		p.moved.Wait()
	}
}

// available is how many bytes are here from off on, and whether the object
// ends there.
func (p *Partial) available(off int64) (n int64, ended bool) {
	i := p.parts.after(off)
	if i < len(p.parts) && p.parts[i].off <= off {
		return p.parts[i].off + p.parts[i].n - off, false
	}
	if p.want.Size != verify.Unknown {
		return 0, off >= p.want.Size
	}
	return 0, i == len(p.parts) && i > 0 && p.parts[i-1].whole
}
