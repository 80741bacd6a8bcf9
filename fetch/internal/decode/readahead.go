package decode

import (
	"context"
	"io"
	"sync"

	"github.com/klauspost/readahead"

	"tallyman/verify"
)

const (
	aheadBuffers = 4
	aheadSize    = 256 << 10 // bytes of a buffer

	// An object smaller than this is not worth a goroutine.
	minAhead = aheadSize
)

var aheadPool = sync.Pool{New: func() any {
	buffers := new([aheadBuffers][]byte)
	for i := range buffers {
		buffers[i] = make([]byte, aheadSize)
	}
	return buffers
}}

// readAhead returns a reader that reads r in a goroutine of its own, so that the
// steps before and behind it run at once. A panic of r is a local error, and once
// ctx has ended, its cause is the error. size is that of the object as transferred.
//
// The caller must close the reader, once, when no Read of r blocks any more:
// Close waits for the goroutine.
func readAhead(ctx context.Context, r io.Reader, size int64, recoverPanic func(*error)) io.ReadCloser {
	guarded := guardedReader{ctx, r, recoverPanic}
	if size != verify.Unknown && size < minAhead {
		return io.NopCloser(guarded)
	}
	buffers := aheadPool.Get().(*[aheadBuffers][]byte)
	ahead, err := readahead.NewReaderBuffer(guarded, buffers[:])
	if err != nil {
		panic(err) // the buffers are right
	}
	return &pooledAhead{ahead.(writingReader), buffers}
}

// A writingReader is what package readahead returns.
type writingReader interface {
	io.ReadCloser
	io.WriterTo
}

// A pooledAhead is a read-ahead whose buffers are from the pool.
type pooledAhead struct {
	writingReader
	buffers *[aheadBuffers][]byte
}

// Close returns the buffers to the pool.
func (a *pooledAhead) Close() error {
	err := a.writingReader.Close()
	onBuffersReturned(a.buffers[:]...)
	aheadPool.Put(a.buffers)
	return err
}

// onBuffersReturned sees the buffers that go back to the pool. A test overwrites
// them.
var onBuffersReturned = func(...[]byte) {}

// A guardedReader fails once ctx has ended, even if there is more to read, and makes
// a panic of its reader a local error. In a goroutine of a library, the panic would
// end the process.
type guardedReader struct {
	ctx context.Context
	io.Reader
	recoverPanic func(*error)
}

func (r guardedReader) Read(p []byte) (n int, err error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	var panicked error
	defer func() {
		if panicked != nil {
			n, err = 0, &localError{panicked}
		}
	}()
	defer r.recoverPanic(&panicked)
	return r.Reader.Read(p)
}
