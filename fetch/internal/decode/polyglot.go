package decode

import (
	"bytes"
	"fmt"

	"tallyman/fetch/internal/unpack"
)

// checkPolyglot refuses an object that was decoded as one format and is a zip to
// readers of zips, which look at the end of a file: the two would see two
// contents. It is called once the wire has ended. If the wire failed, its verdict
// counts instead.
//
// An object may well hold zips as content, and an encoder may have left one as it
// was, near the end. So a directory that readers find counts only if no content
// explains it, or if its end record is the end of the object.
func (d *decoding) checkPolyglot() error {
	if d.result.Codec == "" || d.result.Codec == "zip" || d.KeepWire {
		return nil
	}
	wire, size, err := d.Output.ReaderAt()
	if err != nil {
		return nil //nolint:nilerr // the wire failed: its verdict counts instead
	}
	isZip, atEnd, err := unpack.IsAlsoZip(localReaderAt{wire}, size)
	isContent := d.zips.found || d.result.Codec == "tar"
	if err != nil || !isZip || isContent && !atEnd {
		return err
	}
	return fmt.Errorf("decode %s: %w: it is a %s and a zip, with two contents", d.Names.Object, ErrCorrupt, d.result.Codec)
}

// zipEnd is the magic of the end record of a zip.
const zipEnd = "PK\x05\x06"

// A zipFinder reads content, and notes whether it holds the end record of a zip.
type zipFinder struct {
	found bool
	last  []byte // of what was read before, too short for the magic
}

// Write implements io.Writer and never fails.
func (f *zipFinder) Write(p []byte) (int, error) {
	if !f.found {
		n := len(zipEnd) - 1
		seam := append(f.last, p[:min(n, len(p))]...)
		f.found = bytes.Contains(p, []byte(zipEnd)) || bytes.Contains(seam, []byte(zipEnd))
		if len(p) >= n {
			seam = p
		}
		f.last = append(f.last[:0], seam[max(0, len(seam)-n):]...)
	}
	return len(p), nil
}
