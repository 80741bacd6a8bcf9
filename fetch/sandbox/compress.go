package sandbox

import (
	"bytes"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

type codec struct {
	extension string
	writer    func(io.Writer) io.WriteCloser
}

// codecs are those of the vendor's compressionType.
var codecs = map[string]codec{
	"none": {"", func(w io.Writer) io.WriteCloser { return plain{w} }},
	"zstd": {".zst", zstdWriter},
	"gzip": {".gzip", func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }},
	"lz4":  {".lz4", lz4Writer},
}

// Compress returns content as codec (zstd, gzip, lz4, none) makes of it, with
// the codec's own checksum over the content. It panics on any other codec.
func Compress(codec string, content []byte) []byte {
	c, ok := codecs[codec]
	if !ok {
		panic("sandbox: no codec " + codec)
	}
	var b bytes.Buffer
	w := c.writer(&b)
	w.Write(content)
	w.Close()
	return b.Bytes()
}

func zstdWriter(w io.Writer) io.WriteCloser {
	return must(zstd.NewWriter(w, zstd.WithEncoderCRC(true), zstd.WithEncoderConcurrency(1), zstd.WithZeroFrames(true)))
}

func lz4Writer(w io.Writer) io.WriteCloser {
	z := lz4.NewWriter(w)
	if err := z.Apply(lz4.ChecksumOption(true)); err != nil {
		panic(err)
	}
	return z
}

type plain struct{ io.Writer }

func (plain) Close() error { return nil }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
