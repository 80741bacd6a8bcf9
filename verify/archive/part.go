package archive

import (
	"cmp"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"
	"time"

	"tallyman/verify"
)

// A Part is bytes of an object that are received by one goroutine, in order.
// What was written of it goes on the map a stride at a time, and the rest when
// the part is whole or the Partial is closed: no later attempt asks for what is
// on the map.
type Part struct {
	partial *Partial
	off     int64
	size    int64     // verify.Unknown: to the end of the object
	n       int64     // received; written under the partial's lock
	marked  int64     // of them on the map
	since   time.Time // the last mark, or the first byte
	whole   bool
	crc     hash.Hash64 // of those that are not
}

// stride is how much of each part that is being received a process loses that
// is killed. Where bytes come slowly it is less: what came in the last while.
const (
	stride = 256 << 10
	while  = 200 * time.Millisecond
)

func (p *Partial) stride() int64 { return cmp.Or(p.in.archive.stride, stride) }

var errTooMany = errors.New("more bytes than were asked for")

// Remaining is what the part still lacks: where it begins and how many bytes it is,
// or verify.Unknown if all to the object's end.
func (t *Part) Remaining() (off, n int64) {
	if t.size == verify.Unknown {
		return t.off + t.n, verify.Unknown
	}
	return t.off + t.n, t.size - t.n
}

// Write keeps the next bytes of the part.
func (t *Part) Write(b []byte) (written int, err error) {
	if t.size != verify.Unknown && t.n+int64(len(b)) > t.size {
		return 0, fmt.Errorf("write %d bytes at %d of %s: %w", len(b), t.off+t.n, t.partial.name, errTooMany)
	}
	for err == nil && len(b) > 0 {
		var n int
		n, err = t.write(b[:t.beforeMark(len(b))])
		written += n
		b = b[n:]
	}
	return written, err
}

// beforeMark is how many of the next n bytes are written before those that
// are here go on the map. Of an object of unknown size a piece would be taken
// for all of it.
func (t *Part) beforeMark(n int) int64 {
	if t.size == verify.Unknown {
		return int64(n)
	}
	return min(int64(n), t.marked+t.partial.stride()-t.n)
}

func (t *Part) write(b []byte) (int, error) {
	disk := t.partial.in.archive.disk
	if err := disk.begin("write", t.partial.file.Name()); err != nil {
		return 0, err
	}
	n, err := t.partial.file.WriteAt(b, t.off+t.n)
	t.crc.Write(b[:n])
	t.partial.advance(t, int64(n))
	t.partial.claim.spend(int64(n))
	switch {
	case err != nil:
	case t.n == t.size:
		err = t.End()
	case t.beforeMark(1) == 0 || t.overdue():
		err = t.mark()
	}
	return n, err
}

// overdue reports whether what came is long here without being on the map.
func (t *Part) overdue() bool {
	now := time.Now()
	if t.since.IsZero() {
		t.since = now
	}
	return t.size != verify.Unknown && now.Sub(t.since) > while
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
	if err := t.mark(); err != nil {
		return err
	}
	t.partial.whole(t)
	return nil
}

// leave marks what is here of a part that is not whole.
func (t *Part) leave() error {
	if t.whole || t.size == verify.Unknown {
		return nil
	}
	return t.mark()
}

// mark puts on the map what is not on it.
func (t *Part) mark() error {
	n := t.n - t.marked
	if n == 0 {
		return nil
	}
	crc := strconv.FormatUint(t.crc.Sum64(), 10)
	if err := t.partial.mark(mapEntry{Off: t.off + t.marked, Len: n, CRC64: crc}); err != nil {
		return err
	}
	t.marked, t.since = t.n, time.Now()
	t.crc.Reset()
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
