package unpack

import (
	"bufio"
	"errors"
	"io"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"
)

// A decoder decodes one entry after another.
type decoder interface {
	Reset(*bufio.Reader) error
	io.WriterTo
	Close()
}

const (
	methodStored  = 0
	methodDeflate = 8
	methodZstd    = 93
)

// methods are the compression methods of a zip that we decode.
var methods = map[uint16]func() (decoder, error){
	methodStored:  func() (decoder, error) { return &stored{}, nil },
	methodDeflate: func() (decoder, error) { return newDeflate(), nil },
	methodZstd:    newZstd,
}

type stored struct{ *bufio.Reader }

func (s *stored) Reset(in *bufio.Reader) error {
	s.Reader = in
	return nil
}

func (s *stored) Close() {}

type deflate struct {
	flate.Resetter
	io.WriterTo
}

func newDeflate() deflate {
	d := flate.NewReader(nil)
	return deflate{d.(flate.Resetter), d.(io.WriterTo)}
}

func (d deflate) Reset(in *bufio.Reader) error { return d.Resetter.Reset(in, nil) }
func (d deflate) Close()                       {}

// maxWindow is the largest window that a zstd frame may ask for: what
// --long=27 writes. Each goroutine that meets one has that much in memory.
const maxWindow = 128 << 20

type zstandard struct{ *zstd.Decoder }

func newZstd() (decoder, error) {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
	return zstandard{d}, err
}

func (z zstandard) Reset(in *bufio.Reader) error { return z.Decoder.Reset(in) }

func (z zstandard) WriteTo(w io.Writer) (int64, error) {
	n, err := z.Decoder.WriteTo(w)
	if errors.Is(err, zstd.ErrWindowSizeExceeded) {
		return n, bomb("zstd window is over the limit of %d bytes", maxWindow)
	}
	return n, err
}
