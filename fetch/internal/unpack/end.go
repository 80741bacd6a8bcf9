package unpack

import (
	"bytes"
	"io"
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

// IsZip reports whether a file that begins with head is a zip: with its first
// local header, or with the end record if it is empty. It needs 4 bytes.
func IsZip(head []byte) bool {
	return bytes.HasPrefix(head, []byte(localMagic)) || bytes.HasPrefix(head, []byte(endMagic))
}

// A span is where the directory is, and how many entries it has.
type span struct {
	entries      int
	offset, size int64
}

// An end is what an end record tells, of either kind.
type end struct {
	disk, startDisk   uint64
	here, entries     uint64 // on this disk, on all
	directory, offset uint64 // the directory's size and offset
}

// findDirectory finds the directory by the end records of a file of size
// bytes.
func findDirectory(r io.ReaderAt, size int64, limits Limits) (span, error) {
	e, at, err := readEnd(r, size)
	if err != nil {
		return span{}, err
	}
	e, at, err = widenEnd(r, e, at)
	if err != nil {
		return span{}, err
	}
	return e.span(at, limits)
}

// readEnd returns the end record and its offset.
func readEnd(r io.ReaderAt, size int64) (end, int64, error) {
	start := max(0, size-endSize-maxComment)
	tail, err := readAt(r, "end record", start, max(0, size-start))
	if err != nil {
		return end{}, 0, err
	}
	at, err := findEnd(tail)
	if err != nil {
		return end{}, 0, err
	}
	f := tail[at+4:]
	e := end{
		disk: uint64(f.u16()), startDisk: uint64(f.u16()),
		here: uint64(f.u16()), entries: uint64(f.u16()),
		directory: uint64(f.u32()), offset: uint64(f.u32()),
	}
	return e, start + int64(at), nil
}

// findEnd returns where the end record begins whose comment ends the tail. Some
// readers look for it from the front and some from the back, so one in
// another's comment is refused.
func findEnd(tail []byte) (int, error) {
	found := -1
	for at := lastEnd(tail, len(tail)); at >= 0; at = lastEnd(tail, at+endSize-1) {
		comment := fields(tail[at+endSize-2:])
		exact := int(comment.u16()) == len(comment)
		switch {
		case found < 0 && !exact:
			return 0, corrupt("zip goes on after its end record, or its comment is cut short")
		case found >= 0 && exact:
			return 0, corrupt("zip has two end records")
		case found < 0:
			found = at
		}
	}
	if found < 0 {
		return 0, corrupt("zip has no end record: it is cut short or no zip")
	}
	return found, nil
}

// lastEnd returns where the last end record of tail[:to] begins, or -1.
func lastEnd(tail []byte, to int) int {
	if to < endSize {
		return -1
	}
	return bytes.LastIndex(tail[:to-endSize+len(endMagic)], []byte(endMagic))
}

// widenEnd returns what the zip64 end record says, and its offset, if there is
// one before the end record at the given offset.
func widenEnd(r io.ReaderAt, e end, at int64) (end, int64, error) {
	offset, found, err := readLocator(r, at)
	if err != nil || !found {
		return e, at, err
	}
	wide, err := readEnd64(r, offset)
	if err != nil {
		return end{}, 0, err
	}
	if want := at - locatorSize - end64Size; offset != want {
		return end{}, 0, corrupt("zip64 end record is said to be at %d, but should be at %d", offset, want)
	}
	return wide, offset, e.agree(wide)
}

// readLocator returns the offset of the zip64 end record, if there is a locator
// before the end record at the given offset.
func readLocator(r io.ReaderAt, at int64) (offset int64, found bool, err error) {
	if at < locatorSize+end64Size {
		return 0, false, nil
	}
	f, err := readAt(r, "zip64 locator", at-locatorSize, locatorSize)
	if err != nil {
		return 0, false, err
	}
	if magic := f.take(4); string(magic) != locatorMagic {
		return 0, false, nil
	}
	disk, offset64, disks := f.u32(), f.u64(), f.u32()
	switch {
	case disk != 0 || disks != 1:
		return 0, false, corrupt("zip is one of %d disks", disks)
	case offset64 > uint64(at-locatorSize-end64Size):
		return 0, false, corrupt("zip64 end record is said to be at %d, behind its locator", offset64)
	}
	return int64(offset64), true, nil
}

func readEnd64(r io.ReaderAt, at int64) (end, error) {
	f, err := readAt(r, "zip64 end record", at, end64Size)
	if err != nil {
		return end{}, err
	}
	if magic := f.take(4); string(magic) != end64Magic {
		return end{}, corrupt("zip64 end record is not where its locator says")
	}
	size := f.u64()
	f.take(2) // made by
	needed := f.u16()
	switch {
	case size != end64Size-12 && needed >= 62:
		return end{}, encrypted("directory of the zip needs version %d.%d", needed/10, needed%10)
	case size != end64Size-12:
		return end{}, corrupt("zip64 end record has %d bytes, want %d", size, end64Size-12)
	}
	return end{
		disk: uint64(f.u32()), startDisk: uint64(f.u32()),
		here: f.u64(), entries: f.u64(),
		directory: f.u64(), offset: f.u64(),
	}, nil
}

// agree refuses an end record whose fields neither are the zip64 end record's
// nor refer to it.
func (e end) agree(wide end) error {
	for _, f := range []struct {
		name              string
		narrow, wide, max uint64
	}{
		{"disk", e.disk, wide.disk, max16},
		{"first disk", e.startDisk, wide.startDisk, max16},
		{"entries here", e.here, wide.here, max16},
		{"entries", e.entries, wide.entries, max16},
		{"directory size", e.directory, wide.directory, max32},
		{"directory offset", e.offset, wide.offset, max32},
	} {
		if f.narrow != f.max && f.narrow != f.wide {
			return corrupt("end record says %s %d, zip64 end record says %d", f.name, f.narrow, f.wide)
		}
	}
	return nil
}

// span refuses a directory that does not lie right before the end records at
// the given offset.
func (e end) span(at int64, limits Limits) (span, error) {
	switch {
	case e.disk != 0 || e.startDisk != 0 || e.here != e.entries:
		return span{}, corrupt("zip is one of several disks")
	case e.directory > uint64(at) || e.offset != uint64(at)-e.directory:
		return span{}, corrupt("directory of %d bytes at %d does not end at %d, where the end record is: "+
			"a self-extractor, or the offsets are wrong", e.directory, e.offset, at)
	case e.entries > e.directory/centralSize || e.entries == 0 && e.directory != 0:
		return span{}, corrupt("directory has %d bytes, too few or too many for %d entries", e.directory, e.entries)
	case e.entries > uint64(max(limits.Entries, 0)):
		return span{}, overLimit(LimitEntries, "zip has %d entries, over the limit of %d", e.entries, limits.Entries)
	case e.directory > maxDirectory:
		return span{}, bomb("directory has %d bytes, over the limit of %d", e.directory, maxDirectory)
	}
	return span{entries: int(e.entries), offset: int64(e.offset), size: int64(e.directory)}, nil
}
