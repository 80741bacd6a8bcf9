package decode

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// checked reports what a frame checker says of a file that is written to it in
// pieces.
func checked(codec string, pieces ...[]byte) bool {
	f := &formats[slices.IndexFunc(formats, func(f format) bool { return f.name == codec })]
	c := newFrameChecker(f)
	defer c.stop()
	for _, p := range pieces {
		c.Write(p)
	}
	return c.allChecked()
}

func zstdChecked(pieces ...[]byte) bool { return checked("zstd", pieces...) }

func lz4Checked(pieces ...[]byte) bool { return checked("lz4", pieces...) }

func TestZstdFilesAreCheckedIfEachFrameHasAChecksum(t *testing.T) {
	for _, size := range []int{0, 1, 255, 256, 257, 65535, 65536 + 256, 300000} {
		levels := []zstd.EncoderLevel{zstd.SpeedFastest, zstd.SpeedDefault}
		if size > 100000 {
			levels = append(levels, zstd.SpeedBestCompression) // whose encoder takes long to make
		}
		for _, level := range levels {
			for _, single := range []bool{true, false} {
				for _, content := range [][]byte{noise(size), make([]byte, size)} {
					options := []zstd.EOption{zstd.WithEncoderLevel(level), zstd.WithSingleSegment(single), zstd.WithWindowSize(1 << 19)}
					with := encodeZstd(t, content, append(options, zstd.WithEncoderCRC(true))...)
					without := encodeZstd(t, content, append(options, zstd.WithEncoderCRC(false))...)
					checkFrames(t, zstdChecked, with, without)
				}
			}
		}
	}
}

func TestLZ4FilesAreCheckedIfEachFrameHasAChecksum(t *testing.T) {
	for _, size := range []int{0, 1, 65535, 65536, 65537, 300000} {
		for _, content := range [][]byte{noise(size), make([]byte, size)} {
			for _, options := range [][]lz4.Option{
				{lz4.BlockSizeOption(lz4.Block64Kb)},
				{lz4.BlockSizeOption(lz4.Block4Mb), lz4.BlockChecksumOption(true)},
				{lz4.SizeOption(uint64(size)), lz4.BlockChecksumOption(true), lz4.BlockSizeOption(lz4.Block64Kb)},
				{lz4.CompressionLevelOption(lz4.Level9), lz4.SizeOption(uint64(size))},
			} {
				with := encodeLZ4(t, content, append(options, lz4.ChecksumOption(true))...)
				without := encodeLZ4(t, content, append(options, lz4.ChecksumOption(false))...)
				checkFrames(t, lz4Checked, with, without)
			}
		}
	}
}

func checkFrames(t *testing.T, walk func(...[]byte) bool, with, without []byte) {
	t.Helper()
	for _, tt := range []struct {
		name   string
		frames [][]byte
		want   bool
	}{
		{"with", [][]byte{with}, true},
		{"without", [][]byte{without}, false},
		{"with and with", [][]byte{with, with}, true},
		{"with and without", [][]byte{with, without}, false},
		{"without and with", [][]byte{without, with}, false},
		{"without and with and with", [][]byte{without, with, with}, false},
		{"skippable around", [][]byte{skippable(7), with, skippable(0), with, skippable(70000)}, true},
		{"skippable and without", [][]byte{skippable(7), without}, false},
		{"garbage behind", [][]byte{with, []byte("garbage")}, false},
		{"nothing", nil, false},
	} {
		if got := walk(slices.Concat(tt.frames...)); got != tt.want {
			t.Errorf("%s, of %d and %d bytes: %v", tt.name, len(with), len(without), got)
		}
	}
}

func TestFrameCheckDoesNotDependOnTheSizeOfWrites(t *testing.T) {
	for name, tt := range map[string]struct {
		checked       func(...[]byte) bool
		with, without []byte
	}{
		"zstd": {zstdChecked, encodeZstd(t, noise(200)), encodeZstd(t, noise(200), zstd.WithEncoderCRC(false))},
		"lz4":  {lz4Checked, encodeLZ4(t, noise(200)), encodeLZ4(t, noise(200), lz4.ChecksumOption(false))},
	} {
		for _, file := range [][]byte{slices.Concat(tt.with, skippable(9), tt.with), slices.Concat(tt.with, tt.without)} {
			want := tt.checked(file)
			for i := range len(file) + 1 {
				if tt.checked(file[:i], file[i:]) != want {
					t.Errorf("%s: another result if split at %d of %d", name, i, len(file))
				}
			}
			if tt.checked(slices.Collect(slices.Chunk(file, 1))...) != want {
				t.Errorf("%s: another result byte by byte", name)
			}
		}
	}
}

func TestFrameCheckReadsOptionalHeaderFields(t *testing.T) {
	block := []byte{0x09, 0x00, 0x00, 'a'} // the last one, raw, of a byte
	sum := []byte{1, 2, 3, 4}
	for flag, id := range map[byte]int{1: 1, 2: 2, 3: 4} {
		for fcs, size := range map[byte]int{0: 0, 1: 2, 2: 4, 3: 8} {
			for _, single := range []byte{0, 1} {
				extra := id + size
				if single == 0 || size == 0 {
					extra++ // the window descriptor, or a content size of one byte
				}
				head := append([]byte{0x28, 0xb5, 0x2f, 0xfd, flag | 4 | single<<5 | fcs<<6}, make([]byte, extra)...)
				frame := slices.Concat(head, block, sum)
				if !zstdChecked(frame, frame) {
					t.Errorf("zstd with descriptor %08b: lost", head[4])
				}
			}
		}
	}
	for _, flags := range []byte{0x64, 0x65, 0x6c, 0x6d, 0x74, 0x7d} {
		extra := int(flags>>3&1)*8 + int(flags&1)*4
		head := append([]byte{0x04, 0x22, 0x4d, 0x18, flags, 0x40}, make([]byte, extra+1)...)
		data := append([]byte{1, 0, 0, 0x80, 'a'}, make([]byte, int(flags>>4&1)*4)...)
		empty := append([]byte{0, 0, 0, 0x80}, make([]byte, int(flags>>4&1)*4)...)
		frame := slices.Concat(head, data, empty, data, []byte{0, 0, 0, 0}, sum)
		if !lz4Checked(frame, frame) {
			t.Errorf("lz4 with flags %08b: lost", flags)
		}
	}
}

func FuzzZstdFrames(f *testing.F) { fuzzFrames(f, encodeZstd(f, noise(300)), zstdChecked) }

func FuzzLZ4Frames(f *testing.F) { fuzzFrames(f, encodeLZ4(f, noise(300)), lz4Checked) }

func fuzzFrames(f *testing.F, file []byte, walk func(...[]byte) bool) {
	f.Add(file, 7)
	f.Add(slices.Concat(skippable(9), file, file), 1)
	f.Add(binary.LittleEndian.AppendUint32(nil, 0x184d2a50), 2)
	f.Fuzz(func(t *testing.T, file []byte, at int) {
		at = max(0, min(at, len(file)))
		if walk(file) != walk(file[:at], file[at:]) {
			t.Errorf("another result if split at %d", at)
		}
	})
}
