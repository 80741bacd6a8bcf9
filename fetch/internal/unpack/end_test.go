package unpack

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
)

func TestEndRecordsMustFitTheFile(t *testing.T) {
	with := func(change func(*testZip)) testZip {
		z := centralLie(nil)
		change(&z)
		return z
	}
	emptyZip := string(testZip{}.bytes(t))
	quoted := func(record string) testZip { return endLie(func(e *testEnd) { e.comment = record }) }
	runAll(t, []zipCase{
		{name: "junk behind", zip: with(func(z *testZip) { z.junk = "x" }), kind: ErrCorrupt, says: "goes on after its end record"},
		{name: "zeros behind", zip: with(func(z *testZip) { z.junk = "\x00" }), kind: ErrCorrupt, says: "goes on after its end record"},
		{name: "no end record", zip: endLie(func(e *testEnd) { e.magic = "PK\x05\x05" }), kind: ErrCorrupt, says: "no end record"},
		{name: "comment cut short", zip: endLie(func(e *testEnd) { e.commentSize = 1 }), kind: ErrCorrupt, says: "comment is cut short"},
		{name: "comment too long", zip: endLie(func(e *testEnd) { e.comment, e.commentSize = "xx", 1 }), kind: ErrCorrupt, says: "goes on after its end record"},
		{name: "end record in a comment", zip: endLie(func(e *testEnd) { e.comment = emptyZip }), kind: ErrCorrupt, says: "two end records"},
		{name: "cut end record in a comment", zip: endLie(func(e *testEnd) { e.comment = emptyZip + "x" }), kind: ErrCorrupt, says: "two end records"},
		{name: "end record of another zip in a comment", zip: quoted(endRecord(0, 1, 47, 32) + "x"), kind: ErrCorrupt, says: "two end records"},
		{name: "end record of several disks whose offset fits", zip: quoted(endRecord(1, 1, 999, 32)), kind: ErrCorrupt, says: "two end records"},
		{name: "end record of several disks whose size fits", zip: quoted(centralMagic + endRecord(1, 1, 4, 999)), kind: ErrCorrupt, says: "two end records"},
		{name: "end record without a size", zip: quoted(endRecord(1, 1, 0, 999)), kind: ErrCorrupt, says: "two end records"},
		{name: "end record without entries", zip: quoted(endRecord(1, 0, 999, 999)), kind: ErrCorrupt, says: "two end records"},
		{name: "zip64 end records in a comment", zip: quoted(locatorMagic + strings.Repeat("x", 16) + endRecord(1, max16, max32, max32)), kind: ErrCorrupt, says: "two end records"},
		{name: "zip64 end record in the directory", zip: zip64InComment(), kind: ErrCorrupt, says: "end record says directory size"},
		{name: "zeros that fill no block", zip: with(func(z *testZip) { z.junk = strings.Repeat("\x00", 512) }), kind: ErrCorrupt, says: "goes on after its end record"},
		{name: "more than zeros in the last block", zip: with(func(z *testZip) { z.junk = lastBlock(t, *z)[1:] + "x" }), kind: ErrCorrupt, says: "goes on after its end record"},
		{name: "self-extractor", zip: with(func(z *testZip) { z.prefix = "MZ" }), kind: ErrCorrupt, says: "2 bytes before its first entry"},
		{name: "self-extractor with old offsets", zip: with(func(z *testZip) {
			z.prefix = "MZ"
			z.end = func(e *testEnd) { e.offset -= 2 }
		}), kind: ErrCorrupt, says: "self-extractor"},
		{name: "nothing but a prefix", zip: testZip{prefix: "MZ"}, kind: ErrCorrupt, says: "before its first entry"},
		{name: "part of a split zip", zip: with(func(z *testZip) { z.prefix = descriptorMagic }), kind: ErrCorrupt, says: "4 bytes before its first entry"},
		{name: "split zip of one part", zip: with(func(z *testZip) { z.prefix = "PK00" }), kind: ErrCorrupt, says: "4 bytes before its first entry"},
		{name: "archive extra data", zip: with(func(z *testZip) { z.filler = "PK\x06\x08\x00\x00\x00\x00" }), kind: ErrCorrupt, says: "8 bytes lie between"},
		{name: "disk", zip: endLie(func(e *testEnd) { e.disk = 1 }), kind: ErrCorrupt, says: "several disks"},
		{name: "directory's disk", zip: endLie(func(e *testEnd) { e.startDisk = 1 }), kind: ErrCorrupt, says: "several disks"},
		{name: "entries elsewhere", zip: endLie(func(e *testEnd) { e.here = 0 }), kind: ErrCorrupt, says: "several disks"},
		{name: "one entry too few", zip: endLie(func(e *testEnd) { e.here, e.entries = 0, 0 }), kind: ErrCorrupt, says: "too few or too many"},
		{name: "one entry too many", zip: endLie(func(e *testEnd) { e.here, e.entries = 2, 2 }), kind: ErrCorrupt, says: "too few or too many"},
		{name: "entries behind the count", zip: testZip{entries: []testEntry{{name: "a"}, {name: "b"}},
			end: func(e *testEnd) { e.here, e.entries = 1, 1 }}, kind: ErrCorrupt, says: "goes on behind its 1 entries"},
		{name: "entries before the count", zip: testZip{entries: []testEntry{{name: "a", central: func(h *testHeader) { h.comment = strings.Repeat("x", 99) }}},
			end: func(e *testEnd) { e.here, e.entries = 2, 2 }}, kind: ErrCorrupt, says: "cut short"},
		{name: "directory too small", zip: endLie(func(e *testEnd) { e.directory-- }), kind: ErrCorrupt, says: "does not end at"},
		{name: "directory before its place", zip: endLie(func(e *testEnd) { e.offset-- }), kind: ErrCorrupt, says: "does not end at"},
		{name: "directory larger than all", zip: endLie(func(e *testEnd) { e.directory, e.offset = 1000, 0 }), kind: ErrCorrupt, says: "does not end at"},
		{name: "bytes behind the directory", zip: with(func(z *testZip) { z.trailer = "PK\x05\x05\x00\x00" }), kind: ErrCorrupt, says: "does not end at"},
		{name: "bytes behind the directory, counted", zip: signed("PK\x05\x04\x00\x00"), kind: ErrCorrupt, says: "goes on behind"},
		{name: "signature cut short", zip: signed("PK\x05\x05\x02\x00x"), kind: ErrCorrupt, says: "goes on behind"},
		{name: "bytes behind a signature", zip: signed("PK\x05\x05\x02\x00xxx"), kind: ErrCorrupt, says: "goes on behind"},
		{name: "bytes before the directory", zip: with(func(z *testZip) { z.filler = "xx" }), kind: ErrCorrupt, says: "2 bytes lie between"},
		{name: "no directory header", zip: centralLie(func(h *testHeader) { h.magic = "PK\x01\x03" }), kind: ErrCorrupt, says: "header is missing in the directory"},
	})
}

