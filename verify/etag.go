package verify

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"hash"
	"html"
	"strconv"
	"strings"
)

// The forms of an ETag, ordered by how much they say about the bytes.
const (
	etagNone   = iota
	etagOpaque // names a version, says nothing about its bytes
	etagParts  // 32hex-N: a hash of the MD5s of N parts
	etagMD5    // 32hex: the MD5 of the bytes, if the object was put in one piece
)

type etag struct {
	form  int
	sum   string // lower-case hex, or the opaque text as it is
	parts int
}

// parseETag reads an ETag in any form that OSS, OBS, S3 and the job APIs give:
// quoted or not, in either case, XML-escaped, weak. A weak ETag names a version
// and says nothing about the bytes.
func parseETag(s string) etag {
	s = strings.TrimSpace(html.UnescapeString(s))
	strong, weak := strings.CutPrefix(s, "W/")
	s = strings.Trim(strong, `"`)
	if s == "" {
		return etag{}
	}
	sum, count, dashed := strings.Cut(s, "-")
	if b, err := hex.DecodeString(sum); err != nil || len(b) != md5.Size {
		return etag{form: etagOpaque, sum: s}
	}
	tag := etag{form: etagMD5, sum: strings.ToLower(sum)}
	if dashed {
		parts, err := strconv.ParseUint(count, 10, 16)
		if err != nil || parts < 1 || parts > maxParts {
			return etag{form: etagOpaque, sum: s}
		}
		tag.form, tag.parts = etagParts, int(parts)
	}
	if weak {
		tag.form = etagOpaque
	}
	return tag
}

// maxParts is how many parts a multipart upload can have in OSS and OBS.
const maxParts = 10000

// SameETag reports whether two ETags name the same version. Quotes, the case of
// the hex digits and weakness don't matter. Two absent ETags don't name the same
// version.
func SameETag(a, b string) bool {
	x, y := parseETag(a), parseETag(b)
	return x.form != etagNone && x.sum == y.sum && x.parts == y.parts
}

// IsStrongETag reports whether an ETag names a version by its bytes: it is there,
// and it is not marked as weak.
func IsStrongETag(s string) bool {
	return parseETag(s).form != etagNone && !strings.HasPrefix(strings.TrimSpace(s), "W/")
}

// A partsHash computes the ETag of a multipart upload with parts of one size. OSS
// hashes the parts' MD5s as upper-case hex; S3 and OBS hash them as bytes. Both
// are computed.
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

// add adds the MD5 of a part.
func (h *partsHash) add(sum []byte) {
	fmt.Fprintf(h.oss, "%X", sum)
	h.s3.Write(sum)
	h.n++
}

// matches ends the last part and reports whether the ETag is that of the upload.
func (h *partsHash) matches(tag etag) bool {
	h.endPart()
	return h.is(tag)
}

func (h *partsHash) is(tag etag) bool {
	return h.n == tag.parts && (fmt.Sprintf("%x", h.oss.Sum(nil)) == tag.sum || fmt.Sprintf("%x", h.s3.Sum(nil)) == tag.sum)
}

// maxGuesses is how many part sizes are tried at once. Each costs an MD5 of all
// bytes.
const maxGuesses = 8

// usualSizes are the part sizes that uploaders choose multiples of, the likeliest
// first.
var usualSizes = []int64{64 << 20, 32 << 20, 16 << 20, 10 << 20, 8 << 20, 5 << 20, 4 << 20, 2 << 20, 1 << 20, 512 << 10, 256 << 10, 100 << 10}

// guessParts returns a hash for each likely part size of an object of that size
// that was uploaded in count parts. All parts but the last have one size, so that
// it lies in a narrow interval.
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
	for _, unit := range append(usualSizes, low) {
		for p := (low + unit - 1) / unit * unit; p <= high && len(hashes) < maxGuesses; p += unit {
			if !tried[p] {
				tried[p] = true
				hashes = append(hashes, newPartsHash(p))
			}
		}
	}
	return hashes
}
