package decode

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// noise returns n bytes of text that compresses to about half.
func noise(n int) []byte {
	r := rand.New(rand.NewPCG(3, 4))
	b := make([]byte, n)
	for i := range b {
		b[i] = "abcdefghij,klmn\n"[r.IntN(16)]
	}
	return b
}

func encodeZstd(t testing.TB, content []byte, options ...zstd.EOption) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b, append([]zstd.EOption{zstd.WithZeroFrames(true), zstd.WithEncoderConcurrency(1)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	return closed(t, &b, w, content)
}

// encodeLZ4 writes small blocks, since the decoder allocates a whole one.
func encodeLZ4(t testing.TB, content []byte, options ...lz4.Option) []byte {
	t.Helper()
	var b bytes.Buffer
	w := lz4.NewWriter(&b)
	if err := w.Apply(append([]lz4.Option{lz4.BlockSizeOption(lz4.Block64Kb)}, options...)...); err != nil {
		t.Fatal(err)
	}
	return closed(t, &b, w, content)
}

func encodeGzip(t testing.TB, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Name, w.Comment, w.Extra = "export.csv", "a comment", []byte("extra")
	return closed(t, &b, w, content)
}

func closed(t testing.TB, b *bytes.Buffer, w io.WriteCloser, content []byte) []byte {
	t.Helper()
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// skippable returns a skippable frame of n bytes, which zstd and lz4 share.
func skippable(n int) []byte {
	head := binary.LittleEndian.AppendUint32(nil, 0x184d2a50+uint32(n%16))
	return slices.Concat(binary.LittleEndian.AppendUint32(head, uint32(n)), bytes.Repeat([]byte{0x28}, n))
}

// encoders encode with each codec, with a checksum of the content.
var encoders = map[string]func(t testing.TB, content []byte) []byte{
	"zstd": func(t testing.TB, content []byte) []byte { return encodeZstd(t, content) },
	"gzip": encodeGzip,
	"lz4":  func(t testing.TB, content []byte) []byte { return encodeLZ4(t, content) },
}
