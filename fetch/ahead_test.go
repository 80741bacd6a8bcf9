package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/iotest"

	"tallyman/verify"
)

// poison makes what is left in a pool of buffers unfit to be mistaken for
// content.
func poison(t *testing.T) {
	t.Helper()
	onDrop = func(buffers ...[]byte) {
		for _, b := range buffers {
			b = b[:cap(b)]
			for i := range b {
				b[i] = 0xdb
			}
		}
	}
	t.Cleanup(func() { onDrop = func(...[]byte) {} })
}

// slow is what a decoder may be to the reader before it: it holds on to the
// bytes for a while.
type slow struct{ bytes.Buffer }

func (s *slow) Write(p []byte) (int, error) {
	half := len(p) / 2
	s.Buffer.Write(p[:half])
	io.Discard.Write(p[half:])
	s.Buffer.Write(p[half:])
	return len(p), nil
}

func TestBuffersAreNotUsedOnceTheyAreGivenBack(t *testing.T) {
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
					ahead := readAhead(wire, verify.Unknown)
					out := &sheet{}
					d := &decoding{object: named{Object: Object{Name: "a.csv"}, base: "a.csv"}, size: verify.Unknown, create: out.create, stop: func() {}, workers: 1}
					err := d.decode(context.Background(), ahead)
					ahead.Close()
					if !cut && (err != nil || !bytes.Equal(out.Bytes(), content)) || cut && (!errors.Is(err, broken) || !bytes.HasPrefix(content, out.Bytes())) {
						t.Errorf("%s: %d bytes of %d, %v", name, out.Len(), len(content), err)
					}
				}
			})
		}
	}
	group.Wait()
}

func TestReadAheadReadsWhatIsThere(t *testing.T) {
	poison(t)
	for _, size := range []int64{verify.Unknown, 0, small - 1, small, 5 << 20} {
		for _, length := range []int{0, 1, aheadSize - 1, aheadSize, aheadSize + 1, aheadBuffers*aheadSize + 5} {
			content := noise(length)
			for _, how := range []string{"read", "written", "read and written"} {
				t.Run(fmt.Sprint(size, length, how), func(t *testing.T) {
					ahead := readAhead(iotest.HalfReader(bytes.NewReader(content)), size)
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
