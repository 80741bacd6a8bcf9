package unpack

import (
	"encoding/binary"
	"io"
	"math"
)

const (
	max16 = math.MaxUint16
	max32 = math.MaxUint32
)

// fields are little-endian numbers, taken from the front.
type fields []byte

func (f *fields) u16() uint16 { return binary.LittleEndian.Uint16(f.take(2)) }
func (f *fields) u32() uint32 { return binary.LittleEndian.Uint32(f.take(4)) }
func (f *fields) u64() uint64 { return binary.LittleEndian.Uint64(f.take(8)) }

func (f *fields) take(n int) fields {
	taken := (*f)[:n:n]
	*f = (*f)[n:]
	return taken
}

// readAt reads n bytes at an offset.
func readAt(r io.ReaderAt, what string, offset, n int64) (fields, error) {
	b := make(fields, n)
	if _, err := io.ReadFull(io.NewSectionReader(r, offset, n), b); err != nil {
		return nil, cut(what, err)
	}
	return b, nil
}
