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
}

// NewZstd returns the content of the frames of in, which may have skippable ones
// among them. Once ctx has ended, what waits for memory fails with its cause. The
// caller closes it.
func NewZstd(ctx context.Context, in *bufio.Reader, account Account) *Zstd {
	return &Zstd{ctx: ctx, in: in, account: account}
}

// Reset begins with the content of another input. The memory is kept.
func (z *Zstd) Reset(in *bufio.Reader) {
	z.in, z.inFrame, z.err = in, false, nil
}

// Read implements io.Reader. A frame whose window is too large is a *WindowError.
func (z *Zstd) Read(p []byte) (n int, err error) {
	for n == 0 && len(p) > 0 && z.begin() {
		n, err = z.loan.decoder.Read(p)
		z.end(err)
	}
	if n > 0 || len(p) == 0 {
		return n, nil
	}
	return 0, z.err
}

// WriteTo implements io.WriterTo. Its errors are those of Read and of w.
func (z *Zstd) WriteTo(w io.Writer) (n int64, err error) {
	for z.begin() {
		m, err := z.loan.decoder.WriteTo(w)
		n += m
		z.end(cmp.Or(err, io.EOF))
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
		z.account.budget().give(l)
	}
}

// begin begins the next frame, unless one is being read. It reports whether there
// is one to read, and sets z.err if not.
func (z *Zstd) begin() bool {
	if !z.inFrame && z.err == nil {
		z.err = z.next()
	}
	return z.err == nil
}

// end ends the frame if decoding it ended with an error. io.EOF is the end of the
// frame.
func (z *Zstd) end(err error) {
	z.inFrame = err == nil
	if err != nil && !errors.Is(err, io.EOF) {
		z.err = err
	}
}

// next skips skippable frames, takes memory for the frame behind them, and begins
// it. It returns io.EOF if there is none.
func (z *Zstd) next() error {
	var header zstd.Header
	for {
		head, err := z.in.Peek(zstd.HeaderMaxSize)
		if err != nil && (len(head) == 0 || !errors.Is(err, io.EOF)) {
			return err
		}
		if err := header.Decode(head); err != nil {
			return err
		}
		if !header.Skippable {
			break
		}
		if _, err := z.in.Discard(header.HeaderSize + int(header.SkippableSize)); err != nil {
			return unexpectedEOF(err)
		}
	}
	if err := z.takeMemory(header); err != nil {
		return err
	}
	z.inFrame = true
	return z.loan.decoder.Reset(&frame{in: z.in, left: int64(header.HeaderSize), checksum: header.HasCheckSum})
}

// takeMemory takes memory for a frame, and a decoder that holds it.
func (z *Zstd) takeMemory(header zstd.Header) error {
	window := header.WindowSize
	if header.SingleSegment { // the window is all of the content
		window = header.FrameContentSize
	}
	budget := z.account.budget()
	if limit := min(MaxWindow, budget.limit); window > uint64(limit) {
		return &WindowError{window, limit}
	}
	bytes := min(max(int64(window), smallWindow)+perDecoder, budget.limit)
	if z.loan != nil && z.loan.bytes >= bytes && !budget.isShort() {
		return nil
	}
	z.Close()
	l, err := budget.take(z.ctx, &request{bytes: bytes, decoder: true}, z.account.OnWait)
	if err != nil {
		return err
	}
	if l.decoder == nil {
		l.decoder = newDecoder()
	}
	z.loan = l
	return nil
}

// newDecoder returns a decoder that uses no goroutine, and so has one window and
// one block.
func newDecoder() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(MaxWindow), zstd.WithDecoderLowmem(true))
	if err != nil {
		panic(err) // the options are constants
	}
	return d
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

// Read implements io.Reader.
func (f *frame) Read(p []byte) (int, error) {
	for f.left == 0 {
		if err := f.nextBlock(); err != nil {
			return 0, err
		}
	}
	n, err := f.in.Read(p[:min(int64(len(p)), f.left)])
	f.left -= int64(n)
	return n, unexpectedEOF(err)
}

// nextBlock sets how many bytes the next block has with its header, or the checksum
// behind the last one (RFC 8878).
func (f *frame) nextBlock() error {
	switch {
	case f.ended || f.last && !f.checksum:
		return io.EOF
	case f.last:
		f.left, f.ended = 4, true
		return nil
	}
	head, err := f.in.Peek(3)
	if err != nil {
		return unexpectedEOF(err)
	}
	bits := int64(head[0]) | int64(head[1])<<8 | int64(head[2])<<16
	f.last = bits&1 == 1
	f.left = int64(len(head)) + bits>>3
	if repeatsOneByte := bits>>1&3 == 1; repeatsOneByte {
		f.left = int64(len(head)) + 1
	}
	return nil
}

func unexpectedEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
