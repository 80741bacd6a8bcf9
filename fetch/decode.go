package fetch

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/klauspost/readahead"
	"github.com/pierrec/lz4/v4"
)

// A codec is a compression format.
type codec struct {
	name string
	is   func(head []byte) bool // by the first bytes; names and declarations lie
	open func(io.Reader) (io.Reader, func(), error)
	sums func() summer
}

// A summer watches encoded bytes and tells whether the codec's own checksum
// covered all of them.
type summer interface {
	io.Writer
	summed() bool
}

// codecs are tried in order.
var codecs = []codec{
	{"zstd", isZstd, openZstd, func() summer { return newZstdFrames() }},
	{"gzip", magic("\x1f\x8b"), openGzip, func() summer { return always{} }},
	{"lz4", magic("\x04\x22\x4d\x18"), openLZ4, func() summer { return newLZ4Frames() }},
}

// codecSuffixes are the extensions of encoded files, SLS's .gzip among them.
var codecSuffixes = []string{".zst", ".zstd", ".gz", ".gzip", ".lz4"}

// headSize is how many bytes tell the format.
const headSize = 4

func magic(m string) func([]byte) bool {
	return func(head []byte) bool { return bytes.HasPrefix(head, []byte(m)) }
}

// isZstd knows a frame, and a skippable frame as some encoders put first.
func isZstd(head []byte) bool {
	return magic("\x28\xb5\x2f\xfd")(head) ||
		len(head) >= 4 && head[0]&0xf0 == 0x50 && bytes.Equal(head[1:4], []byte("\x2a\x4d\x18"))
}

// maxWindow is the largest window that a zstd frame may ask for: what
// --long=27 writes. Larger ones are for memory that we don't promise.
const maxWindow = 128 << 20

func openZstd(r io.Reader) (io.Reader, func(), error) {
	d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, nil, err
	}
	return d, d.Close, nil
}

func openGzip(r io.Reader) (io.Reader, func(), error) {
	d, err := gzip.NewReader(r)
	if err != nil {
		return nil, nil, err
	}
	return d, func() { d.Close() }, nil
}

func openLZ4(r io.Reader) (io.Reader, func(), error) {
	return lz4.NewReader(r), func() {}, nil
}

// decoded tells how an object was decoded.
type decoded struct {
	codec  string
	summed bool // the codec's own checksum proved all of it
}

// decode decodes an object into a content file. An error of the format, or of
// the wire below it, is ErrCorrupt: which of the two it was, the wire tells.
// Any other is a failure to write.
func decode(wire io.Reader, object named, create func(name, declared string) (io.WriteCloser, error)) (decoded, error) {
	d, err := decodeInto(wire, func() (io.WriteCloser, error) { return create(object.file(), object.Content) })
	if err != nil {
		return decoded{}, fmt.Errorf("decode %s: %w", object.Name, err)
	}
	return d, nil
}

func decodeInto(wire io.Reader, create func() (io.WriteCloser, error)) (decoded, error) {
	encoded := bufio.NewReaderSize(wire, 64<<10)
	head, err := encoded.Peek(headSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return decoded{}, corrupt(err)
	}
	out, err := create()
	if err != nil {
		return decoded{}, err
	}
	var d decoded
	if c := codecOf(head); c != nil {
		d.codec = c.name
		d.summed, err = c.decode(out, encoded)
	} else {
		err = pass(out, encoded)
	}
	return d, errors.Join(err, out.Close())
}

// codecOf is nil for what is not encoded.
func codecOf(head []byte) *codec {
	for i, c := range codecs {
		if c.is(head) {
			return &codecs[i]
		}
	}
	return nil
}

func (c codec) decode(out io.Writer, encoded io.Reader) (bool, error) {
	sums := c.sums()
	content, closeContent, err := c.open(io.TeeReader(encoded, sums))
	if err != nil {
		return false, corrupt(err)
	}
	defer closeContent()
	ahead := readAhead(content)
	defer ahead.Close()
	err = pass(out, ahead)
	return sums.summed(), err
}

// pass copies, and tells apart which side failed.
func pass(out io.Writer, in io.Reader) error {
	w := &failing{Writer: out}
	_, err := io.CopyBuffer(w, in, make([]byte, 64<<10))
	if w.err != nil {
		return w.err
	}
	return corrupt(err)
}

type failing struct {
	io.Writer
	err error
}

func (f *failing) Write(p []byte) (int, error) {
	n, err := f.Writer.Write(p)
	f.err = err
	return n, err
}

func corrupt(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, err)
}

// readAhead reads in a goroutine of its own, so that what is before it and
// what is behind it run at once. The caller closes it, having ended r.
func readAhead(r io.Reader) io.ReadCloser {
	ahead, err := readahead.NewReaderSize(r, 4, 256<<10)
	if err != nil {
		panic(err) // the sizes are constants
	}
	return ahead
}
