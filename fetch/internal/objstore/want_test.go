package objstore

import (
	"net/http"
	"testing"

	"tallyman/verify"
)

func TestWantIsThePromiseOfTheWholeObject(t *testing.T) {
	const base64, hex = "+6ne3l8ncxyXcWRaOYYzKA==", "fba9dede5f27731c9771645a39863328"
	for _, tt := range []struct {
		name   string
		status int
		header []string
		want   verify.Want
	}{
		{"nothing", 206, nil, verify.Want{}},
		{"ETag", 206, []string{"ETag", `"ABC-3"`}, verify.Want{ETag: `"ABC-3"`}},
		{"an ETag that names nothing", 206, []string{"ETag", `W/""`}, verify.Want{}},
		{"OSS's CRC64", 206, []string{"x-oss-hash-crc64ecma", "11051210869376104954"}, verify.Want{CRC64: "11051210869376104954"}},
		{"OBS's CRC64", 206, []string{"x-obs-checksum-crc64ecma", " 007 "}, verify.Want{CRC64: "7"}},
		{"S3's CRC64", 206, []string{"x-amz-checksum-crc64ecma", "0"}, verify.Want{CRC64: "0"}},
		{"CRC64 that is none", 206, []string{"x-oss-hash-crc64ecma", "-1"}, verify.Want{}},
		{"CRC64 in base64", 206, []string{"x-amz-checksum-crc64ecma", "mV3JvdA="}, verify.Want{}},
		{"the ETag of what was appended to", 206, []string{"ETag", `"ABC"`, "x-oss-object-type", "Appendable", "x-oss-hash-crc64ecma", "7"}, verify.Want{ETag: `W/"ABC"`, CRC64: "7"}},
		{"the ETag of what OBS encrypts", 206, []string{"ETag", `"ABC"`, "x-obs-server-side-encryption", "kms"}, verify.Want{ETag: `W/"ABC"`}},
		{"the CRC64 of a link", 206, []string{"ETag", `"ABC"`, "x-oss-object-type", "Symlink", "x-oss-hash-crc64ecma", "7"}, verify.Want{ETag: `W/"ABC"`}},
		{"an ETag that is weak", 206, []string{"ETag", `W/"ABC"`, "x-obs-object-type", "appendable"}, verify.Want{ETag: `W/"ABC"`}},
		{"MD5 of the whole", 200, []string{"Content-MD5", base64}, verify.Want{MD5: hex}},
		{"MD5 of a range, or of the whole", 206, []string{"Content-MD5", base64}, verify.Want{}},
		{"MD5 by OSS", 206, []string{"Content-MD5", base64, "x-oss-request-id", "R"}, verify.Want{MD5: hex}},
		{"MD5 by OBS", 206, []string{"Content-MD5", base64, "x-obs-request-id", "R"}, verify.Want{MD5: hex}},
		{"MD5 in hex", 200, []string{"Content-MD5", hex}, verify.Want{}},
		{"when it was last modified", 206, []string{"Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT"}, verify.Want{Modified: "1994-11-06T08:49:37Z"}},
		{"the same in another form", 200, []string{"Last-Modified", "Sunday, 06-Nov-94 08:49:37 GMT"}, verify.Want{Modified: "1994-11-06T08:49:37Z"}},
		{"no time", 200, []string{"Last-Modified", "yesterday"}, verify.Want{}},
		{"MD5 too short", 200, []string{"Content-MD5", "+6ne3g=="}, verify.Want{}},
	} {
		resp := &http.Response{StatusCode: tt.status, Header: http.Header{}}
		for i := 0; i < len(tt.header); i += 2 {
			resp.Header.Set(tt.header[i], tt.header[i+1])
		}
		tt.want.Size = verify.Unknown
		if got := wantOf(resp); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}
