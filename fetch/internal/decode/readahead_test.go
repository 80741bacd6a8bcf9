package decode

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"tallyman/verify"
)

// poison overwrites buffers that go back to the pool, so that a use of them
// afterwards shows.
func poison(t *testing.T) {
	t.Helper()
	onBuffersReturned = func(buffers ...[]byte) {
		for _, b := range buffers {
			b = b[:cap(b)]
			for i := range b {
				b[i] = 0xdb
			}
		}
	}
	t.Cleanup(func() { onBuffersReturned = func(...[]byte) {} })
}

// slow is a writer that uses the bytes of a Write in two steps.
type slow struct{ bytes.Buffer }

func (s *slow) Write(p []byte) (int, error) {
	half := len(p) / 2
	s.Buffer.Write(p[:half])
	io.Discard.Write(p[half:])
	s.Buffer.Write(p[half:])
	return len(p), nil
}

func TestBuffersAreNotUsedAfterTheyAreReturned(t *testing.T) {
	poison(t)
	content := noise(1200 << 10)
	broken := errors.New("the wire broke")
	var group sync.WaitGroup
	for name, encode := range encoders {
		encoded := encode(t, content)
		for i := range 3 {
			group.Go(func() {
				for j := range 3 {
					wire, cut := io.Reader(bytes.NewReader(encoded)), j == 1
					if cut {
						wire = io.MultiReader(io.LimitReader(wire, int64(len(encoded)*(i+1)/4)), iotest.ErrReader(broken))
					}
					out := &file{}
					_, err := Run(context.Background(), io.NopCloser(wire), Target{Names: Names{Object: "a.csv", Base: "a.csv"}, Size: verify.Unknown, Workers: 1, Output: out, Recover: recoverPanic})
					if !cut && (err != nil || !bytes.Equal(out.Bytes(), content)) || cut && (!errors.Is(err, broken) || !bytes.HasPrefix(content, out.Bytes())) {
						t.Errorf("%s: %d bytes of %d, %v", name, out.Len(), len(content), err)
					}
				}
			})
		}
	}
	group.Wait()
}

func TestReadAheadReadsEveryByte(t *testing.T) {
	poison(t)
	for _, size := range []int64{verify.Unknown, 0, minAhead - 1, minAhead, 5 << 20} {
		for _, length := range []int{0, 1, aheadSize - 1, aheadSize, aheadSize + 1, aheadBuffers*aheadSize + 5} {
			content := noise(length)
			for _, how := range []string{"read", "written", "read and written"} {
				t.Run(fmt.Sprint(size, length, how), func(t *testing.T) {
					ahead := readAhead(t.Context(), iotest.HalfReader(bytes.NewReader(content)), size, recoverPanic)
					var got slow
					if how != "written" {
						n := int64(length)
						if how != "read" {
							n /= 2
						}
						if _, err := io.CopyN(&got, struct{ io.Reader }{ahead}, n); err != nil {
							t.Error(err)
						}
					}
					if err := copyAll(&got, ahead); err != nil {
						t.Error(err)
					}
					if err := ahead.Close(); err != nil || !bytes.Equal(got.Bytes(), content) {
						t.Errorf("%d bytes of %d, %v", got.Len(), length, err)
					}
				})
			}
		}
	}
}

type panicking struct{}

func (panicking) Read([]byte) (int, error) { panic("a decoder that nobody foresaw") }

func TestPanicOfTheReaderIsALocalError(t *testing.T) {
	for _, size := range []int64{1, 2 * minAhead} { // without a goroutine, and with one
		ahead := readAhead(t.Context(), panicking{}, size, recoverPanic)
		if _, err := io.ReadAll(ahead); !errors.Is(err, errPanicked) || !IsLocal(err) {
			t.Errorf("%d bytes: %v, want a local error", size, err)
		}
		ahead.Close()
	}
}

func TestAReaderFailsOnceItsContextHasEnded(t *testing.T) {
	ended := errors.New("ended")
	ctx, cancel := context.WithCancelCause(t.Context())
	r := guardedReader{ctx, strings.NewReader("here all along"), recoverPanic}
	if _, err := io.ReadFull(r, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	cancel(ended)
	if rest, err := io.ReadAll(r); len(rest) > 0 || !errors.Is(err, ended) {
		t.Errorf("%q, %v", rest, err)
	}
}
