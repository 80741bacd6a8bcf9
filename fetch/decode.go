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
	name  string
	magic string // its first bytes; names and declarations lie
	open  func(io.Reader) (io.Reader, func(), error)
	sums  func() summer
}

// A summer watches encoded bytes and tells whether the codec's own checksum
// covered all of them.
type summer interface {
	io.Writer
	summed() bool
}

// codecs are tried in order.
var codecs = []codec{
	{"zstd", "\x28\xb5\x2f\xfd", openZstd, func() summer { return newZstdFrames() }},
	{"gzip", "\x1f\x8b", openGzip, func() summer { return always{} }},
	{"lz4", "\x04\x22\x4d\x18", openLZ4, func() summer { return newLZ4Frames() }},
}

// codecSuffixes are the extensions of encoded files, SLS's .gzip among them.
var codecSuffixes = []string{".zst", ".zstd", ".gz", ".gzip", ".lz4"}

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
	c, err := codecOf(encoded)
	if err != nil {
		return decoded{}, corrupt(err)
	}
	out, err := create()
	if err != nil {
		return decoded{}, err
	}
	if c == nil {
		return decoded{}, errors.Join(pass(out, encoded), out.Close())
	}
	summed, err := c.decode(out, encoded)
	return decoded{c.name, summed}, errors.Join(err, out.Close())
}

// codecOf is nil for what is not encoded. It drops the skippable frames that
// some encoders put first, since zstd and lz4 share them.
func codecOf(encoded *bufio.Reader) (*codec, error) {
	skipped, err := dropSkippable(encoded)
	if err != nil {
		return nil, err
	}
	head, err := encoded.Peek(magicSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	for i, c := range codecs {
		if bytes.HasPrefix(head, []byte(c.magic)) || skipped && len(head) == 0 {
			return &codecs[i], nil
		}
	}
	if skipped {
		return nil, errStray
	}
	return nil, nil
}

var errStray = errors.New("what follows a skippable frame is no frame")

func (c codec) decode(out io.Writer, encoded io.Reader) (summed bool, err error) {
	sums := c.sums()
	content, closeContent, err := c.open(io.TeeReader(encoded, sums))
	if err != nil {
		return false, corrupt(err)
	}
	defer closeContent()
	ahead := readAhead(content)
	defer ahead.Close()
	if err := pass(out, ahead); err != nil {
		return false, err
	}
	return sums.summed(), nil
}

// pass copies, and tells apart which side failed.
func pass(out io.Writer, in io.Reader) error {
	w := &failing{Writer: out}
	_, err := io.CopyBuffer(w, in, make([]byte, 64<<10))
	switch {
	case w.err != nil:
		return w.err
	case err == io.EOF: // from a WriterTo that had been read to its end before
		return nil
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
