package unpack

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/flate"

	"tallyman/fetch/internal/memory"
)

// allocated returns how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// kernel returns n zeros, deflated.
func kernel(t testing.TB, n int64) []byte {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, 9)
	if _, err := io.CopyN(w, zeros{}, n); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// bombHeader returns the header of an entry of a bomb.
func bombHeader(name string, crc uint32, encoded, decoded int) testHeader {
	return testHeader{
		magic: localMagic, version: 20, method: methodDeflate, name: name, crc: crc,
		encoded: uint32(encoded), decoded: uint32(decoded), nameSize: -1, extraSize: -1,
	}
}

func (h testHeader) at(offset int) testHeader {
	h.magic, h.offset = centralMagic, uint32(offset)
	return h
}

// fullOverlap returns a zip whose n entries all have the same content: the first
// bomb that David Fifield describes.
func fullOverlap(t testing.TB, n int) []byte {
	const size = 1 << 20
	k := kernel(t, size)
	h := bombHeader("f", zeroCRC(size), len(k), size)
	b := append(h.append(nil, false), k...)
	start := len(b)
	for range n {
		b = h.at(0).append(b, true)
	}
	return testZip{entries: make([]testEntry, n)}.writeEnd(b, start, len(b)-start)
}

// quotedOverlap returns a zip of n entries. The content of each quotes the local
// header of the next in a stored block and goes on with the content of the next,
// as in Fifield's zbsm.zip. All names, sizes and CRC-32s are right.
func quotedOverlap(t testing.TB, n int) []byte {
	const size = 1 << 20
	encoded, decoded := kernel(t, size), make([]byte, size)
	headers, behind := make([]testHeader, n), make([]int, n)
	for i := n - 1; i >= 0; i-- {
		h := bombHeader(fmt.Sprintf("f%03d", i), crc32.ChecksumIEEE(decoded), len(encoded), len(decoded))
		local := h.append(nil, false)
		encoded, decoded = append(local, encoded...), append(bytes.Clone(local), decoded...)
		headers[i], behind[i] = h, len(encoded)
		if i > 0 {
			block := le.AppendUint16(le.AppendUint16([]byte{0}, uint16(len(local))), ^uint16(len(local)))
			encoded = append(block, encoded...)
		}
	}
	start := len(encoded)
	for i, h := range headers {
		encoded = h.at(start-behind[i]).append(encoded, true)
	}
	return testZip{entries: make([]testEntry, n)}.writeEnd(encoded, start, len(encoded)-start)
}

func TestOverlapBombsAreRefusedBeforeInflating(t *testing.T) {
	if testing.Short() {
		t.Skip("it decodes much")
	}
	for _, c := range []struct {
		name, says string
		bomb       []byte
	}{
		{"full", "overlaps with another", fullOverlap(t, 60000)},
		{"quoted", "overlaps", quotedOverlap(t, 250)},
	} {
		t.Run(c.name, func(t *testing.T) {
			taken, err := zip.NewReader(bytes.NewReader(c.bomb), int64(len(c.bomb)))
			if err != nil {
				t.Fatal(err)
			}
			if content, err := fs.ReadFile(taken, taken.File[0].Name); err != nil || len(content) < 1<<20 {
				t.Fatalf("no bomb: others unpack %d bytes, error %v", len(content), err)
			}
			var got map[string]string
			n := allocated(func() { got, err = unzip(t, c.bomb, Limits{}) })
			refused(t, err, ErrBomb, c.says)
			if limit := uint64(2*len(c.bomb) + 4<<20); len(got) > 0 || n > limit {
				t.Errorf("created %d files, allocated %d bytes, want 0 and at most %d", len(got), n, limit)
			}
		})
	}
}

func TestOverlappingEntriesAreRefused(t *testing.T) {
	runAll(t, []zipCase{
		{name: "two entries, one content", zip: testZip{entries: []testEntry{{name: "a", content: "x"},
			{name: "b", content: "x", central: func(h *testHeader) { h.offset = 0 }}}}, kind: ErrBomb, says: "overlaps"},
		{name: "content into the next entry", zip: testZip{entries: []testEntry{
			{name: "a", content: "x", central: twoBytes, local: twoBytes}, {name: "b"}}}, kind: ErrBomb, says: "overlaps"},
		{name: "content into the directory", zip: bothLie(twoBytes), kind: ErrBomb, says: "overlaps"},
	})
}

func twoBytes(h *testHeader) { h.encoded, h.decoded = 2, 2 }

