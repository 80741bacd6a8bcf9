package web

import (
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"

	"tallyman/verify"
)

// wantOf is what an answer promises of the whole object, but for its size. OSS
// and OBS give CRC64 and Content-MD5 of the whole object with a range too; of
// others a Content-MD5 may be that of the range.
func wantOf(resp *http.Response) verify.Want {
	h := resp.Header
	want := verify.Want{Size: verify.Unknown, ETag: h.Get("ETag"), CRC64: crc64Of(h)}
	if ofLink(h) {
		want.CRC64 = "" // that of the link, as the rest is of what it leads to
	}
	if !hashed(h) {
		want.ETag = Weak(want.ETag)
	}
	whole := resp.StatusCode == http.StatusOK || h.Get("X-Oss-Request-Id") != "" || h.Get("X-Obs-Request-Id") != ""
	if b, err := base64.StdEncoding.DecodeString(h.Get("Content-MD5")); whole && err == nil && len(b) == 16 {
		want.MD5 = hex.EncodeToString(b)
	}
	return want
}

// vendors are those who say of an object what it is, each in headers of its own.
var vendors = []string{"X-Oss-", "X-Obs-", "X-Amz-"}

// hashed reports whether an ETag may be a hash of the bytes: not if the object
// is encrypted by the store, with whosever key, was appended to, or is a link.
func hashed(h http.Header) bool {
	for _, vendor := range vendors {
		if h.Get(vendor+"Server-Side-Encryption") != "" || h.Get(vendor+"Server-Side-Encryption-Customer-Algorithm") != "" ||
			strings.EqualFold(h.Get(vendor+"Object-Type"), "Appendable") {
			return false
		}
	}
	return !ofLink(h)
}

// ofLink reports whether the object is a symbolic link, of OSS.
func ofLink(h http.Header) bool { return strings.EqualFold(h.Get("X-Oss-Object-Type"), "Symlink") }

const weakly = "W/"

// Weak makes an ETag one that names a version and says nothing of its bytes.
// OSS and OBS have none of these: in If-Match they are to be Strong again.
func Weak(etag string) string {
	if etag == "" || IsWeak(etag) {
		return etag
	}
	return weakly + etag
}

// Strong is the ETag that Weak was given.
func Strong(etag string) string { return strings.TrimPrefix(etag, weakly) }

// IsWeak reports whether an ETag says nothing of the bytes.
func IsWeak(etag string) bool { return strings.HasPrefix(etag, weakly) }

func crc64Of(h http.Header) string {
	for _, name := range []string{"X-Oss-Hash-Crc64ecma", "X-Obs-Checksum-Crc64ecma", "X-Amz-Checksum-Crc64ecma"} {
		if n, err := strconv.ParseUint(strings.TrimSpace(h.Get(name)), 10, 64); err == nil {
			return strconv.FormatUint(n, 10)
		}
	}
	return ""
}
