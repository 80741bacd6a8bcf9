package unpack

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"testing"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"
)

// A lie changes a record before it is written.
type lie[T any] func(*T)

// A testZip is a zip to write. It is valid unless it has lies.
type testZip struct {
	entries  []testEntry
	prefix   string // before the first local header
	filler   string // before the directory
	trailer  string // behind the directory
	zip64    bool   // write the zip64 end record
	junk     string // behind all
	end      lie[testEnd]
	end64    lie[testEnd]
	reversed bool // the directory lists the entries from the last to the first
}

type testEntry struct {
	name       string
	content    string
	method     uint16
	encoded    []byte // what the content is encoded to, if not that
	descriptor int    // bytes; 0 is none
	zip64      bool   // sizes are in the zip64 block, of both headers
	central    lie[testHeader]
	local      lie[testHeader]
	described  lie[testDescriptor]
	gap        string // behind the entry
}

type testHeader struct {
	magic                   string
	made                    uint16
	version, flags, method  uint16
	date                    uint16
	crc, encoded, decoded   uint32
	name                    string
	extra                   string
	comment                 string
	disk, internal          uint16
	external, offset        uint32
	nameSize, extraSize     int // -1: the real one
	realCRC                 uint32
	realEncoded, realDecode uint64
}

type testDescriptor struct {
	magic            string
	crc              uint32
	encoded, decoded uint64
}

type testEnd struct {
	magic             string
	disk, startDisk   uint32
	here, entries     uint64
	directory, offset uint64
	comment           string
	commentSize       int // -1: the real one

	size            uint64 // of the zip64 end record, as it says
	version         uint16
	locatorOffset   uint64
	locatorDisk     uint32
	disks           uint32
	extensible      string
	locatorFollower string // behind the locator
}

var le = binary.LittleEndian

