package decode

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"tallyman/fetch/internal/unpack"
	"tallyman/verify"
)

func TestEachCodecDecodesWhatItEncoded(t *testing.T) {
	if testing.Short() {
		t.Skip("one file after another")
	}
	for name, encode := range encoders {
		for _, size := range []int{0, 1, 64<<10 - 1, 64 << 10, 64<<10 + 1, 3 << 19} {
			content := noise(size)
			encoded := encode(t, content)
			d, got, err := decodeAll(bytes.NewReader(encoded))
			if err != nil || d != (outcome{name, true}) || !bytes.Equal(got.Bytes(), content) || !got.closed {
				t.Errorf("%s of %d bytes: %+v, %d bytes, %v", name, size, d, got.Len(), err)
			}
			if size > 1<<20 {
				continue
			}
			d, got, err = decodeAll(iotest.OneByteReader(bytes.NewReader(encoded)))
			if err != nil || d != (outcome{name, true}) || !bytes.Equal(got.Bytes(), content) {
				t.Errorf("%s of %d bytes, byte by byte: %+v, %d bytes, %v", name, size, d, got.Len(), err)
			}
		}
	}
}

func TestObjectsThatAreNotEncodedAreCopied(t *testing.T) {
	for _, content := range []string{"", "a", "ab\n", "abc", "abcd", "abcde", "\x28\xb5\x2f", "\x04\x22\x4d", "PK\x03", "\x1e\x8b", strings.Repeat("a,b\n", 50000)} {
		d, got, err := decodeAll(strings.NewReader(content))
		if err != nil || d != (outcome{}) || got.String() != content || !got.closed || got.name != "a.csv" || got.declared != "csv" {
			t.Errorf("%.20q: %+v, %d bytes of %d, %v", content, d, got.Len(), len(content), err)
		}
	}
}

func TestConcatenatedFramesAreDecodedAsOneFile(t *testing.T) {
	zstdOf := func(content string, options ...zstd.EOption) []byte {
		return encodeZstd(t, []byte(content), options...)
	}
	lz4Of := func(content string, options ...lz4.Option) []byte { return encodeLZ4(t, []byte(content), options...) }
	noCRC, noSum := zstd.WithEncoderCRC(false), lz4.ChecksumOption(false)
	for _, tt := range []struct {
		name, codec, content string
		checked              bool
		parts                [][]byte
	}{
		{"zstd", "zstd", "ab", true, [][]byte{zstdOf("a"), zstdOf("b")}},
		{"zstd, one without a checksum", "zstd", "abc", false, [][]byte{zstdOf("a"), zstdOf("b", noCRC), zstdOf("c")}},
		{"zstd, the first without", "zstd", "ab", false, [][]byte{zstdOf("a", noCRC), zstdOf("b")}},
		{"zstd, the last without", "zstd", "ab", false, [][]byte{zstdOf("a"), zstdOf("b", noCRC)}},
		{"zstd, skippable first", "zstd", "a", true, [][]byte{skippable(4), zstdOf("a")}},
		{"zstd, long skippable first", "zstd", "a", true, [][]byte{skippable(200000), zstdOf("a")}},
		{"zstd, empty skippable first", "zstd", "a", true, [][]byte{skippable(0), zstdOf("a")}},
		{"zstd, several skippable first", "zstd", "a", true, [][]byte{skippable(1), skippable(2), zstdOf("a")}},
		{"zstd, skippable between", "zstd", "ab", true, [][]byte{zstdOf("a"), skippable(100), zstdOf("b")}},
		{"zstd, skippable last", "zstd", "a", true, [][]byte{zstdOf("a"), skippable(100)}},
		{"zstd, of nothing", "zstd", "", true, [][]byte{zstdOf(""), zstdOf("")}},
		{"only skippable", "zstd", "", false, [][]byte{skippable(9), skippable(0)}},
		{"gzip", "gzip", "ab", true, [][]byte{encodeGzip(t, []byte("a")), encodeGzip(t, []byte("b"))}},
		{"lz4", "lz4", "ab", true, [][]byte{lz4Of("a"), lz4Of("b")}},
		{"lz4, one without a checksum", "lz4", "abc", false, [][]byte{lz4Of("a"), lz4Of("b", noSum), lz4Of("c")}},
		{"lz4, skippable first", "lz4", "a", true, [][]byte{skippable(4), lz4Of("a")}},
		{"lz4, long skippable first", "lz4", "a", true, [][]byte{skippable(200000), lz4Of("a")}},
		{"lz4, skippable between", "lz4", "ab", true, [][]byte{lz4Of("a"), skippable(100), lz4Of("b")}},
		{"lz4, skippable last", "lz4", "a", true, [][]byte{lz4Of("a"), skippable(100)}},
	} {
		d, got, err := decodeAll(bytes.NewReader(slices.Concat(tt.parts...)))
		if err != nil || d != (outcome{tt.codec, tt.checked}) || got.String() != tt.content {
			t.Errorf("%s: %+v, %q, %v", tt.name, d, got, err)
		}
	}
}

