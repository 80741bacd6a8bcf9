package fetch

import (
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

// continuesPast reports whether the answer goes on after the part: then the
// store ignores ranges, and each further request would bring all the bytes.
func (a *Range) continuesPast(part *archive.Part) bool {
	off, n := part.Remaining()
	return n == verify.Unknown || a.Len == verify.Unknown || a.Off+a.Len > off+n
}

// drop closes the answer, if there is one. An error of that says nothing of the
// bytes that came.
func (a *Range) drop() {
	if a != nil {
		a.Close()
	}
}
