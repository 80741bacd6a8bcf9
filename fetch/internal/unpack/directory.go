package unpack

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

const (
	centralMagic = "PK\x01\x02"
	centralSize  = 46 // of a central header without name, extra field and comment
)

// An entry is one entry of a zip.
type entry struct {
	name             string // a directory's ends in a slash
	version          uint16 // needed
	flags, method    uint16
	crc              uint32
	encoded, decoded int64 // bytes
	offset           int64 // of its local header
	content          int64 // offset of what is encoded, once it is placed
}

func (e *entry) isDirectory() bool { return strings.HasSuffix(e.name, "/") }

// A directory is the central directory of a zip while it is read.
type directory struct {
	in      *bufio.Reader
	at      int64 // its offset
	limits  Limits
	names   *names
	decoded int64  // bytes of all entries so far
	scratch fields // what follows a central header
}

// readDirectory reads the entries at s, and checks all that the directory
// alone can tell.
func readDirectory(r io.ReaderAt, s span, limits Limits) ([]entry, error) {
	d := directory{
		in:     bufio.NewReaderSize(io.NewSectionReader(r, s.offset, s.size), 64<<10),
		at:     s.offset,
		limits: limits,
		names:  newNames(limits),
	}
	entries := make([]entry, s.entries)
	for i := range entries {
		if err := d.read(&entries[i]); err != nil {
			return nil, fmt.Errorf("zip entry %d: %w", i+1, ofOverlap(entries[:i], entries[i], err))
		}
	}
	if _, err := d.in.Peek(1); err == nil {
		return nil, corrupt("zip directory goes on behind its %d entries", s.entries)
	}
	return entries, nil
}

// ofOverlap makes a bomb of an entry that is refused for its name if it lies
// where another does: of the simplest bombs all names are one.
func ofOverlap(before []entry, e entry, err error) error {
	same := func(other entry) bool { return other.offset == e.offset }
	if errors.Is(err, ErrUnsafeName) && slices.ContainsFunc(before, same) {
		return bomb("%.100q overlaps with another, as no honest zip does", e.name)
	}
	return err
}

// read reads the next entry.
func (d *directory) read(e *entry) error {
	e.offset = -1
	c, err := d.next()
	if err != nil {
		return err
	}
	e.name = string(c.name)
	if err := d.take(e, c); err != nil {
		return fmt.Errorf("%.100q: %w", e.name, err)
	}
	return nil
}

// A central is a central header.
type central struct {
	header
	attributes   uint32 // external: DOS's in the low half, Unix's in the high one
	offset, disk wide
}

// next parses the next central header. It is good until the one after.
func (d *directory) next() (central, error) {
	f, err := d.bytes(centralSize)
	if err != nil {
		return central{}, err
	}
	if magic := f.take(4); string(magic) != centralMagic {
		return central{}, corrupt("header is missing in the directory")
	}
	f.take(2) // made by
	c := central{header: parseHeader(&f)}
	commentSize := int(f.u16())
	c.disk = wide{"disk", uint64(f.u16()), max16}
	f.take(2) // internal attributes
	c.attributes = f.u32()
	c.offset = wide{"offset", uint64(f.u32()), max32}
	rest, err := d.bytes(c.nameSize + c.extraSize + commentSize)
	if err != nil {
		return central{}, err
	}
	return c, c.tail(&rest)
}

// bytes are the directory's next, until the next call.
func (d *directory) bytes(n int) (fields, error) {
	d.scratch = slices.Grow(d.scratch[:0], n)[:n]
	if _, err := io.ReadFull(d.in, d.scratch); err != nil {
		return nil, cut("zip directory", err)
	}
	return d.scratch, nil
}

// take checks a central header and takes it over into e.
func (d *directory) take(e *entry, c central) error {
	if err := c.check(); err != nil {
		return err
	}
	if err := c.extra.widen(&c.decoded, &c.encoded, &c.offset, &c.disk); err != nil {
		return err
	}
	e.offset = int64(c.offset.value)
	if err := d.names.add(e.name); err != nil {
		return err
	}
	if err := checkAttributes(e.isDirectory(), c.attributes); err != nil {
		return err
	}
	if err := d.checkSizes(e, c); err != nil {
		return err
	}
	e.version, e.flags, e.method, e.crc = c.version, c.flags, c.method, c.crc
	e.encoded, e.decoded = int64(c.encoded.value), int64(c.decoded.value)
	d.decoded += e.decoded
	return nil
}

func (d *directory) checkSizes(e *entry, c central) error {
	encoded, decoded := c.encoded.value, c.decoded.value
	switch {
	case c.disk.value != 0:
		return corrupt("is on disk %d of several", c.disk.value)
	case c.offset.value > uint64(d.at) || encoded > uint64(d.at):
		return corrupt("offset %d or encoded size %d is beyond the directory", c.offset.value, encoded)
	case c.method == methodStored && encoded != decoded:
		return corrupt("%d bytes are stored as %d", decoded, encoded)
	case e.isDirectory() && decoded != 0:
		return corrupt("is a directory with %d bytes of content", decoded)
	}
	if err := d.limits.check(decoded, d.decoded); err != nil {
		return err
	}
	return d.limits.checkRatio(encoded, decoded)
}
