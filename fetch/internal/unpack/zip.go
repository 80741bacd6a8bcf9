package unpack

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"tallyman/fetch/internal/memory"
)

// Zip unpacks the zip in the first size bytes of r, and returns the number of
// files that it made. It checks all headers before it unpacks anything. Then up
// to workers goroutines, at least one, unpack an entry each. The first error ends
// them all, and none is left when Zip returns. What was created until then is for
// the caller to remove.
//
// An error of create or of a file that it made is returned as it is. An error of
// r, and the cause that ended ctx, may be wrapped. Every other error wraps one of
// ErrUnsafeName, ErrBomb, ErrEncrypted and ErrCorrupt, never two. A panic in a
// goroutine becomes one of the caller's.
func Zip(ctx context.Context, r io.ReaderAt, size int64, workers int, limits Limits, create Create) (files int, err error) {
	limits = limits.withDefaults()
	zip := io.NewSectionReader(contextReaderAt{ctx, r}, 0, size)
	at, err := findDirectory(zip, size, limits)
	if err != nil {
		return 0, err
	}
	entries, err := readDirectory(zip, at, limits)
	if err != nil {
		return 0, err
	}
	if err := checkLayout(zip, entries, at.offset); err != nil {
		return 0, err
	}
	if limits.Reserve != nil {
		var decoded int64 // within a limit, so it does not overflow
		for i := range entries {
			decoded += entries[i].decoded
		}
		if err := limits.Reserve(decoded); err != nil {
			return 0, err
		}
	}
	return inflateAll(ctx, r, entries, workers, limits.Memory, create)
}

// A contextReaderAt fails once its context has ended.
type contextReaderAt struct {
	ctx context.Context
	io.ReaderAt
}

func (r contextReaderAt) ReadAt(p []byte, off int64) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.ReaderAt.ReadAt(p, off)
}

// inflateAll unpacks all entries and returns how many files they made.
func inflateAll(ctx context.Context, r io.ReaderAt, entries []entry, workers int, account memory.Account, create Create) (int, error) {
	group, ctx := errgroup.WithContext(ctx)
	var next, files atomic.Int64
	for range min(max(workers, 1), len(entries)) {
		group.Go(func() (err error) {
			defer func() {
				if x := recover(); x != nil {
					err = &panicError{x}
				}
			}()
			f := &inflater{
				ctx: ctx, r: contextReaderAt{ctx, r}, memory: account, create: create,
				in: bufio.NewReaderSize(nil, 64<<10), decoders: map[uint16]decoder{},
			}
			defer func() {
				for _, d := range f.decoders {
					d.Close()
				}
			}()
			for i := next.Add(1) - 1; i < int64(len(entries)); i = next.Add(1) - 1 {
				if err := f.inflate(&entries[i]); err != nil {
					return err
				}
			}
			files.Add(f.files)
			return nil
		})
	}
	err := group.Wait()
	if p, ok := errors.AsType[*panicError](err); ok {
		panic(p.value)
	}
	if err != nil {
		return 0, err
	}
	return int(files.Load()), nil
}

// A panicError carries a panic to the goroutine of the caller, who may recover
// it there. In another goroutine it would end the process.
type panicError struct{ value any }

func (p *panicError) Error() string { return fmt.Sprintf("panic: %v", p.value) }

const (
	localMagic      = "PK\x03\x04"
	localSize       = 30 // of a local header without its name and extra field
	descriptorMagic = "PK\x07\x08"
)

// checkLayout finds the content of each entry and sorts the entries by offset.
// They must fill the file from its first byte to the directory.
func checkLayout(r io.ReaderAt, entries []entry, directory int64) error {
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.offset, b.offset) })
	offset := func(i int) int64 {
		if i == len(entries) {
			return directory
		}
		return entries[i].offset
	}
	if offset(0) != 0 {
		return corrupt("zip has %d bytes before its first entry: a self-extractor?", offset(0))
	}
	for i := range entries {
		e := &entries[i]
		if err := e.checkLocal(r, offset(i+1)); err != nil {
			return fmt.Errorf("zip entry %.100q: %w", e.name, err)
		}
	}
	return nil
}