// endRecord returns an end record of one comment byte, which need not follow.
func endRecord(disk, entries uint16, directory, offset uint32) string {
	b := le.AppendUint16(le.AppendUint16([]byte(endMagic), disk), 0)
	b = le.AppendUint16(le.AppendUint16(b, entries), entries)
	return string(le.AppendUint16(le.AppendUint32(le.AppendUint32(b, directory), offset), 1))
}

// signed returns a zip whose directory ends with the given bytes.
func signed(signature string) testZip {
	z := centralLie(nil)
	z.trailer = signature
	z.end = func(e *testEnd) { e.directory += uint64(len(signature)) }
	return z
}

// lastBlock returns the zeros that fill the last block of a zip.
func lastBlock(t testing.TB, z testZip) string {
	return strings.Repeat("\x00", tarBlock-len(z.bytes(t))%tarBlock)
}

// zip64InComment returns a zip that some readers take for a zip64: the comment of
// its entry ends with a zip64 end record of another directory.
func zip64InComment() testZip {
	const directory = 32 // where it begins
	hidden := testEnd{magic: end64Magic, size: end64Size - 12, version: zip64Version, here: 1, entries: 1,
		directory: 47, offset: directory, locatorOffset: directory + 47, disks: 1}
	return centralLie(func(h *testHeader) { h.comment = string(hidden.append64(nil)) })
}

