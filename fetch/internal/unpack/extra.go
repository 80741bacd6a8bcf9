package unpack

import (
	"encoding/binary"
	"hash/crc32"
)

// The blocks of an extra field that matter (APPNOTE 4.5). Others are passed
// over: times, owners, padding.
const (
	zip64Block       = 0x0001
	strongBlock      = 0x0017 // of strong encryption
	aesBlock         = 0x9901
	unicodePathBlock = 0x7075
)

// An extra is an extra field, cut into blocks.
type extra map[uint16]fields

// parseExtra cuts an extra field into its blocks. Those that matter may be
// there once.
func parseExtra(b fields) (extra, error) {
	var x extra
	for len(b) > 0 {
		if len(b) < 4 || len(b)-4 < int(binary.LittleEndian.Uint16(b[2:])) {
			return nil, corrupt("extra field does not parse")
		}
		id, size := b.u16(), b.u16()
		block := b.take(int(size))
		if id != zip64Block && id != strongBlock && id != aesBlock && id != unicodePathBlock {
			continue
		}
		if _, twice := x[id]; twice {
			return nil, corrupt("extra field has block %#04x twice", id)
		}
		if x == nil {
			x = extra{}
		}
		x[id] = block
	}
	return x, nil
}

// check refuses what the extra field says of encryption, and a second name
// that some readers would prefer.
func (x extra) check(name string) error {
	for _, id := range []uint16{strongBlock, aesBlock} {
		if _, ok := x[id]; ok {
			return encrypted("extra field has the block %#04x of encryption", id)
		}
	}
	path, ok := x[unicodePathBlock]
	switch {
	case !ok:
		return nil
	case len(path) < 5 || path[0] != 1:
		return corrupt("extra field has a Unicode path that does not parse")
	case string(path[5:]) != name || binary.LittleEndian.Uint32(path[1:]) != crc32.ChecksumIEEE([]byte(name)):
		return unsafeName("extra field has another name, %q", path[5:])
	}
	return nil
}

// A wide is a number of a header that the zip64 block may hold instead.
type wide struct {
	name  string
	value uint64
	max   uint64 // all ones: see the zip64 block
}

// widen takes numbers from the zip64 block, which has them in this order.
// Some writers put in only those that the header leaves to it, others all;
// both are read where they come to the same.
func (x extra) widen(numbers ...*wide) error {
	block, ok := x[zip64Block]
	left := 0
	for _, n := range numbers {
		if n.value == n.max {
			left += n.size()
		}
	}
	switch {
	case !ok && left == 0:
		return nil
	case !ok:
		return corrupt("zip64 block is missing")
	case len(block) == left:
		return block.only(numbers)
	}
	return block.all(numbers)
}

// size is how many bytes the number has in the zip64 block: a disk's has 4.
func (n *wide) size() int {
	if n.max == max16 {
		return 4
	}
	return 8
}

func (f *fields) wide(n *wide) uint64 {
	if n.size() == 4 {
		return uint64(f.u32())
	}
	return f.u64()
}

// only reads a block of the numbers that the header leaves to it.
func (f *fields) only(numbers []*wide) error {
	for _, n := range numbers {
		if n.value == n.max {
			n.value = f.wide(n)
		}
	}
	return nil
}

// all reads a block that holds more than it need. The numbers that it need
// hold come first, so that a reader who takes only those finds them too.
func (f *fields) all(numbers []*wide) error {
	repeats := false
	for _, n := range numbers {
		needed := n.value == n.max
		switch {
		case len(*f) == 0 && !needed:
			continue
		case len(*f) < n.size() || needed && repeats:
			return corrupt("zip64 block does not fit its header")
		}
		value := f.wide(n)
		if !needed && value != n.value {
			return corrupt("zip64 block says %s %d, header says %d", n.name, value, n.value)
		}
		repeats = repeats || !needed
		n.value = value
	}
	if len(*f) > 0 {
		return corrupt("zip64 block is too long")
	}
	return nil
}
