package sandbox

import (
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"hash/crc64"
	"slices"
	"strings"
	"time"
)

// stored is an object as the store keeps it.
type stored struct {
	body     []byte
	md5      string // base64; "" for one uploaded in parts
	crc      uint64
	etag     string // unquoted
	kind     string
	modified time.Time
}

var ecma = crc64.MakeTable(crc64.ECMA)

func keep(body []byte, partSize int64) stored {
	s := stored{body: body, crc: crc64.Checksum(body, ecma)}
	if partSize > 0 {
		s.kind, s.etag = "Multipart", partsETag(body, int(partSize))
		return s
	}
	sum := md5.Sum(body)
	s.kind, s.etag, s.md5 = "Normal", fmt.Sprintf("%X", sum), base64.StdEncoding.EncodeToString(sum[:])
	return s
}

func partsETag(body []byte, size int) string {
	var parts []string
	for part := range slices.Chunk(body, size) {
		parts = append(parts, fmt.Sprintf("%X", md5.Sum(part)))
	}
	return etagOfParts(parts...)
}

// etagOfParts hashes the parts' MD5s as the upper-case hex that they are told
// in, where S3 would hash them as bytes.
func etagOfParts(parts ...string) string {
	return fmt.Sprintf("%X-%d", md5.Sum([]byte(strings.Join(parts, ""))), max(len(parts), 1))
}
