package archive

import (
	"errors"
	"fmt"
	"hash"
	"hash/crc64"
	"io"
	"strconv"

	"tallyman/verify"
)

// A Part is bytes of an object that are received by one goroutine, in order.
// Writing the last of them makes the part whole: it is then on the map, and
// no later attempt asks for it again.
type Part struct {
	partial *Partial
	off     int64
	size    int64 // verify.Unknown: to the end of the object
	n       int64 // received; written under the partial's lock
	whole   bool
	crc     hash.Hash64
}

var errTooMany = errors.New("more bytes than were asked for")

// Rest is what the part still lacks: where it begins and how many bytes it is,
// or verify.Unknown if all to the object's end.
func (t *Part) Rest() (off, n int64) {
	if t.size == verify.Unknown {
		return t.off + t.n, verify.Unknown
	}
	return t.off + t.n, t.size - t.n
}

// Write keeps the next bytes of the part.
func (t *Part) Write(b []byte) (int, error) {
	if t.size != verify.Unknown && t.n+int64(len(b)) > t.size {
		return 0, fmt.Errorf("write %d bytes at %d of %s: %w", len(b), t.off+t.n, t.partial.name, errTooMany)
	}
	disk := t.partial.in.archive.disk
	if err := disk.begin("write", t.partial.file.Name()); err != nil {
		return 0, err
	}
	n, err := t.partial.file.WriteAt(b, t.off+t.n)
	t.crc.Write(b[:n])
	t.partial.advance(t, int64(n))
	if err == nil && t.n == t.size {
		err = t.End()
	}
	return n, err
}

// End makes the part whole as it is: for one whose size was not known, when
// the store has no more bytes of it.
func (t *Part) End() error {
	if t.whole {
		return nil
	}
	if t.n < t.size {
		return fmt.Errorf("end %s at %d: %w", t.partial.name, t.off+t.n, io.ErrUnexpectedEOF)
	}
	entry := mapEntry{Off: t.off, Len: t.n, CRC64: strconv.FormatUint(t.crc.Sum64(), 10)}
	if err := t.partial.mark(entry); err != nil {
		return err
	}
	t.partial.whole(t)
	return nil
}

func (p *Partial) advance(t *Part, n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t.n += n
	p.moved.Broadcast()
}

func (p *Partial) whole(t *Part) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t.size, t.whole = t.n, true
	p.moved.Broadcast()
}

// checkPart hashes a part that the map claims to be here.
func checkPart(file io.ReaderAt, e mapEntry) bool {
	crc := crc64.New(verify.ECMA)
	n, err := io.Copy(crc, io.NewSectionReader(file, e.Off, e.Len))
	return err == nil && n == e.Len && strconv.FormatUint(crc.Sum64(), 10) == e.CRC64
}