// A file that is cut between two frames is not seen to be: only the promised
// size tells. The decoder of gzip does not see a cut in the header of the second
// member either.
func TestTruncatedFilesAreCorrupt(t *testing.T) {
	for name, encode := range encoders {
		first, second := encode(t, noise(200)), encode(t, noise(50))
		clean := []int{len(first)}
		if name == "gzip" {
			clean = span(len(first), len(first)+len("1234567890\x05\x00extraexport.csv\x00a comment\x00"))
		}
		checkCuts(t, name, slices.Concat(first, second), clean)
	}
	for _, name := range []string{"zstd", "lz4"} {
		first := encoders[name](t, noise(50))
		checkCuts(t, name+" and skippable", slices.Concat(first, skippable(20)), []int{len(first)})
		checkCuts(t, "skippable and "+name, slices.Concat(skippable(20), first), []int{len(skippable(20))})
	}
}

func span(from, to int) (all []int) {
	for n := from; n < to; n++ {
		all = append(all, n)
	}
	return all
}

func checkCuts(t *testing.T, name string, encoded []byte, clean []int) {
	t.Helper()
	for n := magicSize; n < len(encoded); n++ {
		if _, _, err := decodeAll(bytes.NewReader(encoded[:n])); !errors.Is(err, ErrCorrupt) && !slices.Contains(clean, n) {
			t.Errorf("%s cut at %d of %d: %v", name, n, len(encoded), err)
		}
	}
}

func TestBytesBehindTheLastFrameAreCorrupt(t *testing.T) {
	for name, encode := range encoders {
		for _, tail := range []string{"\x00", "\x00\x00", "\x00\x00\x00", strings.Repeat("\x00", 512), "a", "garbage", "\x1f", "\x28\xb5", "PK\x03\x04"} {
			_, _, err := decodeAll(bytes.NewReader(append(encode(t, noise(1000)), tail...)))
			if !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s and %.10q: %v", name, tail, err)
			}
		}
	}
}

func TestBytesBehindASkippableFrameAreCorrupt(t *testing.T) {
	for _, tail := range []string{"a", "a,b\n1,2\n", "\x28\xb5\x2f"} {
		if _, _, err := decodeAll(bytes.NewReader(append(skippable(5), tail...))); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%q: %v", tail, err)
		}
	}
}

func TestFlippedBitsInCheckedFilesAreSeen(t *testing.T) {
	if testing.Short() {
		t.Skip("one file after another")
	}
	for name, encode := range encoders {
		encoded := encode(t, noise(40))
		for at := range encoded {
			for bit := range 8 {
				bad := bytes.Clone(encoded)
				bad[at] ^= 1 << bit
				d, got, err := decodeAll(bytes.NewReader(bad))
				if err == nil && d.checked && !bytes.Equal(got.Bytes(), noise(40)) {
					t.Errorf("%s: bit %d of byte %d turned over is not seen", name, bit, at)
				}
			}
		}
	}
}

