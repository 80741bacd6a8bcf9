package memory

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"
)

// rawFrame returns a zstd frame with a window of 2^log bytes and one raw block.
func rawFrame(log byte, content string) []byte {
	block := len(content)<<3 | 1 // the last one
	frame := []byte{0x28, 0xb5, 0x2f, 0xfd, 0, (log - 10) << 3, byte(block), byte(block >> 8), byte(block >> 16)}
	return append(frame, content...)
}

func encode(t testing.TB, content []byte, options ...zstd.EOption) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b, append(options, zstd.WithEncoderConcurrency(1))...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(content); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

var skippable = []byte("\x5a\x2a\x4d\x18\x03\x00\x00\x00xyz")

// contentOf reads the content of a file in both ways, which must agree.
func contentOf(t testing.TB, file []byte, budget *Budget) ([]byte, error) {
	t.Helper()
	z := NewZstd(t.Context(), bufio.NewReader(bytes.NewReader(file)), Account{Budget: budget})
	read, err := io.ReadAll(iotest.HalfReader(z))
	z.Reset(bufio.NewReader(iotest.OneByteReader(bytes.NewReader(file))))
	var written bytes.Buffer
	_, writeErr := z.WriteTo(&written)
	if z.Close(); (err == nil) != (writeErr == nil) || err == nil && !bytes.Equal(read, written.Bytes()) {
		t.Errorf("%d bytes read, %v; %d bytes written, %v", len(read), err, written.Len(), writeErr)
	}
	return read, err
}

func TestAllFramesAreRead(t *testing.T) {
	if testing.Short() {
		t.Skip("it decodes much")
	}
	long := bytes.Repeat([]byte("1,two\n"), 100_000)
	var files [][]byte
	for _, checksum := range []bool{true, false} {
		for _, single := range []bool{true, false} {
			files = append(files, encode(t, long, zstd.WithEncoderCRC(checksum), zstd.WithSingleSegment(single)))
		}
	}
	files = append(files, encode(t, nil, zstd.WithZeroFrames(true)), rawFrame(20, "raw"), nil)
	for i, file := range files {
		want, err := contentOf(t, file, nil)
		if err != nil {
			t.Fatal(i, err)
		}
		for j, other := range files {
			more, _ := contentOf(t, other, nil)
			got, err := contentOf(t, slices.Concat(skippable, file, skippable, other), nil)
			if err != nil || !bytes.Equal(got, slices.Concat(want, more)) {
				t.Errorf("%d and %d: %d bytes of %d, %v", i, j, len(got), len(want)+len(more), err)
			}
		}
	}
}

func TestAFrameThatIsCutShortIsAnError(t *testing.T) {
	file := slices.Concat(rawFrame(20, "one"), skippable, encode(t, []byte(strings.Repeat("two", 100))))
	whole := []int{0, len(rawFrame(20, "one")), len(rawFrame(20, "one")) + len(skippable)}
	for n := range len(file) {
		if _, err := contentOf(t, file[:n], nil); (err == nil) != slices.Contains(whole, n) {
			t.Errorf("%d of %d bytes: %v", n, len(file), err)
		}
	}
	if _, err := contentOf(t, append(file, "garbage"...), nil); !errors.Is(err, zstd.ErrMagicMismatch) {
		t.Errorf("garbage behind: %v", err)
	}
}

func TestAWindowOverTheLimitIsRefused(t *testing.T) {
	for _, tt := range []struct {
		limit int64
		log   byte
		fits  bool
	}{
		{DefaultLimit, 27, true}, {DefaultLimit, 28, false}, {1 << 40, 28, false}, {1 << 40, 41, false},
		{16 << 20, 23, true}, {16 << 20, 24, true}, {16 << 20, 25, false}, // one of 16 MiB gets all
	} {
		_, err := contentOf(t, slices.Concat(rawFrame(20, "a"), rawFrame(tt.log, "b")), &Budget{Limit: tt.limit})
		if _, refused := errors.AsType[*WindowError](err); refused == tt.fits || tt.fits && err != nil {
			t.Errorf("2^%d bytes, of %d: %v", tt.log, tt.limit, err)
		}
	}
}

// Each file has frames with small and large windows, of which only one fits at a
// time, in an order of its own.
func TestFramesWithSeveralWindowsDoNotDeadlock(t *testing.T) {
	budget := &Budget{Limit: 40 << 20}
	logs := []byte{20, 25, 23, 24, 25, 20, 22, 25}
	var group sync.WaitGroup
	for i := range logs {
		group.Go(func() {
			var file []byte
			var want string
			for j := range 5 * len(logs) {
				content := fmt.Sprint(i, j, "\n")
				want += content
				file = slices.Concat(file, rawFrame(logs[(i+j)%len(logs)], content), skippable)
			}
			if got, err := contentOf(t, file, budget); err != nil || string(got) != want {
				t.Errorf("%q, %v, want %q", got, err, want)
			}
		})
	}
	group.Wait()
}

func TestALoanIsKeptForFramesThatFit(t *testing.T) {
	budget := &Budget{Limit: DefaultLimit}
	file := slices.Concat(rawFrame(27, "a"), rawFrame(20, "b"), rawFrame(27, "c"))
	z := NewZstd(t.Context(), bufio.NewReader(bytes.NewReader(file)), Account{Budget: budget})
	decoders := map[*zstd.Decoder]bool{}
	for range 3 {
		if _, err := io.CopyN(io.Discard, z, 1); err != nil {
			t.Fatal(err)
		}
		decoders[z.loan.decoder] = true
	}
	if len(decoders) != 1 {
		t.Errorf("%d decoders", len(decoders))
	}
	z.Close()
	z.Close()
	if budget.dropped != budget.held {
		t.Errorf("%d of %d bytes are dropped: a large decoder is kept idle", budget.dropped, budget.held)
	}
}

func FuzzZstdAgreesWithThePlainDecoder(f *testing.F) {
	f.Add(slices.Concat(skippable, rawFrame(20, "one"), encode(f, []byte("two"))))
	f.Add(encode(f, bytes.Repeat([]byte("three"), 1000), zstd.WithSingleSegment(true)))
	f.Add(rawFrame(24, "over the limit"))
	f.Fuzz(func(t *testing.T, file []byte) {
		const limit = 8 << 20
		plain, err := zstd.NewReader(bytes.NewReader(file), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(limit))
		if err != nil {
			t.Fatal(err)
		}
		defer plain.Close()
		want, wantErr := io.ReadAll(io.LimitReader(plain, 1<<20))
		if len(want) == 1<<20 {
			return
		}
		got, err := contentOf(t, file, &Budget{Limit: limit})
		if (err == nil) != (wantErr == nil) || err == nil && !bytes.Equal(got, want) {
			t.Errorf("%d bytes, %v; the plain decoder has %d, %v", len(got), err, len(want), wantErr)
		}
	})
}
