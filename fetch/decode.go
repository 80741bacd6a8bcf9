package fetch

import (
	"context"
	"io"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// A format is how an object is encoded: a codec, or a container that has to be
// whole to be read.
type format struct {
	name   string
	magic  string // its first bytes; names and declarations lie
	suffix string // of the name of a file that is so encoded; "" for containers
	decode func(context.Context, *decoding, io.Reader) error
	skips  bool // frames that are to be skipped may come first
}

// A summer watches encoded bytes and tells whether the codec's own checksum
// covered all of them, and whether a header asks for more memory than we
// promise.
type summer interface {
	io.Writer
	summed() bool
	greedy() error
}

// formats are tried in order.
var formats = []format{
	{"zstd", "\x28\xb5\x2f\xfd", ".zst", stream(openZstd, func() summer { return newZstdFrames() }), true},
	{"gzip", "\x1f\x8b", ".gz", stream(openGzip, func() summer { return always{} }), false},
	{"lz4", "\x04\x22\x4d\x18", ".lz4", stream(openLZ4, func() summer { return newLZ4Frames() }), true},
	{"zip", "PK\x03\x04", "", unzip, false},
	{"zip", "PK\x05\x06", "", unzip, false}, // without an entry
}

// codecSuffixes are the extensions of encoded files, SLS's .gzip among them.
var codecSuffixes = []string{".zst", ".zstd", ".gz", ".gzip", ".lz4"}

// suffixOf is the suffix of what is encoded so: "gzip" or "gzip+tar".
func suffixOf(codec string) string {
	codec, _, _ = strings.Cut(codec, "+")
	for _, f := range formats {
		if f.name == codec {
			return f.suffix
		}
	}
	return ""
}

// maxWindow is the largest window that a zstd frame may ask for: what
// --long=27 writes. Larger ones are for memory that we don't promise.
const maxWindow = 128 << 20

// zstdDecoders are worth keeping: objects may be many and small.
var zstdDecoders = sync.Pool{New: func() any {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
	if err != nil {
		panic(err) // the options are ours
	}
	return d
}}

func openZstd(r io.Reader) (io.Reader, func(), error) {
	d := zstdDecoders.Get().(*zstd.Decoder)
	if err := d.Reset(r); err != nil {
		return nil, nil, err
	}
	return d, func() {
		d.Reset(nil) // it lets go of r
		zstdDecoders.Put(d)
	}, nil
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
