package decode

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
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

	// open returns the decoder of a codec. It is nil for a zip. A decoder that needs
	// much memory takes it from the account, and waits for it until ctx ends.
	open func(ctx context.Context, encoded io.Reader, account memory.Account) (decoder, error)

	// skippable says that skippable frames may precede the magic.
	skippable bool
}

// A decoder is the content of what a codec encoded.
type decoder struct {
	io.Reader
	release    func()      // gives back its memory, once nobody reads it
	allChecked func() bool // whether checksums of the codec cover all that was read
}

// formats are the formats that are decoded. The first whose magic fits is taken.
var formats = []format{
	{
		name: "zstd", magic: "\x28\xb5\x2f\xfd", suffixes: []string{".zst", ".zstd"}, skippable: true,
		open: func(ctx context.Context, r io.Reader, account memory.Account) (decoder, error) {
			encoded, giveBack := borrowReader(r)
			d := memory.NewZstd(ctx, encoded, account)
			return decoder{d, func() { d.Close(); giveBack() }, d.AllChecked}, nil
		},
	},
	{
		name: "gzip", magic: "\x1f\x8b", suffixes: []string{".gz", ".gzip"},
		open: func(_ context.Context, r io.Reader, _ memory.Account) (decoder, error) {
			d, err := gzip.NewReader(r)
			if err != nil {
				return decoder{}, err
			}
			return decoder{d, func() { d.Close() }, func() bool { return true }}, nil
		},
	},
	{
		name: "lz4", magic: lz4Magic, suffixes: []string{".lz4"}, skippable: true,
		open: func(ctx context.Context, r io.Reader, account memory.Account) (decoder, error) {
			giveBack, err := account.Take(ctx, lz4Memory)
			if err != nil {
				return decoder{}, err
			}
			frames := newLZ4Checker()
			return decoder{lz4.NewReader(io.TeeReader(r, frames)), func() { frames.stop(); giveBack() }, frames.allChecked}, nil
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
// lz4 have the same ones. Of an object that is kept as it is they are content.
func (d *decoding) detectFormat(encoded *bufio.Reader) (*format, error) {
	skipped := false
	for {
		head, err := encoded.Peek(magicSize + 4)
		if !isSkippable(head) || !d.opens(&formats[0]) {
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
	waiting, stop := context.WithCancel(ctx) // for memory
	defer stop()
	counted := &io.LimitedReader{R: encoded, N: math.MaxInt64}
	codec, err := f.open(waiting, counted, d.Memory)
	if err != nil {
		return err
	}
	defer codec.release()
	content := io.TeeReader(codec, &d.zips)
	ahead := readAhead(ctx, &limitedReader{d: d, content: content, encoded: counted}, d.Size, d.Recover)
	err = d.writeContent(ctx, ahead)
	if IsLocal(err) {
		d.wire.Close() // or ahead.Close would wait for the wire's next bytes
	}
	stop()
	ahead.Close() // after this, nobody reads the codec
	d.result.Checked = err == nil && codec.allChecked()
	return err
}
