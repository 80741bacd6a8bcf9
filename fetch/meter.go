package fetch

import (
	"cmp"
	"fmt"
	"io"
	"math"

	"tallyman/fetch/internal/unpack"
	"tallyman/verify"
)

// What an object may decode to where no MaxDecoded says otherwise. Deflate
// expands at most 1032 times, so rows that are all alike pass. zstd is capable
// of 30,000 times, of which no export of any size makes use.
const (
	mostDecoded  = 1 << 40  // the largest exports are hundreds of GB
	freeDecoded  = 64 << 20 // are no bomb, however little they were
	decodedRatio = 1100
)

// A meter refuses content once there is more of it than the limit.
type meter struct {
	d       *decoding
	content io.Reader
	encoded int64 // read so far
	decoded int64
}

// over counts what is encoded. The meter and its decoder read in turn, never
// at once.
func (m *meter) over(encoded io.Reader) io.Reader { return io.TeeReader(encoded, (*encodedCount)(m)) }

type encodedCount meter

func (c *encodedCount) Write(p []byte) (int, error) {
	c.encoded += int64(len(p))
	return len(p), nil
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.content.Read(p)
	m.decoded += int64(n)
	encoded := m.d.size
	if encoded == verify.Unknown {
		encoded = m.encoded
	}
	if most := m.d.most(encoded); m.decoded > most {
		return 0, fmt.Errorf("decodes to more than %d bytes, the limit for %d encoded (--max-decoded allows more): %w", most, encoded, ErrBomb)
	}
	return n, err
}

// most is how much so many encoded bytes may decode to. Where their number
// was promised that is known before the first.
func (d *decoding) most(encoded int64) int64 {
	if d.maxDecoded > 0 {
		return d.maxDecoded
	}
	return max(min(encoded, mostDecoded/decodedRatio)*decodedRatio, freeDecoded)
}

// containerLimits are those of a container of so many bytes. What is allowed
// to decode to MaxDecoded may do it at any ratio.
func (d *decoding) containerLimits(size int64) unpack.Limits {
	limits := d.limits
	if d.maxDecoded > 0 {
		limits.Ratio = cmp.Or(limits.Ratio, math.MaxInt64)
	}
	if size == verify.Unknown {
		size = mostDecoded // what it is in has a meter
	}
	limits.Bytes = cmp.Or(limits.Bytes, d.most(size))
	return limits
}
