package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"tallyman/verify"
)

// Wire reads the object from its beginning, first what is here and then what
// comes. At a missing range it waits until the range is filled, Fail is called,
// or ctx ends. Its io.EOF is the verdict; see [verify.Wire]. A Partial has one
// Wire, which is made after the first AddPromise and read by one goroutine.
func (p *Partial) Wire(ctx context.Context) *verify.Wire {
	p.wire = verify.NewWire(p.name, p.Want(), &tailReader{ctx: ctx, partial: p})
	return p.wire
}

// Fail ends the Wire with err where it waits: the missing ranges will not be
// filled. The first call counts.
func (p *Partial) Fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed == nil {
		p.failed = err
	}
	p.moved.Broadcast()
}

// A tailReader reads an object while it is being received, as tail -f does.
type tailReader struct {
	ctx     context.Context
	partial *Partial
	off     int64
}

// Read waits until there are bytes at the offset. It returns io.EOF at the end of
// the object.
func (r *tailReader) Read(b []byte) (n int, err error) {
	p := r.partial
	here := int64(0) // bytes from the offset on
	stop := context.AfterFunc(r.ctx, func() { p.Fail(context.Cause(r.ctx)) })
	p.mu.Lock()
	for here == 0 && err == nil {
		i := p.parts.after(r.off)
		ended := r.off >= p.want.Size
		if p.want.Size == verify.Unknown {
			ended = i == len(p.parts) && i > 0 && p.parts[i-1].complete
		}
		switch {
		case i < len(p.parts) && p.parts[i].off <= r.off:
			here = p.parts[i].off + p.parts[i].n - r.off
		case ended:
			err = io.EOF
		case p.failed != nil:
			err = p.failed
		default:
			p.moved.Wait()
		}
	}
	p.mu.Unlock()
	stop()
	if err != nil {
		return 0, err
	}
	n, err = receivedBytes{p}.ReadAt(b[:min(int64(len(b)), here)], r.off)
	r.off += int64(n)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // the file is shorter than its parts
	}
	return n, err
}

// receivedBytes reads and writes what is received of an object.
type receivedBytes struct{ partial *Partial }

func (r receivedBytes) WriteAt(b []byte, off int64) (int, error) {
	if r.partial.memory != nil {
		return copy(r.partial.memory[off:], b), nil
	}
	if err := r.partial.in.archive.step("write", r.partial.file.Name()); err != nil {
		return 0, err
	}
	return r.partial.file.WriteAt(b, off)
}

func (r receivedBytes) ReadAt(b []byte, off int64) (int, error) {
	if r.partial.memory != nil {
		return bytes.NewReader(r.partial.memory).ReadAt(b, off)
	}
	if err := r.partial.in.archive.step("read", r.partial.file.Name()); err != nil {
		return 0, err
	}
	return r.partial.file.ReadAt(b, off)
}

// ReaderAt gives access to all bytes of the object as transferred, and their
// number, once its Wire has given io.EOF. It is valid until the Partial is
// finished or closed.
func (p *Partial) ReaderAt() (io.ReaderAt, int64, error) {
	if p.wire == nil || !errors.Is(p.wire.Result().Verdict, io.EOF) {
		return nil, 0, fmt.Errorf("read all of %s: %w", p.name, errUnproven)
	}
	size := p.wire.Result().Size
	return io.NewSectionReader(receivedBytes{p}, 0, size), size, nil
}

// A wireKeeper keeps the wire of an object as a file of the bag.
type wireKeeper struct {
	name func(codec string) string
	path string // of the file in the bag, once it is there
}

// KeepWire makes the bytes as transferred a file of the bag when the object is
// finished, unless they are its content anyway. The file's name may depend on the
// codec; if it is "", they are not kept after all. If content of the object has that
// name, ".wire" is added. KeepWire is called before Wire.
func (p *Partial) KeepWire(name func(codec string) string) {
	p.keep = &wireKeeper{name: name}
}

// linkWire gives the Partial's file a second name, in the bag. The first stays
// until the object is done, so that an attempt that is cut short leaves the parts
// to the next.
func (p *Partial) linkWire(codec string) (err error) {
	name := p.keep.name(codec)
	if name == "" {
		return nil
	}
	for slices.ContainsFunc(p.files, func(f File) bool { return f.Path == name || strings.HasPrefix(f.Path, name+"/") }) {
		name += ".wire"
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("keep %s: %w", name, err)
		}
	}()
	placeholder, err := p.create(name) // which checks the name and makes its directories
	if err != nil {
		return err
	}
	p.keep.path = filepath.Join(p.in.bag, dataDir, filepath.FromSlash(name))
	if p.file == nil {
		err = p.writeWire(placeholder)
	} else {
		err = errors.Join(placeholder.Close(), p.linkFile())
	}
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	found := p.wire.Result()
	p.files = append(p.files, File{Path: name, Size: found.Size, SHA256: found.SHA256, Wire: true, Records: verify.Unknown})
	return nil
}

// linkFile gives the file of the received bytes a second name in the bag, in place of
// what is there.
func (p *Partial) linkFile() error {
	step := p.in.archive.step
	if err := step.Sync(p.file); err != nil {
		p.Discard() // the bytes may be lost although they can be read, and a second fsync would not say so
		return err
	}
	if err := step.RemoveAll(p.keep.path); err != nil {
		return err
	}
	err := step.Link(p.file.Name(), p.keep.path)
	if errors.Is(err, fs.ErrExist) { // another object of that name made its placeholder just now
		return fmt.Errorf("%w: %w", ErrName, err)
	}
	return err
}

// writeWire writes an object that is in memory to its file in the bag.
func (p *Partial) writeWire(file *os.File) error {
	step := p.in.archive.step
	err := step("write", file.Name())
	if err == nil {
		_, err = file.Write(p.memory)
	}
	if err == nil && p.in.holdOpen(file) {
		return nil
	}
	if err == nil {
		err = step.Sync(file)
	}
	return errors.Join(err, file.Close())
}
