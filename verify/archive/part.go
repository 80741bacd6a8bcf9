package archive

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/crc64"
	"io"
	"iter"
	"math"
	"slices"
	"sort"
	"strconv"
	"sync"
	"time"

	"tallyman/verify"
)

// A Part is a range of an object's bytes that one goroutine receives in order.
// The received bytes are listed in the part index every 256 KiB, a fifth of a second
// after they came, when the part is complete, and when the Partial is closed. Later
// attempts don't request bytes that are listed there.
type Part struct {
	partial  *Partial
	off      int64
	size     int64       // verify.Unknown: to the end of the object
	n        int64       // received; written under the partial's lock
	indexed  int64       // of them in the part index
	since    time.Time   // when the index was last written, or the first byte came
	complete bool        // all of it is received and indexed
	crc      hash.Hash64 // of the bytes that are not in the index
}

// defaultIndexEvery is how many bytes of each part a process loses at most that
// is killed. Where bytes come slowly, it loses those of the last indexInterval.
const (
	defaultIndexEvery = 256 << 10
	indexInterval     = 200 * time.Millisecond
)

var errTooMany = errors.New("more bytes than were requested")

// Remaining is the range that the part still lacks: its offset in the object and
// its size, which is verify.Unknown if it reaches to the object's end.
func (p *Part) Remaining() (off, n int64) {
	if p.size == verify.Unknown {
		return p.off + p.n, verify.Unknown
	}
	return p.off + p.n, p.size - p.n
}

// Write adds the next bytes of the part. More than Remaining says are an error,
// and none of them are written. It writes up to the next index entry at a time,
// and then the entry if it is time for one. A part of unknown size gets none
// before its end: a later attempt would take the piece for the whole object.
func (p *Part) Write(b []byte) (written int, err error) {
	partial, known := p.partial, p.size != verify.Unknown
	if known && p.n+int64(len(b)) > p.size {
		return 0, fmt.Errorf("write %d bytes at %d of %s: %w", len(b), p.off+p.n, partial.name, errTooMany)
	}
	for err == nil && written < len(b) {
		next := b[written:]
		if known {
			next = next[:min(int64(len(next)), p.indexed+partial.indexEvery-p.n)]
		}
		var n int
		n, err = receivedBytes{partial}.WriteAt(next, p.off+p.n)
		written += n
		p.crc.Write(next[:n])
		partial.mu.Lock()
		p.n += int64(n)
		partial.moved.Broadcast()
		partial.mu.Unlock()
		partial.reserved.spend(int64(n))
		now := time.Now()
		if p.since.IsZero() {
			p.since = now
		}
		switch {
		case err != nil || !known: // no entry
		case p.n == p.size:
			err = p.End()
		case p.n == p.indexed+partial.indexEvery || now.Sub(p.since) > indexInterval:
			err = p.addToIndex()
		}
	}
	return written, err
}

// End completes a part whose size was not known, when the store has no more
// bytes of it. A part of known size that lacks bytes is io.ErrUnexpectedEOF.
func (p *Part) End() error {
	if p.complete {
		return nil
	}
	if p.n < p.size {
		return fmt.Errorf("end %s at %d: %w", p.partial.name, p.off+p.n, io.ErrUnexpectedEOF)
	}
	if err := p.addToIndex(); err != nil {
		return err
	}
	p.partial.mu.Lock()
	defer p.partial.mu.Unlock()
	p.size, p.complete = p.n, true
	p.partial.moved.Broadcast()
	return nil
}

// addToIndex lists the received bytes that are not in the part index yet.
func (p *Part) addToIndex() error {
	n := p.n - p.indexed
	if n == 0 {
		return nil
	}
	crc := strconv.FormatUint(p.crc.Sum64(), 10)
	if err := p.partial.addToIndex(partEntry{Off: p.off + p.indexed, Len: n, CRC64: crc}); err != nil {
		return err
	}
	p.indexed, p.since = p.n, time.Now()
	p.crc.Reset()
	return nil
}

// parts are the parts of an object, ordered by offset. They don't overlap.
type parts []*Part

// after is the index of the first part that has received bytes behind off.
func (ps parts) after(off int64) int {
	return sort.Search(len(ps), func(i int) bool { return ps[i].off+ps[i].n > off })
}