func encode(t testing.TB, method uint16, content string) []byte {
	var b bytes.Buffer
	var w io.WriteCloser
	switch method {
	case methodDeflate:
		w, _ = flate.NewWriter(&b, 6)
	case methodZstd:
		w, _ = zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1))
	default:
		return []byte(content)
	}
	if _, err := io.WriteString(w, content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func (z testZip) bytes(t testing.TB) []byte {
	b := []byte(z.prefix)
	headers := make([][]byte, len(z.entries))
	for i, e := range z.entries {
		b, headers[i] = e.write(t, b)
	}
	b = append(b, z.filler...)
	start := len(b)
	for i := range headers {
		if z.reversed {
			i = len(headers) - 1 - i
		}
		b = append(b, headers[i]...)
	}
	size := len(b) - start
	b = append(b, z.trailer...)
	return append(z.writeEnd(b, start, size), z.junk...)
}

// write appends the entry to b and returns its central header too.
func (e testEntry) write(t testing.TB, b []byte) (all, central []byte) {
	encoded := e.encoded
	if encoded == nil {
		encoded = encode(t, e.method, e.content)
	}
	h := testHeader{
		magic: centralMagic, made: 3<<8 | 20, version: 20, method: e.method, date: 1<<5 | 1, name: e.name,
		crc: crc32.ChecksumIEEE([]byte(e.content)), encoded: uint32(len(encoded)), decoded: uint32(len(e.content)),
		offset: uint32(len(b)), nameSize: -1, extraSize: -1,
	}
	h.realCRC, h.realEncoded, h.realDecode = h.crc, uint64(h.encoded), uint64(h.decoded)
	if e.descriptor > 0 {
		h.flags |= flagDescriptor
	}
	if e.zip64 {
		h.extra = zip64Extra(h.realDecode, h.realEncoded)
		h.encoded, h.decoded, h.version = max32, max32, zip64Version
	}
	local := h
	local.magic = localMagic
	if e.descriptor > 0 {
		local.crc = 0
	}
	if e.descriptor > 0 && !e.zip64 {
		local.encoded, local.decoded = 0, 0
	}
	if e.central != nil {
		e.central(&h)
	}
	if e.local != nil {
		e.local(&local)
	}
	b = local.append(b, false)
	b = append(b, encoded...)
	b = e.appendDescriptor(b, local)
	return append(b, e.gap...), h.append(nil, true)
}

func (e testEntry) appendDescriptor(b []byte, h testHeader) []byte {
	d := testDescriptor{descriptorMagic, h.realCRC, h.realEncoded, h.realDecode}
	if e.described != nil {
		e.described(&d)
	}
	if e.descriptor == 16 || e.descriptor == 24 {
		b = append(b, d.magic...)
	}
	switch e.descriptor {
	case 12, 16:
		b = le.AppendUint32(le.AppendUint32(le.AppendUint32(b, d.crc), uint32(d.encoded)), uint32(d.decoded))
	case 20, 24:
		b = le.AppendUint64(le.AppendUint64(le.AppendUint32(b, d.crc), d.encoded), d.decoded)
	}
	return b
}

func (h testHeader) append(b []byte, central bool) []byte {
	if h.nameSize < 0 {
		h.nameSize = len(h.name)
	}
	if h.extraSize < 0 {
		h.extraSize = len(h.extra)
	}
	b = append(b, h.magic...)
	if central {
		b = le.AppendUint16(b, h.made)
	}
	for _, v := range []uint16{h.version, h.flags, h.method, 0, h.date} {
		b = le.AppendUint16(b, v)
	}
	for _, v := range []uint32{h.crc, h.encoded, h.decoded} {
		b = le.AppendUint32(b, v)
	}
	b = le.AppendUint16(le.AppendUint16(b, uint16(h.nameSize)), uint16(h.extraSize))
	if central {
		b = le.AppendUint16(le.AppendUint16(le.AppendUint16(b, uint16(len(h.comment))), h.disk), h.internal)
		b = le.AppendUint32(le.AppendUint32(b, h.external), h.offset)
	}
	b = append(append(b, h.name...), h.extra...)
	if central {
		b = append(b, h.comment...)
	}
	return b
}

func (z testZip) writeEnd(b []byte, start, size int) []byte {
	n := uint64(len(z.entries))
	e := testEnd{
		magic: endMagic, here: n, entries: n, directory: uint64(size), offset: uint64(start), commentSize: -1,
		size: end64Size - 12, version: zip64Version, locatorOffset: uint64(len(b)), disks: 1,
	}
	if z.zip64 {
		wide := e
		wide.magic = end64Magic
		if z.end64 != nil {
			z.end64(&wide)
		}
		b = wide.append64(b)
		e.here, e.entries, e.directory, e.offset = max16, max16, max32, max32
	}
	if z.end != nil {
		z.end(&e)
	}
	if e.commentSize < 0 {
		e.commentSize = len(e.comment)
	}
	b = append(b, e.magic...)
	for _, v := range []uint16{uint16(e.disk), uint16(e.startDisk), uint16(e.here), uint16(e.entries)} {
		b = le.AppendUint16(b, v)
	}
	b = le.AppendUint32(le.AppendUint32(b, uint32(e.directory)), uint32(e.offset))
	return append(le.AppendUint16(b, uint16(e.commentSize)), e.comment...)
}

func (e testEnd) append64(b []byte) []byte {
	b = le.AppendUint64(append(b, e.magic...), e.size)
	b = le.AppendUint16(le.AppendUint16(b, 3<<8|45), e.version)
	b = le.AppendUint32(le.AppendUint32(b, e.disk), e.startDisk)
	for _, v := range []uint64{e.here, e.entries, e.directory, e.offset} {
		b = le.AppendUint64(b, v)
	}
	b = append(append(b, e.extensible...), locatorMagic...)
	b = le.AppendUint64(le.AppendUint32(b, e.locatorDisk), e.locatorOffset)
	return append(le.AppendUint32(b, e.disks), e.locatorFollower...)
}

// block returns a block of an extra field.
func block(id uint16, content string) string {
	return string(le.AppendUint16(le.AppendUint16(nil, id), uint16(len(content)))) + content
}

func zip64Extra(values ...uint64) string {
	var b []byte
	for _, v := range values {
		b = le.AppendUint64(b, v)
	}
	return block(zip64Block, string(b))
}
