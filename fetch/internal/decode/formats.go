package decode

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// A format is how an object is encoded.
type format struct {
	name     string
	magic    string   // the first bytes
	suffixes []string // of the names of such files, the usual one first; none for a container

	// open returns the decoder of a codec, and a function that releases it. It is
	// nil for a zip.
	open func(io.Reader) (decoder io.Reader, release func(), err error)

	// frame follows one frame behind its magic. It is nil for a format that always
	// has a checksum of all content, and needs little memory.
	frame func(*frameChecker)

	// skippable says that skippable frames may precede the magic.
	skippable bool
}

// formats are the formats that are decoded. The first whose magic fits is taken.
var formats = []format{
	{
		name: "zstd", magic: "\x28\xb5\x2f\xfd", suffixes: []string{".zst", ".zstd"}, frame: zstdFrame, skippable: true,
		open: func(r io.Reader) (io.Reader, func(), error) {
			d := zstdDecoders.Get().(*zstd.Decoder)
			if err := d.Reset(r); err != nil {
				return nil, nil, err
			}
			return d, func() {
				d.Reset(nil) // so that it keeps no reference to r
				zstdDecoders.Put(d)
			}, nil
		},
	},
	{
		name: "gzip", magic: "\x1f\x8b", suffixes: []string{".gz", ".gzip"},
		open: func(r io.Reader) (io.Reader, func(), error) {
			d, err := gzip.NewReader(r)
			if err != nil {
				return nil, nil, err
			}
			return d, func() { d.Close() }, nil
		},
	},
	{
		name: "lz4", magic: "\x04\x22\x4d\x18", suffixes: []string{".lz4"}, frame: lz4Frame, skippable: true,
		open: func(r io.Reader) (io.Reader, func(), error) { return lz4.NewReader(r), func() {}, nil },
	},
	{name: "zip", magic: "PK\x03\x04"},
	{name: "zip", magic: "PK\x05\x06"}, // without entries
	{name: "zip", magic: "PK\x06\x06"}, // without entries, but with zip64 records
}

// maxWindow is the largest window that a zstd frame may need: that of
// "zstd --long=27". A larger one needs more memory than is promised.
const maxWindow = 128 << 20

// zstdDecoders are reused, since there may be many small objects.
var zstdDecoders = sync.Pool{New: func() any {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderLowmem(true))
	if err != nil {
		panic(err) // the options are constants
	}
	return d
}}

// detectFormat returns the format of an object, or nil if it is not encoded. It
// discards skippable frames at the start, which some encoders write: zstd and
// lz4 have the same ones.
func detectFormat(encoded *bufio.Reader) (*format, error) {
	skipped := false
	for {
		head, err := encoded.Peek(magicSize + 4)
		if !isSkippable(head) {
			break // the next read returns the error, if there is one
		}
		if err == nil {
			_, err = encoded.Discard(len(head) + int(binary.LittleEndian.Uint32(head[magicSize:])))
		}
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
		skipped = true
	}
	head, err := encoded.Peek(magicSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	for i, f := range formats {
		if skipped && !f.skippable {
			continue
		}
		if bytes.HasPrefix(head, []byte(f.magic)) || skipped && len(head) == 0 {
			return &formats[i], nil
		}
	}
	if skipped {
		return nil, errNoFrame
	}
	return nil, nil
}

var errNoFrame = errors.New("no frame follows a skippable frame")

// cutCodecSuffix splits a name before the suffix of a codec. The suffix is "" if
// the name has none.
func cutCodecSuffix(name string) (rest, suffix string) {
	extension := path.Ext(name)
	if len(extension) >= len(path.Base(name)) {
		return name, "" // a name, not an extension
	}
	for _, f := range formats {
		if slices.Contains(f.suffixes, strings.ToLower(extension)) {
			return strings.TrimSuffix(name, extension), extension
		}
	}
	return name, ""
}

// decodeStream decodes a codec while the wire is read.
func (d *decoding) decodeStream(ctx context.Context, f *format, encoded io.Reader) error {
	frames := newFrameChecker(f)
	defer frames.stop()
	content, release, err := f.open(io.TeeReader(encoded, frames))
	if err != nil {
		return cmp.Or(frames.windowError(), err)
	}
	defer release()
	content = io.TeeReader(content, &d.zips)
	ahead := readAhead(ctx, &limitedReader{d: d, content: content, encoded: frames}, d.Size, d.Recover)
	err = d.writeContent(ctx, ahead)
	if IsLocal(err) {
		d.wire.Close() // or ahead.Close would wait for the wire's next bytes
	}
	ahead.Close() // after this, frames does not change
	if err != nil && !IsLocal(err) {
		err = cmp.Or(frames.windowError(), err)
	}
	d.result.Checked = err == nil && (f.frame == nil || frames.allChecked())
	return err
}
