package unpack

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// The records at the end of a zip (APPNOTE 4.3.14 to 4.3.16).
const (
	endMagic     = "PK\x05\x06"
	end64Magic   = "PK\x06\x06"
	locatorMagic = "PK\x06\x07"

	endSize     = 22 // without the comment
	end64Size   = 56 // without the extensible part, which only encryption needs
	locatorSize = 20

	maxComment   = 1<<16 - 1
	maxDirectory = 256 << 20 // bytes
)

// A position is where the directory is, and how many entries it has.
type position struct {
	entries      int
	offset, size int64
}

// An end is what an end record says, of either kind.
type end struct {
	disk, startDisk   uint64
	here, entries     uint64 // on this disk, on all disks
	directory, offset uint64 // size and offset of the directory
}

// findDirectory finds the directory of a zip of size bytes. It must lie right
// before the end records.
func findDirectory(r io.ReaderAt, size int64, limits Limits) (position, error) {
	e, at, err := readEnd(r, size)
	if err != nil {
		return position{}, err
	}
	e, at, err = readEnd64(r, e, at)
	if err != nil {
		return position{}, err
	}
	switch {
	case e.disk != 0 || e.startDisk != 0 || e.here != e.entries:
		return position{}, corrupt("zip is one of several disks")
	case e.directory > uint64(at) || e.offset != uint64(at)-e.directory:
		return position{}, corrupt("directory of %d bytes at %d does not end at %d, where the end record is: "+
			"a self-extractor, or the offsets are wrong", e.directory, e.offset, at)
	case e.entries > e.directory/centralSize || e.entries == 0 && e.directory != 0:
		return position{}, corrupt("directory has %d bytes, too few or too many for %d entries", e.directory, e.entries)
	case e.entries > uint64(max(limits.Entries, 0)):
		return position{}, overLimit(LimitEntries, "zip has %d entries, over the limit of %d", e.entries, limits.Entries)
	case e.directory > maxDirectory:
		return position{}, bomb("directory has %d bytes, over the limit of %d", e.directory, maxDirectory)
	}
	return position{entries: int(e.entries), offset: int64(e.offset), size: int64(e.directory)}, nil
}

// readEnd returns the end record and its offset: the first whose comment ends at
// the end of the file, or where zeros fill its last block, as bsdtar writes them
// to a pipe. A record may leave everything to zip64, even the comment. Other
// readers take the last record, so the comment must not hold what they could take
// for one.
func readEnd(r io.ReaderAt, size int64) (e end, at int64, err error) {
	start := max(0, size-endSize-maxComment)
	tail, err := readAt(r, "end record", start, max(0, size-start))
	if err != nil {
		return end{}, 0, err
	}
	at = -1
	reason := "zip has no end record: it is cut short or no zip"
	for i := nextEnd(tail, 0); i >= 0; i = nextEnd(tail, i+1) {
		record, f := start+int64(i), tail[i+len(endMagic):]
		found := parseEnd(&f)
		switch comment := int(f.u16()); {
		case at < 0 && (endsAfter(f, comment, size) || string(tail[i+len(endMagic):]) == allOnes):
			e, at = found, record
		case at < 0:
			reason = "zip goes on after its end record, or its comment is cut short"
		default:
			isText, err := found.isText(r, record)
			if err != nil {
				return end{}, 0, err
			}
			if !isText {
				return end{}, 0, corrupt("zip has two end records")
			}
		}
	}
	if at < 0 {
		return end{}, 0, corrupt("%s", reason)
	}
	return e, at, nil
}

// parseEnd takes an end record from f, from its magic to the size of its comment.
func parseEnd(f *fields) end {
	return end{
		disk: uint64(f.u16()), startDisk: uint64(f.u16()),
		here: uint64(f.u16()), entries: uint64(f.u16()),
		directory: uint64(f.u32()), offset: uint64(f.u32()),
	}
}

// allOnes is an end record, behind its magic, that says nothing.
var allOnes = strings.Repeat("\xff", endSize-len(endMagic))

// nextEnd returns where the next end record of tail[from:] may begin, or -1.
func nextEnd(tail []byte, from int) int {
	if from+endSize > len(tail) {
		return -1
	}
	i := bytes.Index(tail[from:len(tail)-endSize+len(endMagic)], []byte(endMagic))
	if i < 0 {
		return -1
	}
	return from + i
}

// endsAfter reports whether a zip of size bytes ends after the first n bytes of
// rest: nothing follows them but zeros up to the end of a block.
func endsAfter(rest []byte, n int, size int64) bool {
	if n >= len(rest) {
		return n == len(rest)
	}
	return size%tarBlock == 0 && len(bytes.TrimLeft(rest[n:], "\x00")) == 0
}

