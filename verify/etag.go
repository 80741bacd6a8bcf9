package verify

import (
	"html"
	"strconv"
	"strings"
)

// The forms of an ETag, by how much they say of the bytes.
const (
	etagNone   = iota
	etagOpaque // names a version, says nothing of its bytes
	etagParts  // 32hex-N: a hash of the MD5s of N parts
	etagMD5    // 32hex: the MD5 of the bytes, if the object was put in one piece
)

type etag struct {
	form  int
	sum   string // lower-case hex, or the opaque text as it is
	parts int
}

// parseETag reads an ETag in any form that OSS, OBS, S3 and the job APIs are
// known to give: quoted or not, in either case, XML-escaped, weak. A weak
// ETag names a version only.
func parseETag(s string) etag {
	s = strings.TrimSpace(html.UnescapeString(s))
	strong, weak := strings.CutPrefix(s, "W/")
	s = strings.Trim(strong, `"`)
	if s == "" {
		return etag{}
	}
	sum, count, dashed := strings.Cut(s, "-")
	if !isHex32(sum) {
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

// maxParts is the most parts that a multipart upload can have
// (OSS and OBS: 10,000).
const maxParts = 10000

// SameETag reports whether two ETags name the same version, however they are
// quoted, whatever the case of their hex, weak or not. Two that are both
// absent do not.
func SameETag(a, b string) bool {
	x, y := parseETag(a), parseETag(b)
	return x.form != etagNone && x.sum == y.sum && x.parts == y.parts
}

func isHex32(s string) bool {
	if len(s) != 32 {
		return false
	}
	for _, c := range []byte(s) {
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F') {
			return false
		}
	}
	return true
}