// checkLocal reads the local header and the data descriptor of e, and sets where
// its content begins. The next entry, or the directory, begins at next.
func (e *entry) checkLocal(r io.ReaderAt, next int64) error {
	f, err := readAt(r, "local header", e.offset, localSize)
	if err != nil {
		return err
	}
	if magic := f.next(4); string(magic) != localMagic {
		return corrupt("local header is missing at %d", e.offset)
	}
	h := parseHeader(&f)
	rest, err := readAt(r, "local header", e.offset+localSize, int64(h.nameSize+h.extraSize))
	if err != nil {
		return err
	}
	e.content = e.offset + localSize + int64(len(rest))
	if err := h.parseTail(&rest); err != nil {
		return err
	}
	if err := e.checkAgrees(h); err != nil {
		return err
	}
	gap := next - e.content - e.encoded
	switch {
	case gap < 0:
		return bomb("overlaps with what follows, as no honest zip does")
	case e.flags&flagDescriptor != 0:
		return e.checkDescriptor(r, gap)
	case gap > 0:
		return corrupt("%d bytes lie between it and what follows", gap)
	}
	return nil
}

// checkAgrees refuses a local header that differs from the central one, but for
// its date, which no content depends on. If a data descriptor follows the content,
// zeros in the local header say nothing, and so do sizes with all bits set. A
// writer that learns only in the end whether the entry needs zip64 may have
// written another version.
func (e *entry) checkAgrees(h header) error {
	if string(h.name) != e.legacy {
		return corrupt("local header has another name, %.100q", h.name)
	}
	name, err := h.fullName(e.legacy)
	if _, ok := h.extra[unicodePathBlock]; ok && err == nil && name != e.name {
		err = unsafeName("local extra field has another name, %q", name)
	}
	if err != nil {
		return err
	}
	if err := h.check(); err != nil {
		return err
	}
	described := e.flags&flagDescriptor != 0
	_, isWide := h.extra[zip64Block]
	for _, size := range []*wide{&h.decoded, &h.encoded} {
		if described && !isWide && size.value == size.max {
			size.value = 0
		}
	}
	if err := h.extra.widen(&h.decoded, &h.encoded); err != nil {
		return err
	}
	isOpen := func(n uint64) bool { return described && (n == 0 || n == math.MaxUint64) }
	for _, f := range []struct {
		name           string
		local, central uint64
		ok             bool // although they differ
	}{
		{"flags", uint64(h.flags), uint64(e.flags), false},
		{"method", uint64(h.method), uint64(e.method), false},
		{"version", uint64(h.version), uint64(e.version), h.version == zip64Version || e.version == zip64Version},
		{"CRC-32", uint64(h.crc), uint64(e.crc), isOpen(uint64(h.crc))},
		{"encoded size", h.encoded.value, uint64(e.encoded), isOpen(h.encoded.value)},
		{"decoded size", h.decoded.value, uint64(e.decoded), isOpen(h.decoded.value)},
	} {
		if f.local != f.central && !f.ok {
			return corrupt("local header says %s %d, directory says %d", f.name, f.local, f.central)
		}
	}
	return nil
}

// descriptorForms are the forms that a data descriptor may have, by its size.
var descriptorForms = map[int64]struct{ signed, zip64 bool }{
	12: {false, false},
	16: {true, false},
	20: {false, true},
	24: {true, true},
}

// checkDescriptor checks the data descriptor, which must have size bytes: all
// that is between the content and what follows.
func (e *entry) checkDescriptor(r io.ReaderAt, size int64) error {
	form, ok := descriptorForms[size]
	if !ok {
		return corrupt("%d bytes follow it, which is no data descriptor", size)
	}
	f, err := readAt(r, "data descriptor", e.content+e.encoded, size)
	if err != nil {
		return err
	}
	if form.signed && string(f.next(4)) != descriptorMagic {
		return corrupt("data descriptor has no signature")
	}
	crc := f.u32()
	var encoded, decoded uint64
	if form.zip64 {
		encoded, decoded = f.u64(), f.u64()
	} else {
		encoded, decoded = uint64(f.u32()), uint64(f.u32())
	}
	if crc != e.crc || encoded != uint64(e.encoded) || decoded != uint64(e.decoded) {
		return corrupt("data descriptor says CRC-32 %08x of %d bytes in %d, directory says %08x of %d in %d",
			crc, decoded, encoded, e.crc, e.decoded, e.encoded)
	}
	return nil
}
