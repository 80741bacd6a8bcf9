package unpack

import "testing"

func TestLocalHeadersMustAgreeWithTheDirectory(t *testing.T) {
	runAll(t, []zipCase{
		{name: "name", zip: localLie(func(h *testHeader) { h.name = "b" }), kind: ErrCorrupt, says: `another name, "b"`},
		{name: "name's case", zip: localLie(func(h *testHeader) { h.name = "A" }), kind: ErrCorrupt, says: `another name, "A"`},
		{name: "longer name", zip: localLie(func(h *testHeader) { h.name = "a\x00" }), kind: ErrCorrupt, says: "another name"},
		{name: "method", zip: localLie(func(h *testHeader) { h.method = methodDeflate }), kind: ErrCorrupt, says: "method 8, directory says 0"},
		{name: "flags", zip: localLie(func(h *testHeader) { h.flags = 2 }), kind: ErrCorrupt, says: "flags 2, directory says 0"},
		{name: "encrypted", zip: localLie(func(h *testHeader) { h.flags = 1 }), kind: ErrEncrypted},
		{name: "CRC-32", zip: localLie(func(h *testHeader) { h.crc++ }), kind: ErrCorrupt, says: "local header says CRC-32"},
		{name: "no CRC-32", zip: localLie(func(h *testHeader) { h.crc = 0 }), kind: ErrCorrupt, says: "local header says CRC-32"},
		{name: "encoded size", zip: localLie(func(h *testHeader) { h.encoded++ }), kind: ErrCorrupt, says: "encoded size 2, directory says 1"},
		{name: "decoded size", zip: localLie(func(h *testHeader) { h.decoded++ }), kind: ErrCorrupt, says: "decoded size 2, directory says 1"},
		{name: "version", zip: localLie(func(h *testHeader) { h.version = 10 }), kind: ErrCorrupt, says: "version 10, directory says 20"},
		{name: "zip64 was found needless", zip: localLie(func(h *testHeader) { h.version = 45 })},
		{name: "zip64 was found needed", zip: centralLie(func(h *testHeader) { h.version = 45 })},
		{name: "version 6.4 of a system", zip: bothLie(func(h *testHeader) { h.version = 3<<8 | 64 }), kind: ErrCorrupt, says: "version 6.4"},
		{name: "sizes left open by all bits", zip: localLie(func(h *testHeader) { h.encoded, h.decoded = max32, max32 }), kind: ErrCorrupt, says: "zip64 block is missing"},
		{name: "magic", zip: localLie(func(h *testHeader) { h.magic = "PK\x03\x05" }), kind: ErrCorrupt, says: "local header is missing at 0"},
		{name: "offset", zip: testZip{entries: []testEntry{{name: "a", content: "x"},
			{name: "b", content: "x", central: func(h *testHeader) { h.offset++ }}}}, kind: ErrCorrupt, says: "1 bytes lie between"},
		{name: "offset in the directory", zip: centralLie(func(h *testHeader) { h.offset = 1000 }), kind: ErrCorrupt, says: "beyond the directory"},
		{name: "encoded size up to the directory's end", zip: bothLie(func(h *testHeader) { h.encoded, h.decoded = 40, 40 }), kind: ErrCorrupt, says: "beyond the directory"},
	})
}

