package unpack

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"math"
	"strings"
	"unicode/utf8"
)

const (
	max16 = math.MaxUint16
	max32 = math.MaxUint32
)

// fields are little-endian numbers that are taken from the front.
type fields []byte

func (f *fields) u16() uint16 { return binary.LittleEndian.Uint16(f.next(2)) }
func (f *fields) u32() uint32 { return binary.LittleEndian.Uint32(f.next(4)) }
func (f *fields) u64() uint64 { return binary.LittleEndian.Uint64(f.next(8)) }

func (f *fields) next(n int) fields {
	taken := (*f)[:n:n]
	*f = (*f)[n:]
	return taken
}

// readAt reads n bytes at an offset. what names them in errors.
func readAt(r io.ReaderAt, what string, offset, n int64) (fields, error) {
	b := make(fields, n)
	if _, err := io.ReadFull(io.NewSectionReader(r, offset, n), b); err != nil {
		return nil, readError(what, err)
	}
	return b, nil
}

// A header is what the central and the local header of an entry have in common,
// in the same order (APPNOTE 4.3.7 and 4.3.12).
type header struct {
	version          uint8 // needed to read it
	flags, method    uint16
	crc              uint32
	encoded, decoded wide // bytes
	nameSize         int
	extraSize        int
	name             fields
	extra            extra
}

const (
	maxVersion   = 63 // of APPNOTE, times 10
	zip64Version = 45
)

// The flags of an entry (APPNOTE 4.4.4).
const (
	flagEncrypted  = 1<<0 | 1<<6 | 1<<13 // by a password, strongly, in the headers
	flagDescriptor = 1 << 3              // a data descriptor follows the content
	flagUTF8       = 1 << 11

	knownFlags = 1<<1 | 1<<2 | flagDescriptor | flagUTF8 // 1 and 2: how hard deflate tried
)

const methodAES = 99

// parseHeader takes a header from f, up to the sizes of name and extra field. The
// high byte of the version is a system there, as in "made by", if p7zip wrote it.
func parseHeader(f *fields) header {
	h := header{version: uint8(f.u16()), flags: f.u16(), method: f.u16()}
	f.next(4) // time and date
	h.crc = f.u32()
	h.encoded = wide{"encoded size", uint64(f.u32()), max32}
	h.decoded = wide{"decoded size", uint64(f.u32()), max32}
	h.nameSize, h.extraSize = int(f.u16()), int(f.u16())
	return h
}

// The blocks of an extra field that matter (APPNOTE 4.5). Others are ignored:
// times, owners, padding.
const (
	zip64Block       = 0x0001
	strongBlock      = 0x0017 // of strong encryption
	aesBlock         = 0x9901
	unicodePathBlock = 0x7075
)

// An extra is an extra field as blocks, by their IDs.
type extra map[uint16]fields

// parseTail takes the name and the extra field from what follows the header. A
// block that matters may be there once. Up to three zeros, too few for a block,
// may follow the blocks: zipalign writes them to align the content.
func (h *header) parseTail(f *fields) error {
	h.name = f.next(h.nameSize)
	b := f.next(h.extraSize)
	for len(b) >= 4 || len(bytes.Trim(b, "\x00")) > 0 {
		if len(b) < 4 || len(b)-4 < int(binary.LittleEndian.Uint16(b[2:])) {
			return corrupt("extra field does not parse")
		}
		id, size := b.u16(), b.u16()
		block := b.next(int(size))
		if id != zip64Block && id != strongBlock && id != aesBlock && id != unicodePathBlock {
			continue
		}
		if _, twice := h.extra[id]; twice {
			return corrupt("extra field has block %#04x twice", id)
		}
		if h.extra == nil {
			h.extra = extra{}
		}
		h.extra[id] = block
	}
	return nil
}

