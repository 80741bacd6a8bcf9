package unpack

import (
	"cmp"
	"fmt"
	"io"
	"slices"
)

const (
	localMagic      = "PK\x03\x04"
	localSize       = 30 // of a local header without name and extra field
	descriptorMagic = "PK\x07\x08"
)

// place finds where the content of each entry lies, and sorts the entries by
// that. They must fill the file from its first byte to the directory.
func place(r io.ReaderAt, entries []entry, directory int64) error {
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.offset, b.offset) })
	starts := func(i int) int64 {
		if i == len(entries) {
			return directory
		}
		return entries[i].offset
	}
	if starts(0) != 0 {
		return corrupt("zip has %d bytes before its first entry: a self-extractor?", starts(0))
	}
	for i := range entries {
		e := &entries[i]
		if err := e.place(r, starts(i+1)); err != nil {
			return fmt.Errorf("zip entry %.100q: %w", e.name, err)
		}
	}
	return nil
}

// place reads what is around the content of e, which ends at next.
func (e *entry) place(r io.ReaderAt, next int64) error {
	h, size, err := readLocal(r, e.offset)
	if err != nil {
		return err
	}
	if err := e.agree(h); err != nil {
		return err
	}
	e.content = e.offset + size
	room := next - e.content - e.encoded
	switch {
	case room < 0:
		return bomb("overlaps with what follows, as no honest zip does")
	case e.flags&flagDescriptor != 0:
		return e.readDescriptor(r, room)
	case room > 0:
		return corrupt("%d bytes lie between it and what follows", room)
	}
	return nil
}

// readLocal reads a local header. Its size includes the name and the extra
// field.
func readLocal(r io.ReaderAt, offset int64) (h header, size int64, err error) {
	f, err := readAt(r, "local header", offset, localSize)
	if err != nil {
		return h, 0, err
	}
	if magic := f.take(4); string(magic) != localMagic {
		return h, 0, corrupt("local header is missing at %d", offset)
	}
	h = parseHeader(&f)
	rest, err := readAt(r, "local header", offset+localSize, int64(h.nameSize+h.extraSize))
	if err != nil {
		return h, 0, err
	}
	size = localSize + int64(len(rest))
	return h, size, h.tail(&rest)
}

// agree refuses a local header that says something else than the directory.
// Where a descriptor follows, zeros say nothing.
func (e *entry) agree(h header) error {
	if string(h.name) != e.name {
		return corrupt("local header has another name, %.100q", h.name)
	}
	if err := h.check(); err != nil {
		return err
	}
	if err := h.extra.widen(&h.decoded, &h.encoded); err != nil {
		return err
	}
	open := e.flags&flagDescriptor != 0
	for _, f := range []struct {
		name        string
		local, want uint64
		ok          bool
	}{
		{"flags", uint64(h.flags), uint64(e.flags), false},
		{"method", uint64(h.method), uint64(e.method), false},
		{"version", uint64(h.version), uint64(e.version), versionsAgree(h.version, e.version)},
		{"CRC-32", uint64(h.crc), uint64(e.crc), open && h.crc == 0},
		{"encoded size", h.encoded.value, uint64(e.encoded), open && h.encoded.value == 0},
		{"decoded size", h.decoded.value, uint64(e.decoded), open && h.decoded.value == 0},
	} {
		if f.local != f.want && !f.ok {
			return corrupt("local header says %s %d, directory says %d", f.name, f.local, f.want)
		}
	}
	return nil
}

// versionsAgree allows for a writer that learns only in the end that a header
// needs zip64, or does not.
func versionsAgree(local, central uint16) bool {
	return local == central || local == zip64Version || central == zip64Version
}

// descriptors are the forms that a data descriptor may have, by size.
var descriptors = map[int64]struct{ signed, zip64 bool }{
	12: {false, false},
	16: {true, false},
	20: {false, true},
	24: {true, true},
}

// readDescriptor checks the data descriptor that fills the room behind the
// content.
func (e *entry) readDescriptor(r io.ReaderAt, room int64) error {
	form, ok := descriptors[room]
	if !ok {
		return corrupt("%d bytes follow it, which is no data descriptor", room)
	}
	f, err := readAt(r, "data descriptor", e.content+e.encoded, room)
	if err != nil {
		return err
	}
	if form.signed && string(f.take(4)) != descriptorMagic {
		return corrupt("data descriptor has no signature")
	}
	crc, encoded, decoded := f.descriptor(form.zip64)
	if crc != e.crc || encoded != uint64(e.encoded) || decoded != uint64(e.decoded) {
		return corrupt("data descriptor says CRC-32 %08x of %d bytes in %d, directory says %08x of %d in %d",
			crc, decoded, encoded, e.crc, e.decoded, e.encoded)
	}
	return nil
}

func (f *fields) descriptor(zip64 bool) (crc uint32, encoded, decoded uint64) {
	if zip64 {
		return f.u32(), f.u64(), f.u64()
	}
	return f.u32(), uint64(f.u32()), uint64(f.u32())
}
