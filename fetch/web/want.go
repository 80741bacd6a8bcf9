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
	whole := resp.StatusCode == http.StatusOK || h.Get("X-Oss-Request-Id") != "" || h.Get("X-Obs-Request-Id") != ""
	if b, err := base64.StdEncoding.DecodeString(h.Get("Content-MD5")); whole && err == nil && len(b) == 16 {
		want.MD5 = hex.EncodeToString(b)
	}
	return want
}

func crc64Of(h http.Header) string {
	for _, name := range []string{"X-Oss-Hash-Crc64ecma", "X-Obs-Checksum-Crc64ecma", "X-Amz-Checksum-Crc64ecma"} {
		if n, err := strconv.ParseUint(strings.TrimSpace(h.Get(name)), 10, 64); err == nil {
			return strconv.FormatUint(n, 10)
		}
	}
	return ""
}
