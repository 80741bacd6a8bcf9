package fetch

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// magicSize is how many bytes tell what a frame is.
const magicSize = 4

// isSkippable knows a skippable frame, which zstd and lz4 share, by its first
// bytes.
func isSkippable(head []byte) bool {
	return len(head) >= magicSize && head[0]&0xf0 == 0x50 && string(head[1:4]) == "\x2a\x4d\x18"
}

// dropSkippable drops the skippable frames that are next, and reports whether
// there were any.
func dropSkippable(encoded *bufio.Reader) (any bool, err error) {
	for {
		head, err := encoded.Peek(magicSize + 4)
		if !isSkippable(head) {
			return any, nil // an error will come again
		}
		if err == nil {
			_, err = encoded.Discard(len(head) + int(binary.LittleEndian.Uint32(head[magicSize:])))
		}
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return true, err
		}
		any = true
	}
}

// always is the summer of a format that can't be without a checksum.
type always struct{}

func (always) Write(p []byte) (int, error) { return len(p), nil }
func (always) summed() bool                { return true }
func (always) greedy() error               { return nil }

// frames walks over encoded bytes, frame by frame and block by block, without
// decoding them: it gathers a header, says how many bytes to pass over, and
// goes on with the next.
type frames struct {
	need  int                    // bytes of the header to gather
	head  []byte                 // gathered
	skip  int64                  // bytes to pass over first
	next  func(head []byte) bool // takes the header and sets need, skip and next; false: not of the format
	all   bool                   // every frame so far had a checksum
	lost  bool
	count int
	asked uint64 // bytes of memory, at most
}

// Write implements io.Writer and never fails.
func (f *frames) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 && !f.lost {
		if f.skip > 0 {
			n := min(f.skip, int64(len(p)))
			f.skip -= n
			p = p[n:]
			continue
		}
		n := min(f.need-len(f.head), len(p))
		f.head = append(f.head, p[:n]...)
		p = p[n:]
		if len(f.head) == f.need {
			head := f.head
			f.head = f.head[:0]
			f.lost = !f.next(head)
		}
	}
	return total, nil
}

func (f *frames) summed() bool { return f.count > 0 && f.all && !f.lost }

// greedy is the error of a frame that asks for more memory than we promise.
func (f *frames) greedy() error {
	if f.asked <= maxWindow {
		return nil
	}
	return fmt.Errorf("asks for a window of %d bytes, over the limit of %d: %w", f.asked, maxWindow, ErrBomb)
}

func (f *frames) ask(memory uint64) { f.asked = max(f.asked, memory) }

func (f *frames) want(need int, next func([]byte) bool) bool {
	f.need, f.next = need, next
	return true
}

func (f *frames) frame(summed bool) {
	f.count++
	f.all = (f.all || f.count == 1) && summed
}

// skippable passes over a skippable frame and goes on with the next magic.
func (f *frames) skippable(magic func([]byte) bool) bool {
	return f.want(4, func(size []byte) bool {
		f.skip = int64(binary.LittleEndian.Uint32(size))
		return f.want(magicSize, magic)
	})
}

// zstdFrames walks zstd frames (RFC 8878).
type zstdFrames struct {
	frames
	trailer int64 // of this frame's checksum
}

func newZstdFrames() *zstdFrames {
	z := &zstdFrames{}
	z.want(magicSize, z.magic)
	return z
}

func (z *zstdFrames) magic(head []byte) bool {
	if isSkippable(head) {
		return z.skippable(z.magic)
	}
	if binary.LittleEndian.Uint32(head) != 0xfd2fb528 {
		return false
	}
	return z.want(1, z.descriptor)
}

func (z *zstdFrames) descriptor(head []byte) bool {
	d := head[0]
	single, size := d>>5&1 == 1, []int{0, 2, 4, 8}[d>>6]
	dictionary := []int64{0, 1, 2, 4}[d&3]
	z.trailer = int64(d >> 2 & 1 * 4)
	z.frame(z.trailer > 0)
	if single {
		z.skip = dictionary
		return z.want(max(size, 1), z.contentSize)
	}
	return z.want(1, func(window []byte) bool {
		z.skip = dictionary + int64(size)
		return z.window(window[0])
	})
}

// window takes a window descriptor: an exponent and eighths.
func (z *zstdFrames) window(d byte) bool {
	base := uint64(1) << (10 + d>>3)
	z.ask(base + base/8*uint64(d&7))
	return z.want(3, z.block)
}

// contentSize takes the size of a frame in one segment, which is its window.
func (z *zstdFrames) contentSize(head []byte) bool {
	var size [8]byte
	copy(size[:], head)
	z.ask(binary.LittleEndian.Uint64(size[:]))
	return z.want(3, z.block)
}

func (z *zstdFrames) block(head []byte) bool {
	h := uint32(head[0]) | uint32(head[1])<<8 | uint32(head[2])<<16
	last, kind := h&1 == 1, h>>1&3
	z.skip = int64(h >> 3)
	if kind == 1 {
		z.skip = 1 // one byte, repeated
	}
	if !last {
		return z.want(3, z.block)
	}
	z.skip += z.trailer
	return z.want(magicSize, z.magic)
}

// lz4Frames walks lz4 frames (lz4_Frame_format 1.6).
type lz4Frames struct {
	frames
	blockSum, trailer int64
}

func newLZ4Frames() *lz4Frames {
	l := &lz4Frames{}
	l.want(magicSize, l.magic)
	return l
}

func (l *lz4Frames) magic(head []byte) bool {
	if isSkippable(head) {
		return l.skippable(l.magic)
	}
	if binary.LittleEndian.Uint32(head) != 0x184d2204 {
		return false
	}
	return l.want(1, l.flags)
}

func (l *lz4Frames) flags(head []byte) bool {
	bit := func(n int) int64 { return int64(head[0] >> n & 1) }
	l.blockSum, l.trailer = 4*bit(4), 4*bit(2)
	l.skip = 1 + 8*bit(3) + 4*bit(0) + 1 // BD, content size, dictionary, header checksum
	l.frame(l.trailer > 0)
	return l.want(4, l.block)
}

func (l *lz4Frames) block(head []byte) bool {
	size := binary.LittleEndian.Uint32(head)
	if size == 0 { // the end; a block of no bytes has its highest bit set
		l.skip = l.trailer
		return l.want(magicSize, l.magic)
	}
	l.skip = int64(size&^(1<<31)) + l.blockSum
	return l.want(4, l.block)
}
