package unpack

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A zipCase says whether one zip is accepted, and which error refuses it.
type zipCase struct {
	name string
	zip  testZip
	kind error // nil: unpacks
	says string
}

func (c zipCase) run(t *testing.T) {
	t.Run(c.name, func(t *testing.T) {
		got, err := unzip(t, c.zip.bytes(t), Limits{})
		refused(t, err, c.kind, c.says)
		if c.kind != nil {
			if len(got) > 0 {
				t.Errorf("created %d files before the refusal", len(got))
			}
			return
		}
		want := map[string]string{}
		for _, e := range c.zip.entries {
			if !strings.HasSuffix(e.name, "/") {
				want[e.name] = e.content
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("unpacked (-want +got):\n%s", diff)
		}
	})
}

func runAll(t *testing.T, cases []zipCase) {
	for _, c := range cases {
		c.run(t)
	}
}

func one(e testEntry) testZip { return testZip{entries: []testEntry{e}} }
func centralLie(lie lie[testHeader]) testZip {
	return one(testEntry{name: "a", content: "x", central: lie})
}
func localLie(lie lie[testHeader]) testZip {
	return one(testEntry{name: "a", content: "x", local: lie})
}
func bothLie(lie lie[testHeader]) testZip {
	return one(testEntry{name: "a", content: "x", central: lie, local: lie})
}
func named1(name string) testZip        { return one(testEntry{name: name}) }
func endLie(lie lie[testEnd]) testZip   { z := centralLie(nil); z.end = lie; return z }
func end64Lie(lie lie[testEnd]) testZip { z := centralLie(nil); z.zip64, z.end64 = true, lie; return z }
func methodOf(m uint16) testEntry {
	return testEntry{name: "a", content: strings.Repeat("abc", 1000), method: m}
}
func encodedAs(m uint16, enc, text string) testZip {
	return one(testEntry{name: "a", content: text, method: m, encoded: []byte(enc)})
}

func TestHonestZipsUnpack(t *testing.T) {
	directory := testEntry{name: "d/", central: func(h *testHeader) { h.external = 0o40755<<16 | 16 }}
	runAll(t, []zipCase{
		{name: "empty", zip: testZip{}},
		{name: "stored", zip: one(methodOf(methodStored))},
		{name: "deflate", zip: one(methodOf(methodDeflate))},
		{name: "zstd", zip: one(methodOf(methodZstd))},
		{name: "empty files", zip: testZip{entries: []testEntry{
			{name: "s"}, {name: "d", method: methodDeflate}, {name: "z", method: methodZstd},
		}}},
		{name: "directories", zip: testZip{entries: []testEntry{directory, {name: "d/a", content: "x"}}}},
		{name: "directory listed behind its files", zip: testZip{entries: []testEntry{{name: "d/a", content: "x"}, directory}}},
		{name: "directory encoded though empty", zip: one(testEntry{name: "d/", method: methodDeflate})},
		{name: "directory in another order", zip: testZip{reversed: true, entries: []testEntry{
			{name: "a", content: "1"}, {name: "b", content: "2", method: methodDeflate, descriptor: 16}, {name: "c"},
		}}},
		{name: "comments", zip: func() testZip {
			z := centralLie(func(h *testHeader) { h.comment = "of the entry" })
			z.end = func(e *testEnd) { e.comment = strings.Repeat("c", maxComment) }
			return z
		}()},
		{name: "nested zip is content", zip: one(testEntry{name: "n.zip", content: string(named1("x").bytes(t))})},
		{name: "aligned by the extra field", zip: localLie(func(h *testHeader) { h.extra = block(0xd935, "\x00\x00\x00\x00") })},
		{name: "UTF-8 with and without its flag", zip: testZip{entries: []testEntry{
			{name: "ü"}, {name: "世界", central: utf8Flag, local: utf8Flag},
		}}},
	})
}

// unusualZips are honest zips that break the letter of the specification, or use
// what few writers do, without leaving a reader a choice.
func unusualZips(t testing.TB) []zipCase {
	const text = "PK\x05\x06 begins an end record, which has 22 bytes without its comment"
	version := func(n uint16) lie[testHeader] { return func(h *testHeader) { h.version = n } }
	extra := func(x string) lie[testHeader] { return func(h *testHeader) { h.extra = x } }
	external := func(n uint32) lie[testHeader] { return func(h *testHeader) { h.external = n } }
	inOneBlock := centralLie(nil)
	inOneBlock.junk = lastBlock(t, inOneBlock)
	return []zipCase{
		{name: "version with a system (p7zip, File Roller)", zip: bothLie(version(3<<8 | 10))},
		{name: "version with a system in one header", zip: localLie(version(3<<8 | 20))},
		{name: "one zero to align the content (zipalign)", zip: localLie(extra("\x00"))},
		{name: "three zeros to align the content, behind a block", zip: localLie(extra(block(0x5455, "\x00") + "\x00\x00\x00"))},
		{name: "zeros that end both extra fields", zip: bothLie(extra("\x00\x00"))},
		{name: "date of the local header differs", zip: localLie(func(h *testHeader) { h.date = 0 })},
		{name: "end record's magic in the comment", zip: endLie(func(e *testEnd) { e.comment = text })},
		{name: "end record quoted in the comment", zip: endLie(func(e *testEnd) { e.comment = "PK\x05\x06" + strings.Repeat("Z", 18) })},
		{name: "zip64 locator quoted in an entry's comment", zip: centralLie(func(h *testHeader) { h.comment = locatorMagic + "Z23456789abcdefg" })},
		{name: "signed directory", zip: signed("PK\x05\x05\x03\x00abc")},
		{name: "signed directory, by nothing", zip: signed("PK\x05\x05\x00\x00")},
		{name: "zeros in the last block (bsdtar to a pipe)", zip: inOneBlock},
		{name: "mode with all bits set", zip: centralLie(external(max16 << 16))},
		{name: "attributes with all bits set", zip: centralLie(external(max32))},
		{name: "read from a pipe (zip, 7z -si)", zip: centralLie(external(0o010600<<16 | 0x8020))},
		{name: "read from a pipe, but empty", zip: one(testEntry{name: "a", central: external(0o010600 << 16)})},
		{name: "read from a socket", zip: centralLie(external(0o140777 << 16))},
		{name: "disk left open", zip: centralLie(func(h *testHeader) { h.disk = max16 })},
		{name: "disk left open beside a zip64 block", zip: centralLie(func(h *testHeader) {
			h.encoded, h.decoded, h.offset, h.disk, h.extra = max32, max32, max32, max16, zip64Extra(1, 1, 0)
		})},
		{name: "sizes left open before a descriptor", zip: one(testEntry{name: "a", content: "x", descriptor: 24, local: func(h *testHeader) {
			h.encoded, h.decoded = max32, max32
		}})},
		{name: "zip64 sizes left open before a descriptor", zip: one(testEntry{name: "a", content: "x", descriptor: 24, local: func(h *testHeader) {
			h.encoded, h.decoded, h.extra = max32, max32, zip64Extra(math.MaxUint64, math.MaxUint64)
		}})},
	}
}

func TestUnusualButHonestZipsUnpack(t *testing.T) { runAll(t, unusualZips(t)) }

func utf8Flag(h *testHeader) { h.flags |= flagUTF8 }

func TestDataDescriptorsOfEveryFormAreRead(t *testing.T) {
	for _, size := range []int{12, 16, 20, 24} {
		for _, method := range []uint16{methodStored, methodDeflate, methodZstd} {
			first, second := methodOf(method), methodOf(method)
			first.descriptor, second.descriptor, second.name = size, size, "b"
			zipCase{name: "honest", zip: testZip{entries: []testEntry{first, second}}}.run(t)
		}
	}
	truth := func(h *testHeader) {
		h.crc, h.encoded, h.decoded = h.realCRC, uint32(h.realEncoded), uint32(h.realDecode)
	}
	lie := func(size int, l lie[testDescriptor]) testZip {
		return one(testEntry{name: "a", content: "x", descriptor: size, described: l})
	}
	runAll(t, []zipCase{
		{name: "local header tells the truth as well", zip: one(testEntry{name: "a", content: "x", descriptor: 12, local: truth})},
		{name: "local header lies", zip: one(testEntry{name: "a", content: "x", descriptor: 12, local: func(h *testHeader) { h.encoded = 2 }}),
			kind: ErrCorrupt, says: "local header says encoded size 2, directory says 1"},
		{name: "wrong signature", zip: lie(16, func(d *testDescriptor) { d.magic = "PK\x07\x09" }), kind: ErrCorrupt, says: "no signature"},
		{name: "wrong CRC-32", zip: lie(12, func(d *testDescriptor) { d.crc++ }), kind: ErrCorrupt, says: "data descriptor says"},
		{name: "wrong encoded size", zip: lie(16, func(d *testDescriptor) { d.encoded++ }), kind: ErrCorrupt, says: "data descriptor says"},
		{name: "wrong decoded size", zip: lie(24, func(d *testDescriptor) { d.decoded++ }), kind: ErrCorrupt, says: "data descriptor says"},
		{name: "more than 32 bits", zip: lie(20, func(d *testDescriptor) { d.decoded += 1 << 32 }), kind: ErrCorrupt, says: "data descriptor says"},
		{name: "missing", zip: bothLie(func(h *testHeader) { h.flags |= flagDescriptor }), kind: ErrCorrupt, says: "no data descriptor"},
		{name: "without the flag", zip: one(testEntry{name: "a", content: "x", gap: "PK\x07\x08xxxxxxxxxxxx"}), kind: ErrCorrupt, says: "16 bytes lie between"},
	})
}

func TestUnknownFeaturesAreRefusedByName(t *testing.T) {
	runAll(t, []zipCase{
		{name: "bzip2", zip: bothLie(func(h *testHeader) { h.method = 12 }), kind: ErrCorrupt, says: "method 12 is not supported"},
		{name: "deflate64", zip: bothLie(func(h *testHeader) { h.method = 9 }), kind: ErrCorrupt, says: "method 9 is not supported"},
		{name: "patched data", zip: bothLie(func(h *testHeader) { h.flags = 1 << 5 }), kind: ErrCorrupt, says: "flags 0x0020 are not supported"},
		{name: "version", zip: bothLie(func(h *testHeader) { h.version = 64 }), kind: ErrCorrupt, says: "version 6.4 is not supported"},
		{name: "encrypted", zip: bothLie(func(h *testHeader) { h.flags = 1 }), kind: ErrEncrypted, says: "ask for an unencrypted export"},
		{name: "strongly encrypted", zip: bothLie(func(h *testHeader) { h.flags = 1 << 6 }), kind: ErrEncrypted},
		{name: "encrypted headers", zip: bothLie(func(h *testHeader) { h.flags = 1 << 13 }), kind: ErrEncrypted},
		{name: "AES", zip: bothLie(func(h *testHeader) { h.method = 99 }), kind: ErrEncrypted},
		{name: "AES by the extra field", zip: bothLie(func(h *testHeader) { h.extra = block(aesBlock, "1234567") }), kind: ErrEncrypted},
		{name: "strong by the extra field", zip: localLie(func(h *testHeader) { h.extra = block(strongBlock, "12") }), kind: ErrEncrypted},
		{name: "encrypted directory", zip: end64Lie(func(e *testEnd) { e.version, e.size, e.extensible = 62, 60, "0123456789abcdef" }), kind: ErrEncrypted},
	})
}

func TestEveryFlagAndMethodIsReadOrRefused(t *testing.T) {
	for bit := range 16 {
		c := zipCase{name: fmt.Sprint("flag ", bit), zip: bothLie(func(h *testHeader) { h.flags = 1 << bit }), kind: ErrCorrupt, says: "are not supported"}
		switch bit {
		case 0, 6, 13:
			c.kind, c.says = ErrEncrypted, fmt.Sprintf("flags %#04x", 1<<bit)
		case 3:
			c.says = "no data descriptor"
		case 1, 2, 11: // hints, and UTF-8
			c.kind, c.says = nil, ""
		}
		c.run(t)
	}
	for method := range uint16(256) {
		c := zipCase{name: fmt.Sprint("method ", method), zip: bothLie(func(h *testHeader) { h.method = method }), kind: ErrCorrupt, says: fmt.Sprintf("method %d is not supported", method)}
		switch method {
		case methodStored:
			c.kind, c.says = nil, ""
		case methodDeflate, methodZstd:
			c.says = "decode: " // they are known
		case methodAES:
			c.kind, c.says = ErrEncrypted, "method 99"
		}
		_, err := unzip(t, c.zip.bytes(t), Limits{})
		refused(t, err, c.kind, c.says)
	}
}

func TestOnlyPlainFilesAndDirectoriesAreUnpacked(t *testing.T) {
	attributes := func(name string, external uint32) testZip {
		return one(testEntry{name: name, central: func(h *testHeader) { h.external = external }})
	}
	for _, c := range []struct {
		name     string
		external uint32
		says     string
	}{
		{"a", 0, ""},
		{"a", 0o100644 << 16, ""},
		{"a", 0o000600 << 16, ""},
		{"a", 0x20, ""},
		{"d/", 0o42775<<16 | dosDirectory, ""},
		{"d/", 0, ""},
		{"a", 0o120777 << 16, "is a symbolic link"},
		{"d/", 0o120777 << 16, "is a symbolic link"},
		{"d/", 0o010644 << 16, "is a named pipe"},
		{"a", 0o020644 << 16, "is a character device"},
		{"a", 0o060644 << 16, "is a block device"},
		{"a", 0o140644 << 16, "is a socket"},
		{"a", 0o150644 << 16, "unknown type 0150000"},
		{"a", 0o104755 << 16, "runs as its owner"},
		{"a", 0o002755 << 16, "runs as its owner"},
		{"a", 0o040755 << 16, "directory without a slash"},
		{"a", dosDirectory, "directory without a slash"},
		{"a/", 0o100644 << 16, "file with a slash"},
		{"a", dosVolume, "volume label"},
	} {
		kind := ErrUnsafeName
		if c.says == "" {
			kind = nil
		}
		zipCase{name: c.name + " " + c.says, zip: attributes(c.name, c.external), kind: kind, says: c.says}.run(t)
	}
	zipCase{name: "directory with content", zip: one(testEntry{name: "d/", content: "x"}), kind: ErrCorrupt, says: "directory with 1 bytes"}.run(t)
}

func TestContentThatDiffersFromItsHeaderIsCorrupt(t *testing.T) {
	text := strings.Repeat("abc", 1000)
	deflated := string(encode(t, methodDeflate, text))
	zstandard := string(encode(t, methodZstd, text))
	wrongCRC := methodOf(methodDeflate)
	wrongCRC.central = func(h *testHeader) { h.crc++ }
	wrongCRC.local = wrongCRC.central
	for _, c := range []zipCase{
		{name: "stored sizes differ", zip: encodedAs(methodStored, "xx", "x"), says: "1 bytes are stored as 2"},
		{name: "deflate too long", zip: encodedAs(methodDeflate, deflated, text[1:]), says: "more bytes than declared"},
		{name: "deflate too short", zip: encodedAs(methodDeflate, deflated, text+"a"), says: "1 bytes less than declared"},
		{name: "deflate cut", zip: encodedAs(methodDeflate, deflated[:len(deflated)-1], text), says: "decode: "},
		{name: "deflate bad", zip: encodedAs(methodDeflate, "\xff"+deflated[1:], text), says: "decode: "},
		{name: "deflate of nothing", zip: encodedAs(methodDeflate, "", ""), says: "decode: "},
		{name: "bytes behind deflate", zip: encodedAs(methodDeflate, deflated+"!", text), says: "bytes follow the end"},
		{name: "many bytes behind deflate", zip: encodedAs(methodDeflate, deflated+strings.Repeat("!", 99999), text), says: "bytes follow the end"},
		{name: "zstd too long", zip: encodedAs(methodZstd, zstandard, text[1:]), says: "more bytes than declared"},
		{name: "zstd cut", zip: encodedAs(methodZstd, zstandard[:len(zstandard)-1], text), says: "decode: "},
		{name: "bytes behind zstd", zip: encodedAs(methodZstd, zstandard+"!", text), says: "decode: "},
		{name: "wrong CRC-32", zip: one(wrongCRC), says: "CRC-32 is"},
		{name: "directory that decodes to something", zip: func() testZip {
			e := testEntry{name: "d/", method: methodDeflate, encoded: []byte(deflated)}
			return one(e)
		}(), says: "more bytes than declared"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := unzip(t, c.zip.bytes(t), Limits{})
			refused(t, err, ErrCorrupt, c.says)
		})
	}
}
