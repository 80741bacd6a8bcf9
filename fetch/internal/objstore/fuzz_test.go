package objstore

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"tallyman/fetch"
	"tallyman/verify"
)

// A promise of an answer is well formed, and says what the header says.
func FuzzWantOf(f *testing.F) {
	f.Add(200, `"v1"`, "11051210869376104954", "+6ne3l8ncxyXcWRaOYYzKA==", "R1")
	f.Add(206, "W/", " 007 ", "+6ne3g==", "")
	f.Add(206, "", "-1", "+6ne3l8ncxyXcWRaOYYzKA==\n", "R1")
	f.Add(404, "\xff", "18446744073709551616", "fba9dede5f27731c9771645a39863328", "")
	f.Fuzz(func(t *testing.T, status int, etag, crc, md5, request string) {
		h := http.Header{"Etag": {etag}, "X-Oss-Hash-Crc64ecma": {crc}, "Content-Md5": {md5}, "X-Oss-Request-Id": {request}}
		got := wantOf(&http.Response{StatusCode: status, Header: h})
		if !verify.SameETag(etag, etag) { // it names nothing
			etag = ""
		}
		n, err := strconv.ParseUint(strings.TrimSpace(crc), 10, 64)
		if (got.CRC64 != "") != (err == nil) || err == nil && got.CRC64 != strconv.FormatUint(n, 10) || got.ETag != etag || got.Size != verify.Unknown {
			t.Errorf("ETag %q and CRC64 %q: %+v", etag, crc, got)
		}
		sum, err := hex.DecodeString(got.MD5)
		if got.MD5 != "" && (err != nil || len(sum) != 16 || base64.StdEncoding.EncodeToString(sum)[:21] != strings.NewReplacer("\r", "", "\n", "").Replace(md5)[:21] || status != 200 && request == "") {
			t.Errorf("MD5 %q of %d: %+v", md5, status, got)
		}
		if merged, err := got.Merge("o", got); err != nil || merged != got {
			t.Errorf("%+v does not agree with itself: %+v, %v", got, merged, err)
		}
	})
}

// An accepted answer begins where it was asked for, or is the whole object, and does
// not go beyond its size where it tells one. Any other is an error in one line.
func FuzzAnswerLiesWhereItWasAskedFor(f *testing.F) {
	f.Add(206, "bytes 0-9/10", int64(10), int64(0), int64(10))
	f.Add(206, "bytes 5-9/*", int64(5), int64(5), int64(5))
	f.Add(206, "bytes 5-12/20", int64(-1), int64(5), int64(verify.Unknown))
	f.Add(200, "", int64(20), int64(5), int64(5))
	f.Add(416, "bytes */10", int64(0), int64(10), int64(1))
	f.Fuzz(func(t *testing.T, status int, span string, length, off, n int64) {
		if off < 0 || n < verify.Unknown {
			return
		}
		resp := &http.Response{StatusCode: status, Header: http.Header{"Content-Range": {span}}, ContentLength: max(length, -1), Body: io.NopCloser(strings.NewReader("why\n"))}
		got, err := RangeOf("GET https://h/a", resp, off, n)
		switch {
		case err != nil:
			call, ok := errors.AsType[*fetch.CallError](err)
			if !ok || call.Kind == nil || got != nil || strings.ContainsAny(err.Error(), "\r\n") || status == 200 {
				t.Errorf("%d, %q: %v", status, span, err)
			}
		case status == 200:
			if got.Off != 0 || got.Len != resp.ContentLength || got.Want.Size != resp.ContentLength {
				t.Errorf("%d bytes: %+v", length, got)
			}
		case status != 206 || got.Off != off || got.Len < 1 || n > 0 && got.Len > n || got.Want.Size != verify.Unknown && (got.Off+got.Len > got.Want.Size || n == 0 && got.Off+got.Len < got.Want.Size):
			t.Errorf("%d, %q for %d bytes at %d: %+v", status, span, n, off, got)
		}
	})
}

// A listing yields the keys that are written in it.
func FuzzKeysAreReadAsTheyAreWritten(f *testing.F) {
	for _, key := range []string{
		"a+b c.csv", "100%.csv", "100%25.csv", "%2B", "é/ü 日本.csv", "tab\tnewline\n.csv", "<&>\"'.csv", "a?b=c&d#e", "~!*'()", "sp ace/+/plus", " lead and trail ", "..", "a//b", "nul\x01",
	} {
		f.Add(key, int64(3))
	}
	f.Fuzz(func(t *testing.T, key string, size int64) {
		size = max(size, 0)
		l := Listing{Prefix: "e/"}
		key = l.Prefix + key
		for _, encoding := range []string{"url", ""} {
			e := Entry{Key: key, Size: size, ETag: `"v1"`}
			if encoding == "url" {
				e.Key = percentEncoded(key)
			} else if !isXML(key) {
				continue
			}
			body, err := xml.Marshal(Page{XMLName: xml.Name{Local: "ListBucketResult"}, EncodingType: encoding, Contents: []Entry{e}})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := l.parse(body, ""); err != nil || len(got.Contents) != 1 || got.Contents[0].Key != key || got.Contents[0].Size != size {
				t.Errorf("%s: %+v, %v", body, got, err)
			}
		}
	})
}

// percentEncoded is a text of which all bytes but letters and digits are
// escaped, as OSS and OBS escape the keys in a listing.
func percentEncoded(s string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range []byte(s) {
		if c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}

// isXML reports whether XML can hold a text.
func isXML(s string) bool {
	for i, r := range s {
		if r < ' ' && r != '\t' && r != '\n' || r == '\ufffd' && !strings.HasPrefix(s[i:], "\ufffd") || r == '\ufffe' || r == '\uffff' {
			return false
		}
	}
	return true
}
