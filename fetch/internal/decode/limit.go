package decode

import (
	"cmp"
	"fmt"
	"io"
	"math"

	"tallyman/fetch/internal/unpack"
	"tallyman/verify"
)

// The decode limit of an object for which no MaxDecoded is set. Deflate expands
// at most 1032 times, so that rows which are all alike pass. zstd can expand
// 30,000 times, but no export of any size does.
const (
	maxDecoded   = 1 << 40  // the largest exports are hundreds of GB
	freeDecoded  = 64 << 20 // allowed for every object, however small it is
	maxExpansion = 1100
)

// decodeLimit returns how many bytes an object of so many encoded bytes may
// decode to.
func (d *decoding) decodeLimit(encoded int64) int64 {
	if d.MaxDecoded > 0 {
		return d.MaxDecoded
	}
	return max(min(encoded, maxDecoded/maxExpansion)*maxExpansion, freeDecoded)
}

// containerLimits returns the limits of a container of so many bytes. Where
// MaxDecoded is set, the container may reach it at any ratio.
func (d *decoding) containerLimits(size int64) unpack.Limits {
	limits := d.Limits
	limits.Memory = d.Memory
	if d.MaxDecoded > 0 {
		limits.Ratio = cmp.Or(limits.Ratio, math.MaxInt64)
	}
	if size == verify.Unknown {
		size = maxDecoded // the codec around the container, if any, has a limitedReader of its own
	}
	limits.Bytes = cmp.Or(limits.Bytes, d.decodeLimit(size))
	return limits
}

// A limitedReader fails once there is more content than the decode limit. The
// limit follows from the size of the object if that is known, else from what was
// encoded so far. The decoder reads in turn with it, never at the same time.
type limitedReader struct {
	d       *decoding
	content io.Reader
	encoded *io.LimitedReader // of math.MaxInt64 bytes, so that it counts
	decoded int64
}

func (r *limitedReader) Read(p []byte) (int, error) {
	n, err := r.content.Read(p)
	r.decoded += int64(n)
	encoded := r.d.Size
	if encoded == verify.Unknown {
		encoded = math.MaxInt64 - r.encoded.N
	}
	if limit := r.d.decodeLimit(encoded); r.decoded > limit {
		return 0, &unpack.LimitError{Limit: unpack.LimitDecoded,
			Reason: fmt.Sprintf("decodes to more than %d bytes, the limit for %d encoded", limit, encoded)}
	}
	return n, err
}
