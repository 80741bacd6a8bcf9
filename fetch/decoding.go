package fetch

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"tallyman/fetch/internal/unpack"
	"tallyman/verify/archive"
)

// Keep says what of an object goes into the bag. What is not kept is decoded
// all the same, to prove and to count it.
type Keep string

// What may be kept.
const (
	KeepContent Keep = "content"
	KeepWire    Keep = "wire" // the bytes as transferred
	KeepBoth    Keep = "both"
)

// A decoding takes one object from its wire into content files: one codec,
// then at most one container, whose entries are not opened further.
type decoding struct {
	object  named
	size    int64 // as transferred, or verify.Unknown
	create  func(name, declared string) (io.WriteCloser, error)
	whole   func() (io.ReaderAt, int64, error) // once the wire was heard out
	stop    func()                             // ends the wire: what comes of it does not matter any more
	spoil   func()                             // what came is of no use to a later attempt
	workers int
	limits  unpack.Limits

	maxDecoded int64                              // bytes, or 0: the default
	room       func(context.Context, int64) error // for content of so many bytes

	asIs   bool   // only what was transferred is kept
	codec  string // what it turned out to be: "gzip+tar"
	fault  string // of a name that is not true
	summed bool   // the format's own checksums proved all of it
}

func (a *attempt) decoding(object named, partial *archive.Partial, stop func()) *decoding {
	d := &decoding{
		object: object, size: partial.Want().Size, create: partial.Create, whole: partial.ReaderAt,
		stop: stop, spoil: partial.Discard, workers: a.parallel(), limits: a.Limits, maxDecoded: a.MaxDecoded,
	}
	if a.Keep == KeepWire || a.Keep == KeepBoth {
		partial.KeepWire(object.wireFile)
	}
	d.room = func(ctx context.Context, content int64) error {
		return a.reserveContent(ctx, object, partial, content)
	}
	if a.Keep == KeepWire {
		d.create, d.asIs = partial.CreateCounted, true
	}
	return d
}

// decode decodes the object. An error that is not an *ownError is the
// object's, or that of the wire below it: which of the two, the wire tells.
func (d *decoding) decode(ctx context.Context, wire io.Reader) error {
	encoded := takeReader(wire)
	defer dropReader(encoded)
	f, err := formatOf(encoded)
	switch {
	case err != nil:
	case f == nil:
		err = d.contents(ctx, encoded)
	default:
		d.codec = f.name
		err = f.decode(ctx, d, encoded)
	}
	switch {
	case err == nil:
		return nil
	case !isOwn(err) && ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return fmt.Errorf("decode %s: %w", d.object.Name, judge(err))
}

// judge makes ErrCorrupt of what has no other kind, and leaves what a store
// says for what it is.
func judge(err error) error {
	if _, said := errors.AsType[*CallError](err); said || isOwn(err) {
		return err
	}
	for _, kind := range []error{ErrCorrupt, ErrUnsafeName, ErrBomb, ErrEncrypted} {
		if errors.Is(err, kind) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, err)
}

// formatOf is nil for what is not encoded. It drops the skippable frames that
// some encoders put first, since zstd and lz4 share them.
func formatOf(encoded *bufio.Reader) (*format, error) {
	skipped, err := dropSkippable(encoded)
	if err != nil {
		return nil, err
	}
	head, err := encoded.Peek(magicSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	for i, f := range formats {
		if skipped && !f.skips {
			continue
		}
		if bytes.HasPrefix(head, []byte(f.magic)) || skipped && len(head) == 0 {
			return &formats[i], nil
		}
	}
	if skipped {
		return nil, errStray
	}
	return nil, nil
}

var errStray = errors.New("what follows a skippable frame is no frame")

var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 64<<10) }}

func takeReader(r io.Reader) *bufio.Reader {
	b := readers.Get().(*bufio.Reader)
	b.Reset(r)
	return b
}

// dropReader is called when no one reads it any more.
func dropReader(b *bufio.Reader) {
	b.Reset(nil)
	readers.Put(b)
}