// check refuses an entry that can't be decoded: an encrypted one, and one of an
// unknown kind.
func (h *header) check() error {
	if h.flags&flagEncrypted != 0 || h.method == methodAES {
		return encrypted("flags %#04x, method %d", h.flags, h.method)
	}
	for _, id := range []uint16{strongBlock, aesBlock} {
		if _, ok := h.extra[id]; ok {
			return encrypted("extra field has the block %#04x of encryption", id)
		}
	}
	switch _, known := methods[h.method]; {
	case !known:
		return corrupt("method %d is not supported", h.method)
	case h.flags&^knownFlags != 0:
		return corrupt("flags %#04x are not supported", h.flags)
	case h.version > maxVersion:
		return corrupt("version %d.%d is not supported", h.version/10, h.version%10)
	}
	return nil
}

// fullName returns the name of the entry, whose header has the name legacy. That is the Unicode path of the extra
// field if there is one, as writers that know of no flag for UTF-8 add to a name
// in a legacy code page. It refuses a Unicode path that is another name, since some
// readers prefer that.
func (h *header) fullName(legacy string) (string, error) {
	path, ok := h.extra[unicodePathBlock]
	switch {
	case !ok:
		return legacy, nil
	case len(path) < 5 || path[0] != 1 || !utf8.Valid(path[5:]):
		return "", corrupt("extra field has a Unicode path that does not parse")
	}
	name := string(path[5:])
	isOfLegacy := binary.LittleEndian.Uint32(path[1:]) == crc32.ChecksumIEEE([]byte(legacy))
	if !isOfLegacy || name != legacy && (h.flags&flagUTF8 != 0 || !mayBeLegacy(legacy, name)) {
		return "", unsafeName("extra field has another name, %q", name)
	}
	return name, nil
}

// mayBeLegacy reports whether legacy may be a name in a legacy code page: it has
// as many elements, and if it is ASCII, only "?" and "_" in place of what the code
// page does not have.
func mayBeLegacy(legacy, name string) bool {
	if strings.Count(legacy, "/") != strings.Count(name, "/") || strings.HasSuffix(legacy, "/") != strings.HasSuffix(name, "/") {
		return false
	}
	kept := func(r rune) rune {
		if r >= utf8.RuneSelf || r == '?' || r == '_' {
			return -1
		}
		return r
	}
	isASCII := !strings.ContainsFunc(legacy, func(r rune) bool { return r >= utf8.RuneSelf })
	return !isASCII || strings.Map(kept, legacy) == strings.Map(kept, name)
}

// A wide is a number in a header that may be in the zip64 block instead.
type wide struct {
	name  string
	value uint64
	max   uint64 // all bits set: the number is in the zip64 block
}

// widen takes numbers from the zip64 block, which has them in this order. Some
// writers put only those into the block that the header refers to it, others put
// all. Both are read if they agree.
func (x extra) widen(numbers ...*wide) error {
	block, ok := x[zip64Block]
	referred := 0 // bytes
	for _, n := range numbers {
		if n.value == n.max {
			referred += n.size()
		}
	}
	switch {
	case !ok && referred == 0:
		return nil
	case !ok:
		return corrupt("zip64 block is missing")
	case len(block) != referred:
		return block.nextAll(numbers)
	}
	for _, n := range numbers {
		if n.value == n.max {
			n.value = block.nextWide(n)
		}
	}
	return nil
}

// size returns how many bytes the number has in the zip64 block: 4 for a disk.
func (n *wide) size() int {
	if n.max == max16 {
		return 4
	}
	return 8
}

func (f *fields) nextWide(n *wide) uint64 {
	if n.size() == 4 {
		return uint64(f.u32())
	}
	return f.u64()
}

// nextAll takes numbers from a block that has more than the header refers to it.
// Those that the header refers to it must come first, so that a reader who takes
// only those finds them too.
func (f *fields) nextAll(numbers []*wide) error {
	repeats := false
	for _, n := range numbers {
		referred := n.value == n.max
		switch {
		case len(*f) == 0 && !referred:
			continue
		case len(*f) < n.size() || referred && repeats:
			return corrupt("zip64 block does not fit its header")
		}
		value := f.nextWide(n)
		if !referred && value != n.value {
			return corrupt("zip64 block says %s %d, header says %d", n.name, value, n.value)
		}
		repeats = repeats || !referred
		n.value = value
	}
	if len(*f) > 0 {
		return corrupt("zip64 block is too long")
	}
	return nil
}
