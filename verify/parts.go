package verify

import (
	"crypto/md5"
	"fmt"
	"hash"
)

// A partsHash computes the ETag of a multipart upload with parts of one size:
// by OSS's rule, which hashes the parts' MD5s as upper-case hex, and by S3's
// and OBS's, which hashes them as bytes.
type partsHash struct {
	size, left int64
	n          int
	part       hash.Hash
	oss, s3    hash.Hash
}

func newPartsHash(size int64) *partsHash {
	return &partsHash{size: size, left: size, part: md5.New(), oss: md5.New(), s3: md5.New()}
}

// Write implements io.Writer and never fails.
func (h *partsHash) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		if h.left == 0 {
			h.endPart()
		}
		n := min(int64(len(p)), h.left)
		h.part.Write(p[:n])
		h.left -= n
		p = p[n:]
	}
	return total, nil
}

func (h *partsHash) endPart() {
	h.add(h.part.Sum(nil))
	h.left = h.size
	h.part.Reset()
}

// add takes in the MD5 of a part.
func (h *partsHash) add(sum []byte) {
	fmt.Fprintf(h.oss, "%X", sum)
	h.s3.Write(sum)
	h.n++
}

// matches ends the last part and compares.
func (h *partsHash) matches(tag etag) bool {
	h.endPart()
	return h.is(tag)
}

func (h *partsHash) is(tag etag) bool {
	return h.n == tag.parts && (sumHex(h.oss) == tag.sum || sumHex(h.s3) == tag.sum)
}

// guesses is how many part sizes are tried at once; each costs an MD5 of all
// bytes.
const guesses = 8

// usual are the part sizes that uploaders choose multiples of, the likeliest
// first.
var usual = []int64{64 << 20, 32 << 20, 16 << 20, 10 << 20, 8 << 20, 5 << 20, 4 << 20, 2 << 20, 1 << 20, 512 << 10, 256 << 10, 100 << 10}

// guessParts returns a hash for each likely size of the parts of an object
// that was uploaded in count of them: all are of one size but for the last,
// so the size lies in a narrow interval.
func guessParts(size int64, count int) []*partsHash {
	if size <= 0 {
		return nil
	}
	if count == 1 {
		return []*partsHash{newPartsHash(size)}
	}
	n := int64(count)
	low, high := (size+n-1)/n, (size-1)/(n-1)
	var hashes []*partsHash
	tried := map[int64]bool{}
	for _, unit := range append(usual, low) {
		for p := (low + unit - 1) / unit * unit; p <= high && len(hashes) < guesses; p += unit {
			if !tried[p] {
				tried[p] = true
				hashes = append(hashes, newPartsHash(p))
			}
		}
	}
	return hashes
}
