package unpack

import (
	"context"
	"hash/crc32"
	"io"
	"testing"
)

func crc(s string) uint32 { return crc32.ChecksumIEEE([]byte(s)) }

func TestZip64BlocksMustFitTheirHeaders(t *testing.T) {
	type head = testHeader
	sizes := func(values ...uint64) lie[head] {
		return func(h *head) { h.encoded, h.decoded, h.extra = max32, max32, zip64Extra(values...) }
	}
	extra := func(x string) lie[head] { return func(h *head) { h.extra = x } }
	disk := string(le.AppendUint32(nil, 0))
	runAll(t, []zipCase{
		{name: "in both headers", zip: one(testEntry{name: "a", content: "x", zip64: true})},
		{name: "with a descriptor", zip: one(testEntry{name: "a", content: "x", zip64: true, descriptor: 24})},
		{name: "zeros before a descriptor", zip: one(testEntry{name: "a", content: "x", descriptor: 24, local: sizes(0, 0)})},
		{name: "needless, repeats the header", zip: bothLie(extra(zip64Extra(1, 1)))},
		{name: "needless and empty", zip: bothLie(extra(zip64Extra()))},
		{name: "offset, repeats the header", zip: centralLie(sizes(1, 1, 0))},
		{name: "all of it", zip: centralLie(func(h *head) {
			sizes(1, 1, 0)(h)
			h.offset, h.disk = max32, max16
			h.extra = block(zip64Block, zip64Extra(1, 1, 0)[4:]+disk)
		})},
		{name: "only the encoded size", zip: centralLie(func(h *head) { h.encoded, h.extra = max32, zip64Extra(1) })},
		{name: "only the offset", zip: centralLie(func(h *head) { h.offset, h.extra = max32, zip64Extra(0) })},
		{name: "only the disk", zip: centralLie(func(h *head) { h.disk, h.extra = max16, block(zip64Block, disk) })},
		{name: "missing", zip: centralLie(func(h *head) { h.decoded = max32 }), kind: ErrCorrupt, says: "zip64 block is missing"},
		{name: "missing, local", zip: localLie(func(h *head) { h.decoded = max32 }), kind: ErrCorrupt, says: "zip64 block is missing"},
		{name: "too short", zip: centralLie(sizes(1)), kind: ErrCorrupt, says: "does not fit"},
		{name: "odd length", zip: centralLie(func(h *head) { sizes()(h); h.extra = block(zip64Block, "123456789") }), kind: ErrCorrupt, says: "does not fit"},
		{name: "too long", zip: centralLie(extra(zip64Extra(1, 1, 0, 0))), kind: ErrCorrupt, says: "too long"},
		{name: "too long, local", zip: localLie(extra(zip64Extra(1, 1, 0))), kind: ErrCorrupt, says: "too long"},
		{name: "needless lie", zip: centralLie(extra(zip64Extra(1, 2))), kind: ErrCorrupt, says: "zip64 block says encoded size 2, header says 1"},
		{name: "offset lie", zip: centralLie(sizes(1, 1, 5)), kind: ErrCorrupt, says: "zip64 block says offset 5, header says 0"},
		{name: "two readers would differ", zip: centralLie(func(h *head) { h.encoded, h.extra = max32, zip64Extra(1, 1) }), kind: ErrCorrupt, says: "does not fit"},
		{name: "encoded beyond all", zip: centralLie(sizes(1, 1<<63)), kind: ErrCorrupt, says: "beyond the directory"},
		{name: "decoded beyond all", zip: one(testEntry{name: "a", content: "x", method: methodDeflate, central: sizes(1<<63, 1)}), kind: ErrBomb, says: "limit of 1099511627776 bytes"},
		{name: "offset beyond all", zip: centralLie(func(h *head) { h.offset, h.extra = max32, zip64Extra(1<<63) }), kind: ErrCorrupt, says: "beyond the directory"},
		{name: "another disk", zip: centralLie(func(h *head) { h.disk, h.extra = max16, block(zip64Block, "\x01\x00\x00\x00") }), kind: ErrCorrupt, says: "is on disk 1"},
		{name: "another disk in the header", zip: centralLie(func(h *head) { h.disk = 1 }), kind: ErrCorrupt, says: "is on disk 1"},
		{name: "local sizes differ", zip: localLie(sizes(1, 2)), kind: ErrCorrupt, says: "local header says encoded size 2"},
	})
}

// A sparse file consists of zeros, except for some pieces.
type sparse struct {
	size   int64
	pieces map[int64][]byte // by offset
}

func (s sparse) ReadAt(p []byte, off int64) (int, error) {
	n := int(min(int64(len(p)), max(s.size-off, 0)))
	clear(p[:n])
	for at, piece := range s.pieces {
		from, to := max(off, at), min(off+int64(n), at+int64(len(piece)))
		if from < to {
			copy(p[from-off:], piece[from-at:to-at])
		}
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

type counter struct {
	n   int64
	crc uint32
}

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	c.crc = crc32.Update(c.crc, crc32.IEEETable, p)
	return len(p), nil
}

func (c *counter) Close() error { return nil }

// zeroCRC returns the CRC-32 of n zeros.
func zeroCRC(n int64) uint32 {
	var c counter
	_, _ = io.CopyN(&c, zeros{}, n)
	return c.crc
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestAZipOver4GiBUnpacks(t *testing.T) {
	if testing.Short() {
		t.Skip("reads 5 GiB")
	}
	const big = 5 << 30
	h := testHeader{version: zip64Version, name: "big", crc: zeroCRC(big), encoded: max32, decoded: max32, nameSize: -1, extraSize: -1}
	h.magic, h.extra = localMagic, zip64Extra(big, big)
	first := h.append(nil, false)
	second := testHeader{magic: localMagic, version: 20, name: "small", crc: crc("x"), encoded: 1, decoded: 1, nameSize: -1, extraSize: -1}
	behind := append(second.append(nil, false), 'x')
	start := int64(len(first)) + big

	h.magic = centralMagic
	directory := h.append(nil, true)
	second.magic, second.offset, second.extra = centralMagic, max32, zip64Extra(uint64(start))
	directory = second.append(directory, true)
	offset := start + int64(len(behind))
	end := testEnd{magic: end64Magic, here: 2, entries: 2, directory: uint64(len(directory)), offset: uint64(offset),
		size: end64Size - 12, version: 45, disks: 1, locatorOffset: uint64(offset) + uint64(len(directory))}
	tail := end.append64(append(behind, directory...))
	tail = append(tail, "PK\x05\x06\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00"...)
	file := sparse{start + int64(len(tail)), map[int64][]byte{0: first, start: tail}}

	got := map[string]*counter{"big": {}, "small": {}}
	files, err := Zip(context.Background(), file, file.size, 2, Limits{}, func(name string) (io.WriteCloser, error) { return got[name], nil })
	if err != nil || files != 2 {
		t.Fatalf("%d files, error %v", files, err)
	}
	if got["big"].n != big || got["small"].n != 1 {
		t.Errorf("unpacked %d and %d bytes", got["big"].n, got["small"].n)
	}
}