func TestLargeWindowsAreRefused(t *testing.T) {
	if testing.Short() {
		t.Skip("one file after another")
	}
	descriptor := func(log, mantissa byte) []byte {
		frame := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x04, (log-10)<<3 | mantissa}
		return append(frame, 0x01, 0x00, 0x00, 0x99, 0xe9, 0xd8, 0x51) // an empty last block, and the checksum of nothing
	}
	single := func(size uint64) []byte {
		frame := []byte{0x28, 0xb5, 0x2f, 0xfd, 0xe4}
		frame = binary.LittleEndian.AppendUint64(frame, size)
		return append(frame, 0x01, 0x00, 0x00, 0, 0, 0, 0)
	}
	if d, _, err := decodeAll(bytes.NewReader(descriptor(27, 0))); err != nil || !d.checked {
		t.Errorf("128 MiB: %+v, %v", d, err)
	}
	for name, frame := range map[string][]byte{"144 MiB": descriptor(27, 1), "256 MiB": descriptor(28, 0), "2 GiB": descriptor(31, 0),
		"3.75 TiB": descriptor(41, 7), "one segment of 1 GiB": single(1 << 30), "one segment of 8 EiB": single(1 << 63)} {
		if _, _, err := decodeAll(bytes.NewReader(frame)); !errors.Is(err, unpack.ErrBomb) || errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestErrorsOfTheWireAreWrapped(t *testing.T) {
	broken := errors.New("the wire broke")
	for name, encode := range encoders {
		encoded := encode(t, noise(100000))
		for _, n := range []int{0, 1, 3, 4, 7, 20, 1000, len(encoded) - 1, len(encoded)} {
			_, _, err := decodeAll(io.MultiReader(bytes.NewReader(encoded[:n]), iotest.ErrReader(broken)))
			if !errors.Is(err, broken) {
				t.Errorf("%s broken at %d of %d: %v", name, n, len(encoded), err)
			}
		}
	}
}

// A wire counts its bytes and whether it was closed.
type wire struct {
	io.Reader
	read   int
	closed bool
}

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	w.read += n
	return n, err
}

func (w *wire) Close() error {
	w.closed = true
	return nil
}

// The wire must be read to its end, so that its verdict comes before that of the
// decoder. After a local error it is closed instead.
func TestTheWireIsReadToItsEndUnlessTheErrorIsLocal(t *testing.T) {
	corrupt := append(encodeGzip(t, noise(1<<20)), make([]byte, 1<<20)...)
	for name, tt := range map[string]struct {
		out    *file
		err    error
		closed bool
	}{
		"corrupt object": {&file{}, ErrCorrupt, false},
		"full disk":      {&file{max: 1000}, errFull, true},
	} {
		w := &wire{Reader: bytes.NewReader(corrupt)}
		_, err := Run(t.Context(), w, Target{Names: Names{Object: "a.csv", Base: "a.csv"}, Size: verify.Unknown, Workers: 1, Output: tt.out, Recover: recoverPanic})
		if !errors.Is(err, tt.err) || w.closed != tt.closed || !tt.closed && w.read != len(corrupt) {
			t.Errorf("%s: %v; %d bytes of %d were read, closed %v", name, err, w.read, len(corrupt), w.closed)
		}
	}
}

func TestErrorsOfTheOutputAreLocal(t *testing.T) {
	full, content := errors.New("disk full"), noise(3<<19)
	for name, encode := range encoders {
		for _, encoded := range [][]byte{encode(t, content), content} {
			s := &file{err: full}
			_, err := decode(bytes.NewReader(encoded), Names{Object: "a.csv", Base: "a.csv"}, s)
			if !errors.Is(err, full) || !IsLocal(err) || errors.Is(err, ErrCorrupt) || !s.closed {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	_, err := decode(bytes.NewReader(encodeGzip(t, nil)), Names{Object: "a.csv", Base: "a.csv"}, &file{createErr: full})
	if !errors.Is(err, full) || !IsLocal(err) || errors.Is(err, ErrCorrupt) {
		t.Errorf("a file that can't be created: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, encode := range encoders {
		f.Add(encode(f, []byte("a,b\n1,2\n")))
		f.Add(slices.Concat(skippable(3), encode(f, noise(5000))))
		f.Add(encode(f, make([]byte, 1<<20)))
	}
	f.Add([]byte("a,b\n"))
	f.Add(slices.Concat(encoders["zstd"](f, nil), []byte("\x28\xb5\x2f\xfd\x00\x98\x01\x00\x00"))) // a large window
	f.Fuzz(func(t *testing.T, encoded []byte) {
		_, err := decode(bytes.NewReader(encoded), Names{Object: "a.csv", Base: "a.csv"}, &file{max: 1 << 20})
		if kinds := []error{ErrCorrupt, unpack.ErrBomb, unpack.ErrUnsafeName, unpack.ErrEncrypted, errFull}; err != nil && !isOneOf(err, kinds) {
			t.Errorf("%v", err)
		}
	})
}
