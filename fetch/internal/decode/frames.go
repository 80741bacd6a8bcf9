package decode

import (
	"encoding/binary"
	"iter"
)

// magicSize is the length of the magic of a frame, in bytes.
const magicSize = 4

// isSkippable reports whether a frame that begins with head is a skippable one.
// zstd and lz4 have the same skippable frames.
func isSkippable(head []byte) bool {
	return len(head) >= magicSize && head[0]&0xf0 == 0x50 && string(head[1:4]) == "\x2a\x4d\x18"
}

// lz4Magic is the magic of an lz4 frame.
const lz4Magic = "\x04\x22\x4d\x18"

// An lz4Checker sees the encoded bytes of an lz4 on their way to its decoder, which
// does not tell what it checks. It follows their frames without decoding them, to see
// which have a checksum.
//
// The bytes come by Write, but the functions that follow a frame read them from
// top to bottom. So they run as a coroutine: Write resumes it, and it goes back
// to Write when it needs more bytes. stop must be called in the end.
type lz4Checker struct {
	frames    int
	unchecked bool // a frame has no checksum
	lost      bool // what came is no frame

	in     []byte // what Write brought and was not read yet
	head   []byte // what next returned
	resume func() (struct{}, bool)
	stop   func()
	wait   func(struct{}) bool // goes back to Write; false: stopped
}

func newLZ4Checker() *lz4Checker {
	c := &lz4Checker{}
	c.resume, c.stop = iter.Pull(func(yield func(struct{}) bool) {
		c.wait = yield
		for !c.lost {
			switch magic := c.next(magicSize); {
			case isSkippable(magic):
				c.skip(int64(binary.LittleEndian.Uint32(c.next(4))))
			case string(magic) == lz4Magic:
				c.frame()
			default:
				c.lost = true
			}
		}
	})
	return c
}

// Write implements io.Writer and never fails.
func (c *lz4Checker) Write(p []byte) (int, error) {
	c.in = p
	c.resume()
	return len(p), nil
}

// next reads n bytes, which are good until the next call. Once the checker is
// stopped, it returns zeros.
func (c *lz4Checker) next(n int) []byte {
	c.head = c.head[:0]
	for len(c.head) < n {
		m := min(n-len(c.head), len(c.in))
		c.head = append(c.head, c.in[:m]...)
		c.in = c.in[m:]
		if len(c.head) < n && !c.wait(struct{}{}) {
			c.lost = true
			return make([]byte, n)
		}
	}
	return c.head
}

// skip passes over n bytes.
func (c *lz4Checker) skip(n int64) {
	for n > 0 && !c.lost {
		m := min(n, int64(len(c.in)))
		n -= m
		c.in = c.in[m:]
		c.lost = n > 0 && !c.wait(struct{}{})
	}
}

// allChecked reports whether there was a frame, and every frame had a checksum.
func (c *lz4Checker) allChecked() bool { return c.frames > 0 && !c.unchecked && !c.lost }

// frame follows a frame behind its magic (lz4_Frame_format 1.6).
func (c *lz4Checker) frame() {
	flags := c.next(1)[0]
	flag := func(n int) int64 { return int64(flags >> n & 1) }
	blockChecksum, checksum := 4*flag(4), 4*flag(2)
	c.frames++
	c.unchecked = c.unchecked || checksum == 0
	c.skip(1 + 8*flag(3) + 4*flag(0) + 1) // block sizes, content size, dictionary, checksum of the header
	for !c.lost {
		size := binary.LittleEndian.Uint32(c.next(4))
		if size == 0 { // the end: an empty block has its highest bit set
			break
		}
		c.skip(int64(size&^(1<<31)) + blockChecksum)
	}
	c.skip(checksum)
}