func TestExtraFieldsMustParseAndHideNothing(t *testing.T) {
	path := func(name, content string) string {
		return block(unicodePathBlock, "\x01"+string(le.AppendUint32(nil, crc(name)))+content)
	}
	extra := func(x string) lie[testHeader] { return func(h *testHeader) { h.extra = x } }
	runAll(t, []zipCase{
		{name: "unknown blocks", zip: bothLie(extra(block(0x5455, "\x00") + block(0x5455, "")))},
		{name: "same Unicode path", zip: bothLie(extra(path("a", "a")))},
		{name: "other Unicode path", zip: centralLie(extra(path("a", "b"))), kind: ErrUnsafeName, says: `another name, "b"`},
		{name: "other Unicode path, local", zip: localLie(extra(path("a", "b"))), kind: ErrUnsafeName, says: `another name, "b"`},
		{name: "Unicode path of another name", zip: centralLie(extra(path("b", "a"))), kind: ErrUnsafeName, says: "another name"},
		{name: "other Unicode path of a name in UTF-8", zip: bothLie(func(h *testHeader) { h.name, h.flags, h.extra = "é", flagUTF8, path("é", "e") }),
			kind: ErrUnsafeName, says: `another name, "e"`},
		{name: "other Unicode path in the local header", zip: testZip{entries: []testEntry{{name: "\xb6", content: "x",
			central: extra(path("\xb6", "订")), local: extra(path("\xb6", "单"))}}}, kind: ErrUnsafeName, says: `another name, "单"`},
		{name: "Unicode path in the local header alone", zip: testZip{entries: []testEntry{{name: "\xb6", content: "x",
			local: extra(path("\xb6", "订"))}}}, kind: ErrUnsafeName, says: `another name, "订"`},
		{name: "Unicode path that leads outside", zip: bothLie(func(h *testHeader) { h.name, h.extra = "\xb6/x", path("\xb6/x", "../x") }),
			kind: ErrUnsafeName, says: "the element .."},
		{name: "Unicode path with more elements", zip: bothLie(func(h *testHeader) { h.name, h.extra = "\xb6", path("\xb6", "a/b") }),
			kind: ErrUnsafeName, says: `another name, "a/b"`},
		{name: "Unicode path not in UTF-8", zip: bothLie(func(h *testHeader) { h.name, h.extra = "\xb6", path("\xb6", "\xb6") }), kind: ErrCorrupt, says: "Unicode path"},
		{name: "Unicode path version", zip: centralLie(extra(block(unicodePathBlock, "\x02xxxxa"))), kind: ErrCorrupt, says: "Unicode path"},
		{name: "Unicode path cut", zip: centralLie(extra(block(unicodePathBlock, "\x01"))), kind: ErrCorrupt, says: "Unicode path"},
		{name: "one byte", zip: centralLie(extra("x")), kind: ErrCorrupt, says: "extra field does not parse"},
		{name: "padding that is not zero", zip: localLie(extra("\x00\x00\x01")), kind: ErrCorrupt, says: "extra field does not parse"},
		{name: "block too long", zip: localLie(extra("\x55\x54\x02\x00x")), kind: ErrCorrupt, says: "extra field does not parse"},
		{name: "zip64 block twice", zip: centralLie(extra(zip64Extra() + zip64Extra())), kind: ErrCorrupt, says: "block 0x0001 twice"},
		{name: "field longer than the directory", zip: centralLie(func(h *testHeader) { h.extraSize = 9 }), kind: ErrCorrupt, says: "cut short"},
		{name: "field takes in the content", zip: localLie(func(h *testHeader) { h.extraSize = 1 }), kind: ErrCorrupt, says: "does not parse"},
		{name: "field longer than the file", zip: localLie(func(h *testHeader) { h.extraSize = 60000 }), kind: ErrCorrupt, says: "cut short"},
	})
}

// WinRAR, WinZip and 7-Zip write the name in a legacy code page, and beside it in
// UTF-8.
func TestTheUnicodePathIsTheNameOfTheEntry(t *testing.T) {
	for _, c := range []struct{ legacy, unicode, want string }{
		{"\xb6\xa9\xb5\xa5.csv", "订单.csv", "订单.csv"},
		{"\xb3\x5c\xa5\x5c.csv", "許功.csv", "許功.csv"},
		{"d\xb6/\xb6.csv", "d订/订.csv", "d订/订.csv"},
		{"??.csv", "订单.csv", "订单.csv"},
		{"__1_.csv", "订单1_.csv", "订单1_.csv"},
		{"\xb6.", "订:", "订_3a"},
	} {
		for _, central := range []bool{true, false} { // alone, or both headers
			extra := block(unicodePathBlock, "\x01"+string(le.AppendUint32(nil, crc(c.legacy)))+c.unicode)
			e := testEntry{name: c.legacy, content: "x", central: func(h *testHeader) { h.extra = extra }}
			if !central {
				e.local = e.central
			}
			got, err := unzip(t, testZip{entries: []testEntry{e}}.bytes(t), Limits{})
			if got[c.want] != "x" || len(got) != 1 || err != nil {
				t.Errorf("%q with the Unicode path %q: %q, %v", c.legacy, c.unicode, got, err)
			}
		}
	}
}
