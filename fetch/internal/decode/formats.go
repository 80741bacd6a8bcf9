package decode

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/pierrec/lz4/v4"

	"tallyman/fetch/internal/memory"
)

// A format is how an object is encoded.
type format struct {
	name     string
	magic    string   // the first bytes
	suffixes []string // of the names of such files, the usual one first; none for a container

	// open returns the decoder of a codec, and a function that releases it. It is
	// nil for a zip. A decoder that needs much memory takes it from the account, and
	// waits for it until ctx ends.
	open func(ctx context.Context, encoded io.Reader, account memory.Account) (decoder io.Reader, release func(), err error)

	// frame follows one frame behind its magic. It is nil for a format that always
	// has a checksum of all content.
	frame func(*frameChecker)

	// skippable says that skippable frames may precede the magic.
	skippable bool
}

// formats are the formats that are decoded. The first whose magic fits is taken.
var formats = []format{
	{
		name: "zstd", magic: "\x28\xb5\x2f\xfd", suffixes: []string{".zst", ".zstd"}, frame: zstdFrame, skippable: true,
		open: func(ctx context.Context, r io.Reader, account memory.Account) (io.Reader, func(), error) {
			encoded, giveBack := borrowReader(r)
			d := memory.NewZstd(ctx, encoded, account)
			return d, func() { d.Close(); giveBack() }, nil
		},
	},
	{
		name: "gzip", magic: "\x1f\x8b", suffixes: []string{".gz", ".gzip"},
		open: func(_ context.Context, r io.Reader, _ memory.Account) (io.Reader, func(), error) {
			d, err := gzip.NewReader(r)
			if err != nil {
				return nil, nil, err
			}
			return d, func() { d.Close() }, nil
		},
	},
	{
		name: "lz4", magic: "\x04\x22\x4d\x18", suffixes: []string{".lz4"}, frame: lz4Frame, skippable: true,
		open: func(ctx context.Context, r io.Reader, account memory.Account) (io.Reader, func(), error) {
			release, err := account.Take(ctx, lz4Memory)
			return lz4.NewReader(r), release, err
		},
	},
	{name: "zip", magic: "PK\x03\x04"},
	{name: "zip", magic: "PK\x05\x06"}, // without entries
	{name: "zip", magic: "PK\x06\x06"}, // without entries, but with zip64 records
}

// lz4Memory is what the decoder of an lz4 needs: a block of the largest size,
// encoded and decoded.
const lz4Memory = 2 * 4 << 20

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
	waiting, stop := context.WithCancel(ctx) // for memory
	defer stop()
	content, release, err := f.open(waiting, io.TeeReader(encoded, frames), d.Memory)
	if err != nil {
		return err
	}
	defer release()
	content = io.TeeReader(content, &d.zips)
	ahead := readAhead(ctx, &limitedReader{d: d, content: content, encoded: frames}, d.Size, d.Recover)
	err = d.writeContent(ctx, ahead)
	if IsLocal(err) {
		d.wire.Close() // or ahead.Close would wait for the wire's next bytes
	}
	stop()
	ahead.Close() // after this, frames does not change
	d.result.Checked = err == nil && (f.frame == nil || frames.allChecked())
	return err
}
