package unpack

import (
	"archive/tar"
	"bytes"
	"strconv"
)

// maxTarHeads is how many bytes of headers one entry may have.
const maxTarHeads = 4 << 20

// A tarHeads is all headers of one entry: those that tell more of it, each with
// its content, and its own.
type tarHeads []byte

// The headers that tell more of the entry behind them.
const (
	moreRecords  = tar.TypeXHeader
	moreName     = tar.TypeGNULongName
	moreLinkName = tar.TypeGNULongLink
)

// check refuses headers that two readers would take in two ways: two that tell
// the same, a record that is there twice, and a size that is not the one in the
// entry's own header, by which other readers would find the next entry elsewhere.
func (b tarHeads) check(h *tar.Header) error {
	told := map[byte]bool{}
	for len(b) > tarBlock {
		kind, size := b[156], b.size()
		if told[kind] || told[moreRecords] || kind == moreRecords && len(told) > 0 {
			return corrupt("has two headers that tell its name or more")
		}
		if kind != moreRecords && kind != moreName && kind != moreLinkName || size < 0 || size > int64(len(b)-tarBlock) {
			return nil // a sparse file, which is refused
		}
		told[kind] = true
		if kind == moreRecords {
			if err := checkRecords(b[tarBlock : tarBlock+size]); err != nil {
				return err
			}
		}
		b = b[min(int64(len(b)), tarBlock+(size+tarBlock-1)/tarBlock*tarBlock):]
	}
	return b.checkSize(h)
}

// checkSize allows a size that the entry's own header has no room for: then
// there is anything in its place.
func (b tarHeads) checkSize(h *tar.Header) error {
	const room = 1 << 33 // 11 octal digits
	if _, told := h.PAXRecords["size"]; told && h.Size < room && len(b) == tarBlock && b.size() != h.Size {
		return corrupt("has %d bytes by one header and %d by another", h.Size, b.size())
	}
	return nil
}

// size is what the first of the headers says, or -1: octal, or binary behind a
// set bit.
func (b tarHeads) size() int64 {
	field := b[124:136]
	if field[0]&0x80 == 0 {
		n, err := strconv.ParseInt(string(bytes.Trim(field, " \x00")), 8, 64)
		if err != nil && len(bytes.Trim(field, " \x00")) > 0 {
			return -1
		}
		return n
	}
	n := int64(field[0] & 0x7f)
	for _, c := range field[1:] {
		if n >= 1<<55 {
			return -1
		}
		n = n<<8 | int64(c)
	}
	return n
}

// checkRecords refuses a record that is there twice. That they parse is known.
func checkRecords(b []byte) error {
	seen := map[string]bool{}
	for len(b) > 0 {
		digits, _, _ := bytes.Cut(b, []byte(" "))
		n, err := strconv.Atoi(string(digits))
		if err != nil || n <= len(digits) || n > len(b) {
			return corrupt("has records that do not parse")
		}
		key, _, _ := bytes.Cut(b[len(digits)+1:n], []byte("="))
		if seen[string(key)] {
			return corrupt("has two records of %.100q", key)
		}
		seen[string(key)] = true
		b = b[n:]
	}
	return nil
}