// isText reports whether no reader takes bytes at an offset for an end record,
// although they begin as one. Readers find a directory there by its offset or by
// its size, or an empty one. libarchive, which searches on from there, does so
// only if disks, numbers of entries and sizes fit.
func (e end) isText(r io.ReaderAt, at int64) (bool, error) {
	fits := e.disk == 0 && e.startDisk == 0 && e.here == e.entries && e.offset+e.directory <= uint64(at)
	if fits || e.here == 0 || e.entries == 0 || e.directory == 0 {
		return false, nil
	}
	found, err := hasMagic(r, centralMagic, int64(e.offset), at-int64(e.directory))
	if !found && err == nil {
		found, err = hasMagic(r, locatorMagic, at-locatorSize)
	}
	return !found && err == nil, err
}

// IsAlsoZip reports whether readers of zips find one in the first size bytes of r,
// which begin as something else: an end record near the end, and a directory where
// it says. atEnd reports whether the comment of the record is the end of the
// file, as it is in no file that only holds a zip. An error of r may be wrapped.
func IsAlsoZip(r io.ReaderAt, size int64) (isZip, atEnd bool, err error) {
	start := max(0, size-endSize-maxComment)
	tail, err := readAt(r, "end of the file", start, size-start)
	if err != nil {
		return false, false, err
	}
	for i := nextEnd(tail, 0); i >= 0 && !atEnd; i = nextEnd(tail, i+1) {
		record, f := start+int64(i), tail[i+len(endMagic):]
		e := parseEnd(&f)
		isLast := int(f.u16()) == len(f)
		found, err := hasMagic(r, centralMagic, int64(e.offset), record-int64(e.directory))
		if !found && err == nil {
			found, err = hasMagic(r, end64Magic, record-locatorSize-end64Size)
		}
		if err != nil {
			return false, false, err
		}
		found = found || isLast && e.entries == 0 && e.directory == 0
		isZip, atEnd = isZip || found, found && isLast
	}
	return isZip, atEnd, nil
}

// hasMagic reports whether a magic is at one of the offsets, which may be out of
// range.
func hasMagic(r io.ReaderAt, magic string, offsets ...int64) (bool, error) {
	b := make([]byte, len(magic))
	for _, offset := range offsets {
		if offset < 0 {
			continue
		}
		n, err := r.ReadAt(b, offset)
		if err != nil && !errors.Is(err, io.EOF) {
			return false, fmt.Errorf("read magic: %w", err)
		}
		if string(b[:n]) == magic {
			return true, nil
		}
	}
	return false, nil
}

// readEnd64 returns the zip64 end record and its offset if there is one, else the
// end record e and its offset at. A locator between the two tells where it is.
func readEnd64(r io.ReaderAt, e end, at int64) (end, int64, error) {
	if at < locatorSize+end64Size {
		return e, at, nil
	}
	f, err := readAt(r, "zip64 locator", at-locatorSize, locatorSize)
	if err != nil {
		return e, at, err
	}
	if magic := f.next(4); string(magic) != locatorMagic {
		return e, at, nil
	}
	want := at - locatorSize - end64Size
	disk, offset, disks := f.u32(), f.u64(), f.u32()
	if e.offset+e.directory == uint64(at) { // so it is a name or a comment in the directory
		isLocator, err := hasMagic(r, end64Magic, want, int64(min(offset, uint64(want))))
		if !isLocator || err != nil {
			return e, at, err
		}
	}
	switch {
	case disk != 0 || disks > 1: // some writers count none
		return e, at, corrupt("zip is one of %d disks", disks)
	case offset > uint64(want):
		return e, at, corrupt("zip64 end record is said to be at %d, behind its locator", offset)
	}
	f, err = readAt(r, "zip64 end record", int64(offset), end64Size)
	if err != nil {
		return e, at, err
	}
	if magic := f.next(4); string(magic) != end64Magic {
		return e, at, corrupt("zip64 end record is not where its locator says")
	}
	size := f.u64()
	f.next(2) // made by
	version := uint8(f.u16())
	switch {
	case size != end64Size-12 && version >= 62:
		return e, at, encrypted("directory of the zip needs version %d.%d", version/10, version%10)
	case size != end64Size-12:
		return e, at, corrupt("zip64 end record has %d bytes, want %d", size, end64Size-12)
	case int64(offset) != want:
		return e, at, corrupt("zip64 end record is said to be at %d, but should be at %d", offset, want)
	}
	e64 := end{
		disk: uint64(f.u32()), startDisk: uint64(f.u32()),
		here: f.u64(), entries: f.u64(),
		directory: f.u64(), offset: f.u64(),
	}
	return e64, want, e.checkAgrees(e64)
}

// checkAgrees refuses an end record if one of its fields is neither that of the
// zip64 end record nor refers to it.
func (e end) checkAgrees(e64 end) error {
	for _, f := range []struct {
		name                string
		narrow, wide, refer uint64
	}{
		{"disk", e.disk, e64.disk, max16},
		{"first disk", e.startDisk, e64.startDisk, max16},
		{"entries here", e.here, e64.here, max16},
		{"entries", e.entries, e64.entries, max16},
		{"directory size", e.directory, e64.directory, max32},
		{"directory offset", e.offset, e64.offset, max32},
	} {
		if f.narrow != f.refer && f.narrow != f.wide {
			return corrupt("end record says %s %d, zip64 end record says %d", f.name, f.narrow, f.wide)
		}
	}
	return nil
}
