package decode

import (
	"bytes"
	stdgzip "compress/gzip"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"tallyman/fetch/internal/memory"
)

// plainDecoders are the decoders of the libraries without our checks, by codec.
var plainDecoders = map[string]func(io.Reader) (io.Reader, error){
	"gzip": func(r io.Reader) (io.Reader, error) { return stdgzip.NewReader(r) },
	"lz4":  func(r io.Reader) (io.Reader, error) { return lz4.NewReader(r), nil },
	"zstd": func(r io.Reader) (io.Reader, error) {
		return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(memory.MaxWindow))
	},
}

// fewFiles is how many files of a corpus are seeds. Each costs time at every
// start.
const fewFiles = 40

// codecFiles returns small files from the test data of the codecs.
func codecFiles(f *testing.F) (files [][]byte) {
	for _, set := range []string{"good", "bad", "comp-crashers", "decode-regression"} {
		path := testdataOf(f, compressModule, "zstd/testdata")
		if _, err := os.Stat(filepath.Join(path, set+".zip")); err != nil {
			continue
		}
		all := entriesOf(f, filepath.Join(path, set+".zip"))
		files = append(files, few(all)...)
	}
	for module, pattern := range map[string]string{lz4Module: "testdata/*.lz4", compressModule: "gzip/testdata/*.gz"} {
		names, _ := filepath.Glob(filepath.Join(testdataOf(f, module, "."), pattern))
		all := map[string][]byte{}
		for _, name := range names {
			if b, err := os.ReadFile(name); err == nil {
				all[name] = b
			}
		}
		files = append(files, few(all)...)
	}
	return files
}

func few(all map[string][]byte) (files [][]byte) {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if b := all[name]; len(b) < 10_000 && len(files) < fewFiles {
			files = append(files, b)
		}
	}
	return files
}

// Decoding agrees with the plain decoder of the codec. If a bit flips in a file
// whose checksums cover all of it, the content is not accepted.
func FuzzDecodeAgreesWithPlainDecoders(f *testing.F) {
	for _, file := range codecFiles(f) {
		f.Add(file, uint32(len(file)*4))
	}
	for _, codec := range slices.Sorted(maps.Keys(encoders)) {
		one := encoders[codec](f, noise(300))
		f.Add(one, uint32(70))
		f.Add(slices.Concat(one, skippable(9), one), uint32(8*len(one)))
	}
	f.Add(encodeZstd(f, noise(300), zstd.WithEncoderCRC(false)), uint32(90))
	f.Fuzz(func(t *testing.T, encoded []byte, bit uint32) {
		got, content, err := decodeBounded(encoded)
		if err != nil || got.codec == "" || plainDecoders[got.codec] == nil {
			return
		}
		if want, err := plainContent(got.codec, encoded); err != nil || !bytes.Equal(content, want) {
			t.Errorf("%s: %d bytes, the plain decoder has %d, %v", got.codec, len(content), len(want), err)
		}
		flipped := bytes.Clone(encoded)
		flipped[int(bit/8)%len(flipped)] ^= 1 << (bit % 8)
		again, other, err := decodeBounded(flipped)
		if err == nil && got.checked && again.checked && again.codec == got.codec && !bytes.Equal(other, content) {
			t.Errorf("bit %d of %s is missed: %d bytes, then %d", bit, got.codec, len(content), len(other))
		}
	})
}

// decodeBounded decodes to a megabyte at most.
func decodeBounded(encoded []byte) (outcome, []byte, error) {
	f := &file{max: 1 << 20}
	d, err := decode(bytes.NewReader(encoded), Names{Object: "a.csv", Base: "a.csv"}, f)
	return d, f.Bytes(), err
}

// plainContent decodes a file with the plain decoder of its codec.
func plainContent(codec string, encoded []byte) ([]byte, error) {
	r, err := plainDecoders[codec](bytes.NewReader(encoded))
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(r)
	if closer, ok := r.(*zstd.Decoder); ok {
		closer.Close()
	}
	return content, err
}
