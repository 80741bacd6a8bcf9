package memory

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

const (
	// MaxWindow is the largest window that a zstd frame may have: that of
	// "zstd --long=27".
	MaxWindow = 128 << 20

	smallWindow = 1 << 20 // what a decoder gets for a smaller window too, so that small frames share decoders
	perDecoder  = 1 << 20 // what a decoder needs besides the window
)

// A WindowError says that a zstd frame needs a window over a limit.
type WindowError struct {
	Window uint64
	Limit  int64 // of the budget, or MaxWindow if that is less
}

// Error says how large both are.
func (e *WindowError) Error() string {
	return fmt.Sprintf("needs a window of %d bytes, over the limit of %d bytes", e.Window, e.Limit)
}

// A Zstd is the content of zstd frames. It takes the memory for a frame when the
// frame begins. It keeps it for the frames that follow, if it is enough for them
// and nobody waits for it. Only one goroutine may use a Zstd at a time.
type Zstd struct {
	ctx     context.Context
	in      *bufio.Reader
	account Account
	loan    *loan // nil before the first frame
	inFrame bool
	err     error // that ended the content

	frames, unchecked int // that were begun; of them, those without a checksum
}

// NewZstd returns the content of the frames of in, which may have skippable ones
// among them. Once ctx has ended, what waits for memory fails with its cause. The
// caller closes it.
func NewZstd(ctx context.Context, in *bufio.Reader, account Account) *Zstd {
	account.Budget = cmp.Or(account.Budget, defaultBudget)
	return &Zstd{ctx: ctx, in: in, account: account}
}

// Reset begins with the content of another input. The memory is kept.
func (z *Zstd) Reset(in *bufio.Reader) {
	z.in, z.inFrame, z.err = in, false, nil
	z.frames, z.unchecked = 0, 0
}

// Read implements io.Reader. A frame whose window is too large is a *WindowError.
func (z *Zstd) Read(p []byte) (n int, _ error) {
	for n == 0 && len(p) > 0 && z.begin() {
		n, z.err = z.loan.decoder.Read(p)
		if errors.Is(z.err, io.EOF) {
			z.inFrame, z.err = false, nil
		}
	}
	if n > 0 || len(p) == 0 {
		return n, nil
	}
	return 0, z.err
}

// WriteTo implements io.WriterTo. Its errors are those of Read and of w.
func (z *Zstd) WriteTo(w io.Writer) (n int64, err error) {
	for z.begin() {
		var m int64
		m, z.err = z.loan.decoder.WriteTo(w)
		n += m
		z.inFrame = false
	}
	if errors.Is(z.err, io.EOF) {
		return n, nil
	}
	return n, z.err
}

// Close gives back the memory. It may be called twice.
func (z *Zstd) Close() {
	if l := z.loan; l != nil {
		z.loan = nil         // so that nothing refers to the decoder, which may be collected now
		l.decoder.Reset(nil) // and the decoder not to the input
		z.account.Budget.give(l)
	}
}

// AllChecked reports whether there was a frame, and every frame that was read has a
// checksum.
func (z *Zstd) AllChecked() bool { return z.frames > 0 && z.unchecked == 0 }

// begin begins the next frame, unless one is being read: it skips skippable frames
// and takes memory. It reports whether there is a frame to read, and sets z.err if
// not, to io.EOF at the end.
func (z *Zstd) begin() bool {
	for !z.inFrame && z.err == nil {
		var header zstd.Header
		head, err := z.in.Peek(zstd.HeaderMaxSize)
		if len(head) > 0 && errors.Is(err, io.EOF) { // a short frame, the last one
			err = nil
		}
		if err == nil {
			err = header.Decode(head)
		}
		switch {
		case err != nil:
		case header.Skippable:
			_, err = z.in.Discard(header.HeaderSize + int(header.SkippableSize))
			err = unexpectedEOF(err)
		default:
			if err = z.takeMemory(header); err == nil {
				err = z.loan.decoder.Reset(&frame{in: z.in, left: int64(header.HeaderSize), checksum: header.HasCheckSum})
			}
			z.inFrame = true
			z.frames++
			if !header.HasCheckSum {
				z.unchecked++
			}
		}
		z.err = err
	}
	return z.err == nil
}

// takeMemory takes memory for a frame, and a decoder that holds it.
func (z *Zstd) takeMemory(header zstd.Header) error {
	window := header.WindowSize
	if header.SingleSegment { // the window is all of the content
		window = header.FrameContentSize
	}
	budget := z.account.Budget
	if limit := min(MaxWindow, budget.Limit); window > uint64(limit) {
		return &WindowError{window, limit}
	}
	bytes := min(max(int64(window), smallWindow)+perDecoder, budget.Limit)
	if z.loan != nil && z.loan.bytes >= bytes && !budget.isShort() {
		return nil
	}
	z.Close()
	l, err := budget.take(z.ctx, &request{bytes: bytes, decoder: true}, z.account.OnWait)
	if err != nil {
		return err
	}
	if l.decoder == nil { // with no goroutine, it has one window and one block
		l.decoder, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(MaxWindow), zstd.WithDecoderLowmem(true))
		if err != nil {
			panic(err) // the options are constants
		}
	}
	z.loan = l
	return nil
}

// A frame reads one frame of its input, so that the decoder can't begin the next
// one, whose window may be larger.
type frame struct {
	in       *bufio.Reader
	left     int64 // bytes until the next header of a block, or until the end
	checksum bool  // whether one follows the last block
	last     bool  // whether the block is the last one
	ended    bool
}

// Read implements io.Reader. Before each block it reads the size of that with its
// header, and after the last one it goes on to the checksum (RFC 8878).
func (f *frame) Read(p []byte) (int, error) {
	for f.left == 0 {
		switch {
		case f.ended || f.last && !f.checksum:
			return 0, io.EOF
		case f.last:
			f.left, f.ended = 4, true
			continue
		}
		head, err := f.in.Peek(3)
		if err != nil {
			return 0, unexpectedEOF(err)
		}
		bits := int64(head[0]) | int64(head[1])<<8 | int64(head[2])<<16
		f.last = bits&1 == 1
		f.left = int64(len(head)) + bits>>3
		if repeatsOneByte := bits>>1&3 == 1; repeatsOneByte {
			f.left = int64(len(head)) + 1
		}
	}
	n, err := f.in.Read(p[:min(int64(len(p)), f.left)])
	f.left -= int64(n)
	return n, unexpectedEOF(err)
}

func unexpectedEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
