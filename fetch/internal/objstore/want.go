package objstore

import (
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tallyman/verify"
)

// vendors are the prefixes of the headers that say what an object is.
var vendors = []string{"X-Oss-", "X-Obs-", "X-Amz-"}

// crc64Headers hold a CRC64 (ECMA) in decimal.
var crc64Headers = []string{"X-Oss-Hash-Crc64ecma", "X-Obs-Checksum-Crc64ecma", "X-Amz-Checksum-Crc64ecma"}

// wantOf returns what an answer promises of the whole object, but for its size.
// With a range, OSS and OBS still give the CRC64 and the Content-MD5 of the
// whole object; in other stores the Content-MD5 may be that of the range.
func wantOf(resp *http.Response) verify.Want {
	h := resp.Header
	want := verify.Want{Size: verify.Unknown, ETag: h.Get("ETag")}
	if modified, err := http.ParseTime(h.Get("Last-Modified")); err == nil {
		want.Modified = modified.UTC().Format(time.RFC3339)
	}
	if !verify.SameETag(want.ETag, want.ETag) { // it is there, and names nothing
		want.ETag = ""
	}
	isLink := strings.EqualFold(h.Get("X-Oss-Object-Type"), "Symlink")
	// An ETag is no hash of the bytes if the store encrypts the object, with
	// whatever key, or if the object is a link or was appended to.
	noHash := isLink
	for _, vendor := range vendors {
		if h.Get(vendor+"Server-Side-Encryption") != "" || h.Get(vendor+"Server-Side-Encryption-Customer-Algorithm") != "" ||
			strings.EqualFold(h.Get(vendor+"Object-Type"), "Appendable") {
			noHash = true
		}
	}
	if noHash {
		want.ETag = Weak(want.ETag)
	}
	for _, name := range crc64Headers {
		n, err := strconv.ParseUint(strings.TrimSpace(h.Get(name)), 10, 64)
		if err == nil && !isLink { // the CRC64 of a link is of the link itself, the bytes are of its target
			want.CRC64 = strconv.FormatUint(n, 10)
			break
		}
	}
	ofObject := resp.StatusCode == http.StatusOK || h.Get("X-Oss-Request-Id") != "" || h.Get("X-Obs-Request-Id") != ""
	if b, err := base64.StdEncoding.DecodeString(h.Get("Content-MD5")); ofObject && err == nil && len(b) == 16 {
		want.MD5 = hex.EncodeToString(b)
	}
	return want
}

const weakPrefix = "W/"

// Weak marks an ETag as one that names a version and is no hash of the bytes. OSS
// and OBS know no weak ETags: If-Match takes the ETag without the mark.
func Weak(etag string) string {
	if etag == "" || isWeak(etag) {
		return etag
	}
	return weakPrefix + etag
}

// isWeak reports whether an ETag is no hash of the bytes.
func isWeak(etag string) bool { return strings.HasPrefix(etag, weakPrefix) }
