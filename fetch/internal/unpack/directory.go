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
	centralSize  = 46 // of a central header without its name, extra field and comment

	signatureMagic = "PK\x05\x05"
	signatureSize  = 6 // without the signature itself
)

// An entry is one entry of a zip.
type entry struct {
	name             string // that of a directory ends in a slash
	legacy           string // the name as the headers have it
	file             string // the name of its file
	version          uint8  // needed to read it
	flags, method    uint16
	crc              uint32
	encoded, decoded int64 // bytes
	offset           int64 // of its local header
	content          int64 // offset of its content, once checkLayout has found it
}

func (e *entry) isDirectory() bool { return strings.HasSuffix(e.name, "/") }

// A directory is the central directory of a zip while it is read.
type directory struct {
	in      *bufio.Reader
	at      int64 // its offset
	limits  Limits
	names   *names
	decoded int64  // bytes of the entries so far
	buf     fields // what read returned
}

// readDirectory reads the entries of the directory, and checks everything that
// the directory alone can tell.
func readDirectory(r io.ReaderAt, p position, limits Limits) ([]entry, error) {
	d := directory{
		in:     bufio.NewReaderSize(io.NewSectionReader(r, p.offset, p.size), 64<<10),
		at:     p.offset,
		limits: limits,
		names:  newNames(limits),
	}
	entries := make([]entry, p.entries)
	for i := range entries {
		e := &entries[i]
		err := d.readEntry(e)
		isSame := func(other entry) bool { return other.offset == e.offset }
		if errors.Is(err, ErrUnsafeName) && slices.ContainsFunc(entries[:i], isSame) {
			err = bomb("%.100q overlaps with another, as no honest zip does", e.name) // the simplest bombs have one name
		}
		if err != nil {
			return nil, fmt.Errorf("zip entry %d: %w", i+1, err)
		}
	}
	return entries, d.checkRest(p.entries)
}

// checkRest refuses everything behind the entries but a digital signature of the
// directory (APPNOTE 4.3.13). It is not checked, as in other readers.
func (d *directory) checkRest(entries int) error {
	if d.atEnd() {
		return nil
	}
	f, err := d.read(signatureSize)
	if err == nil && string(f.next(4)) == signatureMagic {
		if _, err = d.read(int(f.u16())); err == nil && d.atEnd() {
			return nil
		}
	}
	return corrupt("zip directory goes on behind its %d entries", entries)
}

func (d *directory) atEnd() bool {
	_, err := d.in.Peek(1)
	return err != nil
}

// readEntry reads and checks the next central header.
func (d *directory) readEntry(e *entry) error {
	e.offset = -1
	f, err := d.read(centralSize)
	if err != nil {
		return err
	}
	if magic := f.next(4); string(magic) != centralMagic {
		return corrupt("header is missing in the directory")
	}
	f.next(2) // made by
	c := central{header: parseHeader(&f)}
	commentSize := int(f.u16())
	c.disk = wide{"disk", uint64(f.u16()), max16}
	f.next(2) // internal attributes
	c.attributes = f.u32()
	c.offset = wide{"offset", uint64(f.u32()), max32}
	rest, err := d.read(c.nameSize + c.extraSize + commentSize)
	if err != nil {
		return err
	}
	if err := c.parseTail(&rest); err != nil {
		return err
	}
	if c.disk.value == max16 && len(c.extra[zip64Block])%8 == 0 {
		c.disk.value = 0 // the block has none, and there is only one
	}
	e.legacy = string(c.name)
	if err := d.check(e, &c); err != nil {
		return fmt.Errorf("%.100q: %w", e.legacy, err)
	}
	e.version, e.flags, e.method, e.crc = c.version, c.flags, c.method, c.crc
	e.encoded, e.decoded = int64(c.encoded.value), int64(c.decoded.value)
	d.decoded += e.decoded
	return nil
}

// A central is a central header.
type central struct {
	header
	attributes   uint32 // external: those of DOS in the low half, of Unix in the high half
	offset, disk wide
}

// read returns the next n bytes, which are valid until the next call.
func (d *directory) read(n int) (fields, error) {
	d.buf = slices.Grow(d.buf[:0], n)[:n]
	if _, err := io.ReadFull(d.in, d.buf); err != nil {
		return nil, readError("zip directory", err)
	}
	return d.buf, nil
}

// check checks a central header, takes its numbers from the zip64 block, and sets
// the names and the offset of its entry.
func (d *directory) check(e *entry, c *central) (err error) {
	if err := c.check(); err != nil {
		return err
	}
	if err := c.extra.widen(&c.decoded, &c.encoded, &c.offset, &c.disk); err != nil {
		return err
	}
	e.offset = int64(c.offset.value)
	if e.name, err = c.fullName(e.legacy); err != nil {
		return err
	}
	if e.file, err = d.names.add(e.name); err != nil {
		return err
	}
	encoded, decoded := c.encoded.value, c.decoded.value
	if err := checkAttributes(e.isDirectory(), decoded, c.attributes); err != nil {
		return err
	}
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
	if err := d.limits.checkSize(decoded, d.decoded); err != nil {
		return err
	}
	if decoded > 1<<20 && decoded/uint64(max(d.limits.Ratio, 1)) > encoded {
		return overLimit(LimitDecoded, "%d bytes in %d are over the limit of %d to 1", decoded, encoded, d.limits.Ratio)
	}
	return nil
}

const (
	dosVolume    = 1 << 3
	dosDirectory = 1 << 4

	unixType      = 0o170000
	unixPipe      = 0o010000
	unixSocket    = 0o140000
	unixFile      = 0o100000
	unixDirectory = 0o040000
	unixSetID     = 0o006000
)

// unixTypes are the types of files that are never unpacked.
var unixTypes = map[uint32]string{
	unixPipe:   "named pipe",
	0o020000:   "character device",
	0o060000:   "block device",
	0o120000:   "symbolic link",
	unixSocket: "socket",
}

// checkAttributes refuses everything but plain files and directories, by the
// external attributes of an entry. The Unix half counts whatever system the entry
// says that it is from, since readers differ in that. If all of its bits are set,
// it says nothing, and so do the attributes as a whole.
//
// "… | zip" and "7z -si" give the entry the type of their standard input, so a
// named pipe is a file, and a socket that has content is one.
func checkAttributes(isDirectory bool, decoded uint64, attributes uint32) error {
	if attributes == max32 {
		attributes = 0
	}
	mode := attributes >> 16
	switch kind := mode & unixType; {
	case mode == max16:
		mode = 0
	case !isDirectory && (kind == unixPipe || kind == unixSocket && decoded > 0):
		mode &^= unixType
	}
	if err := checkMode(isDirectory, mode); err != nil {
		return err
	}
	switch kind := mode & unixType; {
	case kind == unixDirectory && !isDirectory, attributes&dosDirectory != 0 && !isDirectory:
		return unsafeName("is a directory without a slash at its end")
	case kind == unixFile && isDirectory:
		return unsafeName("is a file with a slash at its end")
	case attributes&dosVolume != 0:
		return unsafeName("is a volume label")
	}
	return nil
}

// checkMode refuses a Unix mode that is not that of a plain file or directory.
func checkMode(isDirectory bool, mode uint32) error {
	kind := mode & unixType
	switch name, special := unixTypes[kind]; {
	case special:
		return unsafeName("is a %s", name)
	case kind != 0 && kind != unixFile && kind != unixDirectory:
		return unsafeName("is of the unknown type %#o", kind)
	case mode&unixSetID != 0 && !isDirectory:
		return unsafeName("is a program that runs as its owner or group (mode %#o)", mode)
	}
	return nil
}