func TestZipsOverALimitAreRefused(t *testing.T) {
	million := strings.Repeat("x", 2<<20)
	two := testZip{entries: []testEntry{{name: "a", content: "12345"}, {name: "b", content: "12345"}}}
	for _, c := range []struct {
		name   string
		zip    testZip
		limits Limits
		says   string // "": unpacks
	}{
		{"as many bytes", two, Limits{Bytes: 10}, ""},
		{"too many bytes", two, Limits{Bytes: 9}, "limit of 9 bytes in all"},
		{"as large an entry", two, Limits{EntryBytes: 5}, ""},
		{"too large an entry", two, Limits{EntryBytes: 4}, "limit of 4 bytes for an entry"},
		{"as many entries", two, Limits{Entries: 2}, ""},
		{"too many entries", two, Limits{Entries: 1}, "zip has 2 entries, over the limit of 1"},
		{"too many implied directories", named1("a/b/c"), Limits{Entries: 2}, "limit of 2 entries"},
		{"as many implied directories", named1("a/b/c"), Limits{Entries: 3}, ""},
		{"ratio of a small entry", encodedAs(methodDeflate, string(encode(t, methodDeflate, million[:1<<20])), million[:1<<20]), Limits{Ratio: 2}, ""},
		{"ratio", encodedAs(methodDeflate, string(encode(t, methodDeflate, million)), million), Limits{Ratio: 100}, "limit of 100 to 1"},
		{"ratio by default, deflate", encodedAs(methodDeflate, string(encode(t, methodDeflate, million)), million), Limits{}, ""},
		{"ratio by default, zstd", encodedAs(methodZstd, string(encode(t, methodZstd, million)), million), Limits{}, "limit of 1100 to 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := unzip(t, c.zip.bytes(t), c.limits)
			kind := ErrBomb
			if c.says == "" {
				kind = nil
			}
			refused(t, err, kind, c.says)
		})
	}
}

// windowed returns an empty zstd frame that needs a window of 2^log bytes.
func windowed(log byte) string {
	return "\x28\xb5\x2f\xfd\x00" + string([]byte{(log - 10) << 3}) + "\x01\x00\x00"
}

func TestZstdWindowsOver128MiBAreRefused(t *testing.T) {
	_, err := unzip(t, encodedAs(methodZstd, windowed(27), "").bytes(t), Limits{})
	refused(t, err, nil, "")
	_, err = unzip(t, encodedAs(methodZstd, windowed(28), "").bytes(t), Limits{})
	refused(t, err, ErrBomb, "limit of 134217728 bytes")
	single := "\x28\xb5\x2f\xfd\xe0\x00\x00\x00\x40\x00\x00\x00\x00\x01\x00\x00" // one segment of 1 GiB
	_, err = unzip(t, encodedAs(methodZstd, single, "").bytes(t), Limits{})
	refused(t, err, ErrBomb, "window of 1073741824 bytes")
	large := "\x28\xb5\x2f\xfd\x00\x00\x03\x40\x00x" // a last block of more than the window of 1 KiB
	_, err = unzip(t, encodedAs(methodZstd, large, "").bytes(t), Limits{})
	refused(t, err, ErrCorrupt, "window size exceeded")
}

// Each worker needs the memory that there is for one decoder. Then the others
// wait.
func TestZstdEntriesShareTheMemory(t *testing.T) {
	var z testZip
	for i := range 20 {
		z.entries = append(z.entries, testEntry{name: fmt.Sprint(i), method: methodZstd, encoded: []byte(windowed(23))})
	}
	limits := Limits{Memory: memory.Account{Budget: &memory.Budget{Limit: 10 << 20}}}
	_, err := unzip(t, z.bytes(t), limits)
	refused(t, err, nil, "")
	z.entries = append(z.entries, testEntry{name: "large", method: methodZstd, encoded: []byte(windowed(24))})
	_, err = unzip(t, z.bytes(t), limits)
	refused(t, err, ErrBomb, "window of 16777216 bytes, over the limit of 10485760 bytes")
	if exceeded, ok := errors.AsType[*LimitError](err); !ok || exceeded.Limit != LimitMemory {
		t.Errorf("%v does not say which limit", err)
	}
}

// Unpacking an entry stops at its declared size, even if it holds more.
func TestNoMoreIsWrittenThanDeclared(t *testing.T) {
	var written counter
	b := encodedAs(methodDeflate, string(kernel(t, 8<<20)), "12345").bytes(t)
	_, err := Zip(context.Background(), bytes.NewReader(b), int64(len(b)), 1, Limits{}, func(string) (io.WriteCloser, error) { return &written, nil })
	refused(t, err, ErrCorrupt, "more bytes than declared")
	if written.n > 5 {
		t.Errorf("wrote %d bytes of 5 declared", written.n)
	}
}

// The largest directories within the limits have many names, long names, or deep
// names. A name is held in several forms: as it is, escaped, and folded.
func TestMemoryOfTheLargestDirectoriesIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("memory is measured without the detector")
	}
	for name, entry := range map[string]func(i int) string{
		"deep":  func(i int) string { return strings.Repeat("A/", 2000) + fmt.Sprint(i) },
		"split": func(i int) string { return fmt.Sprint(i) + strings.Repeat("/A", 2000) },
	} {
		t.Run(name, func(t *testing.T) {
			z := testZip{}
			for i := range 1000 {
				z.entries = append(z.entries, testEntry{name: entry(i)})
			}
			b := z.bytes(t)
			n := allocated(func() {
				_, _ = Zip(context.Background(), bytes.NewReader(b), int64(len(b)), 1, Limits{Entries: 100_000}, (&sink{}).create)
			})
			if limit := uint64(12*len(b) + 32<<20); n > limit {
				t.Errorf("allocated %d bytes for a zip of %d", n, len(b))
			}
		})
	}
}
