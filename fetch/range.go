package fetch

import (
	"errors"
	"fmt"
	"io"

	"tallyman/verify"
	"tallyman/verify/archive"
)

// A Range is one answer of a store: bytes of an object, and what the store
// says of the whole of it.
type Range struct {
	io.ReadCloser
	Off  int64       // where the bytes begin: 0 if the store ignored the range and sends all
	Len  int64       // how many the store announced, or verify.Unknown
	Want verify.Want // of the whole object
}

// skipTo drops what a store that ignores ranges sends before off.
func (a *Range) skipTo(off int64) error {
	if a.Off > off {
		return &transferError{fmt.Sprintf("read at %d", off), fmt.Errorf("the store answered from %d on", a.Off)}
	}
	return a.skip(off - a.Off)
}

// skip never fails with io.EOF, which to the reader of a wire is no failure.
func (a *Range) skip(n int64) error {
	_, err := io.CopyN(io.Discard, a, n)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return &transferError{fmt.Sprintf("skip %d bytes", n), err}
	}
	return nil
}

// runsOn reports whether the answer goes on after the part: the store ignores
// ranges, and asking it for others would bring all the bytes each time.
func (a *Range) runsOn(part *archive.Part) bool {
	off, n := part.Remaining()
	return n == verify.Unknown || a.Len == verify.Unknown || a.Off+a.Len > off+n
}

// drop closes an answer that there may be. How that goes tells nothing of the
// bytes that it brought.
func (a *Range) drop() {
	if a != nil {
		a.Close()
	}
}
