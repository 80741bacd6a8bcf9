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

// readEnd returns the end record and its offset. Its comment must end at the end
// of the file. Some readers search for the record from the front and some from
// the back, so a second one in the comment is refused.
func readEnd(r io.ReaderAt, size int64) (end, int64, error) {
	start := max(0, size-endSize-maxComment)
	tail, err := readAt(r, "end record", start, max(0, size-start))
	if err != nil {
		return end{}, 0, err
	}
	found := -1
	for at := lastEnd(tail, len(tail)); at >= 0; at = lastEnd(tail, at+endSize-1) {
		comment := tail[at+endSize-2:]
		exact := int(comment.u16()) == len(comment)
		switch {
		case found < 0 && !exact:
			return end{}, 0, corrupt("zip goes on after its end record, or its comment is cut short")
		case found >= 0 && exact:
			return end{}, 0, corrupt("zip has two end records")
		case found < 0:
			found = at
		}
	}
	if found < 0 {
		return end{}, 0, corrupt("zip has no end record: it is cut short or no zip")
	}
	f := tail[found+4:]
	e := end{
		disk: uint64(f.u16()), startDisk: uint64(f.u16()),
		here: uint64(f.u16()), entries: uint64(f.u16()),
		directory: uint64(f.u32()), offset: uint64(f.u32()),
	}
	return e, start + int64(found), nil
}

// lastEnd returns where the last end record of tail[:to] begins, or -1.
func lastEnd(tail []byte, to int) int {
	if to < endSize {
		return -1
	}
	return bytes.LastIndex(tail[:to-endSize+len(endMagic)], []byte(endMagic))
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
	switch {
	case disk != 0 || disks != 1:
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
	version := f.u16()
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
