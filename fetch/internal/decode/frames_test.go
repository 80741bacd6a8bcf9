package decode

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"tallyman/fetch/internal/memory"
)

// checkedAs reports whether a file is sound, and all of it is checked by the codec.
func checkedAs(codec string, file []byte) bool {
	f := formats[slices.IndexFunc(formats, func(f format) bool { return f.name == codec })]
	d, err := f.open(context.Background(), bytes.NewReader(file), memory.Account{})
	if err != nil {
		return false
	}
	defer d.release()
	_, err = io.Copy(io.Discard, d.Reader)
	return err == nil && d.allChecked()
}

// lz4Checked reports what the checker of lz4 says of a file that is written to it in
// pieces.
func lz4Checked(pieces ...[]byte) bool {
	c := newLZ4Checker()
	defer c.stop()
	for _, p := range pieces {
		c.Write(p)
	}
	return c.allChecked()
}

func TestZstdFilesAreCheckedIfEachFrameHasAChecksum(t *testing.T) {
	if testing.Short() {
		t.Skip("one file after another")
	}
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
					checkFrames(t, "zstd", with, without)
				}
			}
		}
	}
}

func TestLZ4FilesAreCheckedIfEachFrameHasAChecksum(t *testing.T) {
	if testing.Short() {
		t.Skip("one file after another")
	}
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
				checkFrames(t, "lz4", with, without)
			}
		}
	}
}

func checkFrames(t *testing.T, codec string, with, without []byte) {
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
		file := slices.Concat(tt.frames...)
		if got := checkedAs(codec, file); got != tt.want {
			t.Errorf("%s, of %d and %d bytes: %v", tt.name, len(with), len(without), got)
		}
	}
}

func TestLZ4CheckDoesNotDependOnTheSizeOfWrites(t *testing.T) {
	with, without := encodeLZ4(t, noise(200)), encodeLZ4(t, noise(200), lz4.ChecksumOption(false))
	for _, file := range [][]byte{slices.Concat(with, skippable(9), with), slices.Concat(with, without)} {
		want := lz4Checked(file)
		for i := range len(file) + 1 {
			if lz4Checked(file[:i], file[i:]) != want {
				t.Errorf("another result if split at %d of %d", i, len(file))
			}
		}
		if lz4Checked(slices.Collect(slices.Chunk(file, 1))...) != want {
			t.Error("another result byte by byte")
		}
	}
}

func TestLZ4CheckReadsOptionalHeaderFields(t *testing.T) {
	sum := []byte{1, 2, 3, 4}
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

func FuzzLZ4Frames(f *testing.F) {
	file := encodeLZ4(f, noise(300))
	f.Add(file, 7)
	f.Add(slices.Concat(skippable(9), file, file), 1)
	f.Add(binary.LittleEndian.AppendUint32(nil, 0x184d2a50), 2)
	f.Fuzz(func(t *testing.T, file []byte, at int) {
		at = max(0, min(at, len(file)))
		if lz4Checked(file) != lz4Checked(file[:at], file[at:]) {
			t.Errorf("another result if split at %d", at)
		}
	})
}