// add adds an entry of the part index as a complete part, unless it overlaps
// another. Adjacent parts become one, so that their number is that of the missing
// ranges, or one more.
func (ps *parts) add(partial *Partial, e partEntry) {
	from, off, n := ps.after(e.Off), e.Off, e.Len
	to := from // ps[from:to] are the parts that become one with it
	if to < len(*ps) {
		next := (*ps)[to]
		switch {
		case off+n > next.off:
			return
		case off+n == next.off:
			n += next.n
			to++
		}
	}
	if from > 0 {
		if last := (*ps)[from-1]; last.off+last.n == off {
			off, n = last.off, last.n+n
			from--
		}
	}
	*ps = slices.Replace(*ps, from, to, &Part{partial: partial, off: off, size: n, n: n, indexed: n, complete: true})
}

// Missing yields the missing ranges of an object of that size, in order, as
// parts of at most partSize bytes that end at multiples of it. The caller must
// fill each part that it gets. If size is verify.Unknown, the only part is the
// whole object.
func (p *Partial) Missing(size, partSize int64) iter.Seq[*Part] {
	return func(yield func(*Part) bool) {
		for off := int64(0); ; {
			part := &Part{partial: p, off: off, size: verify.Unknown, crc: crc64.New(crc64.MakeTable(crc64.ECMA))}
			p.mu.Lock()
			i := sort.Search(len(p.parts), func(i int) bool { return p.parts[i].off+p.parts[i].size > off })
			for ; i < len(p.parts) && p.parts[i].off <= part.off; i++ {
				part.off = p.parts[i].off + p.parts[i].size
			}
			end := size
			if i < len(p.parts) {
				end = p.parts[i].off
			}
			found := part.off < end
			switch {
			case size == verify.Unknown:
				found = len(p.parts) == 0
			case found:
				part.size = min(partSize-part.off%partSize, end-part.off)
			}
			if found {
				p.parts = slices.Insert(p.parts, i, part)
			}
			off = part.off + part.size
			p.mu.Unlock()
			if !found || !yield(part) {
				return
			}
		}
	}
}

// partIndexSuffix ends the names of part indexes.
const partIndexSuffix = ".map"

// A partEntry is a line of a part index: a range that was received. The first
// line has Store, and says what the store and the job promised of the object, for
// which hidden part of the reference, and whether it is all that the export has.
type partEntry struct {
	Store  *Promise `json:"store,omitempty"`
	Job    Promise  `json:"job,omitzero"`
	Hidden string   `json:"hidden,omitempty"`
	Single bool     `json:"single,omitempty"`
	Off    int64    `json:"off"`
	Len    int64    `json:"len"`
	CRC64  string   `json:"crc64,omitempty"`
}

// readPartIndex yields the lines of a part index that are valid JSON. Lines
// before the first promise of a store mean nothing and are left out. It ends
// after the first error.
func readPartIndex(r io.Reader) iter.Seq2[partEntry, error] {
	return func(yield func(partEntry, error) bool) {
		begun := false
		lines := bufio.NewScanner(r)
		lines.Buffer(nil, math.MaxInt) // a power cut may leave a long line of zeros
		for lines.Scan() {
			var e partEntry
			if json.Unmarshal(lines.Bytes(), &e) != nil {
				continue
			}
			begun = begun || e.Store != nil
			if begun && !yield(e, nil) {
				return
			}
		}
		if lines.Err() != nil {
			yield(partEntry{}, lines.Err())
		}
	}
}

// addToIndex adds a line to the part index.
func (p *Partial) addToIndex(e partEntry) error {
	if p.index == nil { // the object is in memory
		return nil
	}
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if err := p.in.archive.step("write", p.index.Name()); err != nil {
		return err
	}
	if _, err := p.index.Write(slices.Concat([]byte("\n"), line, []byte("\n"))); err != nil {
		return fmt.Errorf("write the part index of %s: %w", p.name, err)
	}
	return nil
}

// isIn reports whether the entry lies in an object of that size. An object whose
// size is not known has one entry, from its beginning.
func (e partEntry) isIn(size int64) bool {
	if size == verify.Unknown {
		return e.Off == 0 && e.Len > 0
	}
	return e.Off >= 0 && e.Len > 0 && e.Len <= size-e.Off
}

var buffers = sync.Pool{New: func() any { return new([128 << 10]byte) }}

// matches hashes the bytes that the entry lists, and reports whether they are in
// the file.
func (e partEntry) matches(file io.ReaderAt) bool {
	buffer := buffers.Get().(*[128 << 10]byte)
	defer buffers.Put(buffer)
	crc := crc64.New(crc64.MakeTable(crc64.ECMA))
	n, err := io.CopyBuffer(crc, io.NewSectionReader(file, e.Off, e.Len), buffer[:])
	return err == nil && n == e.Len && strconv.FormatUint(crc.Sum64(), 10) == e.CRC64
}