// stream makes the decode of a format whose content comes as it is read.
func stream(open func(io.Reader) (io.Reader, func(), error), sums func() summer) func(context.Context, *decoding, io.Reader) error {
	return func(ctx context.Context, d *decoding, encoded io.Reader) error {
		sums, meter := sums(), &meter{d: d}
		content, closeContent, err := open(meter.over(io.TeeReader(encoded, sums)))
		if err != nil {
			return cmp.Or(sums.greedy(), err)
		}
		defer closeContent()
		meter.content = content
		ahead := readAhead(meter, d.size)
		err = d.contents(ctx, ahead)
		if isOwn(err) {
			d.stop() // or Close would wait for what the wire brings next
		}
		ahead.Close() // until then sums is written to
		if err != nil && !isOwn(err) {
			err = cmp.Or(sums.greedy(), err)
		}
		d.summed = err == nil && sums.summed()
		return err
	}
}

// contents writes what was decoded: the entries of a tar, or one file.
func (d *decoding) contents(ctx context.Context, content io.Reader) error {
	ahead, ok := content.(*bufio.Reader)
	if !ok {
		ahead = takeReader(content)
		defer dropReader(ahead)
	}
	head, err := ahead.Peek(512)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch {
	case unpack.IsDamagedTar(head):
		return errTarSum
	case !unpack.IsTar(head):
		return d.only(ahead, head)
	}
	d.codec += map[bool]string{true: "tar", false: "+tar"}[d.codec == ""]
	_, err = unpack.Tar(ctx, ahead, d.containerLimits(d.size), d.entry)
	return container(err)
}

var errTarSum = errors.New("the first header of the tar has a wrong checksum")

// only writes the one content file of an object that begins with head.
func (d *decoding) only(content *bufio.Reader, head []byte) error {
	if d.codec == "" {
		if err := d.page(content, head); err != nil {
			return err
		}
		if err := d.misnamed(head); err != nil {
			return err
		}
	}
	return d.file(content)
}

func (d *decoding) file(content io.Reader) error {
	out, err := d.open(d.object.file(), d.object.Content)
	if err != nil {
		return err
	}
	if err := copyAll(out, content); err != nil {
		return errors.Join(err, out.Close())
	}
	return out.Close()
}

// copyAll is io.Copy, but for the io.EOF of a WriterTo that was read to its
// end before.
func copyAll(to io.Writer, from io.Reader) error {
	if _, err := io.Copy(to, from); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// unzip waits for the wire's verdict, since a zip can only be judged as a
// whole. Its CRC-32s cover all of it.
func unzip(ctx context.Context, d *decoding, encoded io.Reader) error {
	if err := copyAll(io.Discard, encoded); err != nil {
		return err
	}
	whole, size, err := d.whole()
	if err != nil {
		return err
	}
	limits := d.containerLimits(size)
	limits.Room = func(bytes int64) error { return unfit(d.room(ctx, bytes)) }
	_, err = unpack.Zip(ctx, ownReaderAt{whole}, size, d.workers, limits, d.entry)
	d.summed = err == nil
	return container(err)
}

// container makes our own ErrCorrupt of a container's.
func container(err error) error {
	if errors.Is(err, unpack.ErrCorrupt) {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return err
}

// entry opens the content file of a container's entry.
func (d *decoding) entry(name string) (io.WriteCloser, error) {
	return d.open(d.object.entry(name), "")
}

func (d *decoding) open(name, declared string) (io.WriteCloser, error) {
	out, err := d.create(name, declared)
	if err != nil {
		return nil, unfit(err)
	}
	return own{out}, nil
}

// unfit tells a name that the bag can't hold, which is the object's fault, from
// a failure of our own disk.
func unfit(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, archive.ErrName):
		return fmt.Errorf("%w: %s", ErrUnsafeName, err.Error()) // not wrapped: no failure of the disk
	}
	return &ownError{err}
}

// An ownError is a failure of our own disk. It says nothing of the object.
type ownError struct{ err error }

func (e *ownError) Error() string { return e.err.Error() }
func (e *ownError) Unwrap() error { return e.err }

func isOwn(err error) bool {
	_, own := errors.AsType[*ownError](err)
	return own
}

// ownReaderAt marks the failures to read what was received as ours.
type ownReaderAt struct{ io.ReaderAt }

func (r ownReaderAt) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.ReaderAt.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		err = &ownError{err}
	}
	return n, err
}

// own marks the failures of a content file as ours.
type own struct{ io.WriteCloser }

func (o own) Write(p []byte) (int, error) {
	n, err := o.WriteCloser.Write(p)
	if err != nil {
		err = &ownError{err}
	}
	return n, err
}

func (o own) Close() error {
	if err := o.WriteCloser.Close(); err != nil {
		return &ownError{err}
	}
	return nil
}