func TestZip64RecordsMustAgreeWithTheEndRecord(t *testing.T) {
	both := func(narrow lie[testEnd]) testZip {
		z := end64Lie(nil)
		z.end = narrow
		return z
	}
	runAll(t, []zipCase{
		{name: "though not needed", zip: end64Lie(nil)},
		{name: "and all in the end record too", zip: both(func(e *testEnd) {
			e.here, e.entries, e.directory, e.offset = 1, 1, 47, 32
		})},
		{name: "entries", zip: both(func(e *testEnd) { e.entries = 2 }), kind: ErrCorrupt, says: "end record says entries 2, zip64 end record says 1"},
		{name: "entries here", zip: both(func(e *testEnd) { e.here = 2 }), kind: ErrCorrupt, says: "entries here 2"},
		{name: "directory size", zip: both(func(e *testEnd) { e.directory = 2 }), kind: ErrCorrupt, says: "directory size 2"},
		{name: "directory offset", zip: both(func(e *testEnd) { e.offset = 2 }), kind: ErrCorrupt, says: "directory offset 2"},
		{name: "disk", zip: both(func(e *testEnd) { e.disk = 2 }), kind: ErrCorrupt, says: "end record says disk 2"},
		{name: "wide disk", zip: end64Lie(func(e *testEnd) { e.disk = 2 }), kind: ErrCorrupt, says: "disk 0"},
		{name: "record's size", zip: end64Lie(func(e *testEnd) { e.size++ }), kind: ErrCorrupt, says: "zip64 end record has 45 bytes"},
		{name: "record elsewhere", zip: end64Lie(func(e *testEnd) { e.locatorOffset-- }), kind: ErrCorrupt, says: "not where its locator says"},
		{name: "record behind its locator", zip: end64Lie(func(e *testEnd) { e.locatorOffset = 1 << 63 }), kind: ErrCorrupt, says: "behind its locator"},
		{name: "record missing", zip: end64Lie(func(e *testEnd) { e.magic = "PK\x06\x05" }), kind: ErrCorrupt, says: "not where its locator says"},
		{name: "gap before the locator", zip: end64Lie(func(e *testEnd) { e.extensible = "x" }), kind: ErrCorrupt, says: "should be at"},
		{name: "gap behind the locator", zip: end64Lie(func(e *testEnd) { e.locatorFollower = "x" }), kind: ErrCorrupt, says: "does not end at"},
		{name: "all bits set beside it", zip: both(func(e *testEnd) { e.disk, e.startDisk = max16, max16 })},
		{name: "all bits set beside it, of the comment's size too", zip: both(func(e *testEnd) { e.disk, e.startDisk, e.commentSize = max16, max16, max16 })},
		{name: "number of disks left open", zip: end64Lie(func(e *testEnd) { e.disks = 0 })},
		{name: "though the zip is empty", zip: testZip{zip64: true, end64: func(e *testEnd) { e.disks = 0 }}},
		{name: "two disks", zip: end64Lie(func(e *testEnd) { e.disks = 2 }), kind: ErrCorrupt, says: "one of 2 disks"},
		{name: "another disk", zip: end64Lie(func(e *testEnd) { e.locatorDisk = 1 }), kind: ErrCorrupt, says: "disks"},
		{name: "directory beyond all", zip: end64Lie(func(e *testEnd) { e.offset = 1<<64 - 1 }), kind: ErrCorrupt, says: "does not end at"},
		{name: "sum wraps around", zip: end64Lie(func(e *testEnd) { e.directory, e.offset = 1<<64-1, 80 }), kind: ErrCorrupt, says: "does not end at"},
		{name: "entries beyond all", zip: end64Lie(func(e *testEnd) { e.here, e.entries = 1<<63, 1<<63 }), kind: ErrCorrupt, says: "too few or too many"},
	})
}

func TestTruncatedZipsAreRefused(t *testing.T) {
	second := methodOf(methodDeflate)
	second.descriptor = 24
	z := testZip{entries: []testEntry{{name: "a", content: "x", zip64: true}, second}, zip64: true}
	whole := z.bytes(t)
	for n := range whole {
		if _, err := unzip(t, whole[:n], Limits{}); !errors.Is(err, ErrCorrupt) {
			t.Errorf("the first %d of %d bytes: %v, want ErrCorrupt", n, len(whole), err)
		}
	}
}

func TestDirectoriesOver256MiBAreRefused(t *testing.T) {
	const size = maxDirectory + 1
	end := le.AppendUint32([]byte("PK\x05\x06\x00\x00\x00\x00\x01\x00\x01\x00"), size)
	end = append(end, make([]byte, 6)...)
	_, err := findDirectory(sparse{size + endSize, map[int64][]byte{size: end}}, size+endSize, Limits{}.withDefaults())
	refused(t, err, ErrBomb, "directory has 268435457 bytes, over the limit of 268435456")
}

func TestAnEmptyFileIsNoZip(t *testing.T) {
	for _, size := range []int64{-1, 0, 1, endSize - 1} {
		_, err := Zip(context.Background(), bytes.NewReader(make([]byte, endSize)), size, 1, Limits{}, (&sink{}).create)
		refused(t, err, ErrCorrupt, "no end record")
	}
}
