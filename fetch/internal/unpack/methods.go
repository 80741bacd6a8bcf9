package unpack

import (
	"bufio"
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

// Reset tells the window of the first frame from blocks that are larger than
// theirs, which to the decoder are the same.
func (z zstandard) Reset(in *bufio.Reader) error {
	var h zstd.Header
	head, _ := in.Peek(zstd.HeaderMaxSize) // a failure will come again
	if h.Decode(head) == nil && window(h) > maxWindow {
		return bomb("zstd window of %d bytes is over the limit of %d bytes", window(h), maxWindow)
	}
	return z.Decoder.Reset(in)
}

// window is that of a frame: of one in a single segment, all of it.
func window(h zstd.Header) uint64 {
	if h.SingleSegment {
		return h.FrameContentSize
	}
	return h.WindowSize
}
