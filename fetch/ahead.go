package fetch

import (
	"io"
	"sync"

	"github.com/klauspost/readahead"

	"tallyman/verify"
)

// How far is read ahead. An object below small is not worth a goroutine.
const (
	aheadBuffers = 4
	aheadSize    = 256 << 10
	small        = aheadSize
)

var aheads = sync.Pool{New: func() any {
	buffers := new([aheadBuffers][]byte)
	for i := range buffers {
		buffers[i] = make([]byte, aheadSize)
	}
	return buffers
}}

// readAhead reads in a goroutine of its own, so that what is before it and
// what is behind it run at once. The caller closes it, having ended r. The
// size is that of the object as transferred.
func readAhead(r io.Reader, size int64) io.ReadCloser {
	if size != verify.Unknown && size < small {
		return io.NopCloser(r)
	}
	buffers := aheads.Get().(*[aheadBuffers][]byte)
	ahead, err := readahead.NewReaderBuffer(careful{r}, buffers[:])
	if err != nil {
		panic(err) // the buffers are ours
	}
	return &pooled{ahead, buffers}
}

type pooled struct {
	io.ReadCloser
	buffers *[aheadBuffers][]byte
}

// WriteTo implements io.WriterTo, as the reader below does.
func (p *pooled) WriteTo(w io.Writer) (int64, error) {
	return p.ReadCloser.(io.WriterTo).WriteTo(w)
}

// Close gives the buffers back. It is called once.
func (p *pooled) Close() error {
	err := p.ReadCloser.Close()
	onDrop(p.buffers[:]...)
	aheads.Put(p.buffers)
	return err
}

// onDrop sees the buffers that are given back. Tests spoil them.
var onDrop = func(...[]byte) {}
