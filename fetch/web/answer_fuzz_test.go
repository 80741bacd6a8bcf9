package web

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"tallyman/fetch"
	"tallyman/fetch/hostguard"
	"tallyman/verify"
)

// What an answer promises has the form of a promise, or there is none; and it
// is what the header says.
func FuzzWantOf(f *testing.F) {
	f.Add(200, `"v1"`, "11051210869376104954", "+6ne3l8ncxyXcWRaOYYzKA==", "R1")
	f.Add(206, "W/", " 007 ", "+6ne3g==", "")
	f.Add(206, "", "-1", "+6ne3l8ncxyXcWRaOYYzKA==\n", "R1")
	f.Add(404, "\xff", "18446744073709551616", "fba9dede5f27731c9771645a39863328", "")
	f.Fuzz(func(t *testing.T, status int, etag, crc, md5, request string) {
		h := http.Header{"Etag": {etag}, "X-Oss-Hash-Crc64ecma": {crc}, "Content-Md5": {md5}, "X-Oss-Request-Id": {request}}
		got := wantOf(&http.Response{StatusCode: status, Header: h})
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

// An answer that is taken lies where it was asked for, or is the whole; any
// other is an error that says so in one line.
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
		got, err := Answer("GET https://h/a", resp, off, n)
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
		case status != 206 || got.Off != off || got.Len < 1 || n >= 0 && got.Len > n || got.Off+got.Len > got.Want.Size || got.Want.Size == verify.Unknown:
			t.Errorf("%d, %q for %d bytes at %d: %+v", status, span, n, off, got)
		}
	})
}

// An address is opened only at a host that is allowed, and no error tells its
// query or its password.
func FuzzOpen(f *testing.F) {
	for _, s := range []string{"https://b.aliyuncs.com/d/f.csv", "http://b.aliyuncs.com/a", "https://evil/a", "", "/a", "https://b.aliyuncs.com/%zz", "https://b.aliyuncs.com\\@evil/", "https://[::1]/", "HTTPS://B.ALIYUNCS.COM"} {
		f.Add(s, "Expires=1", "u:p")
		f.Add(s, "a=b#c", "")
	}
	hosts := &hostguard.Policy{Domains: []string{"aliyuncs.com"}}
	f.Fuzz(func(t *testing.T, address, query, user string) {
		if strings.Contains(address+query+user, "CANARY") {
			return
		}
		signed := address + "?" + query + "&Signature=CANARY"
		s, err := Open(http.DefaultClient, hosts, signed)
		if err == nil && strings.Contains(s.shown+s.name(), "CANARY") || err != nil && (strings.Contains(err.Error(), "CANARY") || !errors.Is(err, hostguard.ErrHost)) {
			t.Errorf("%q: %v", signed, err)
		}
		if u, parseErr := url.Parse(signed); err == nil && (parseErr != nil || hosts.Check(u) != nil || s.name() == "" || strings.Contains(s.name(), "/")) {
			t.Errorf("%q is opened as %+v", signed, s)
		}
		if scheme, rest, ok := strings.Cut(address, "://"); ok {
			secret := scheme + "://" + url.PathEscape(user) + ":CANARY@" + rest
			if _, err := Open(http.DefaultClient, hosts, secret); err != nil && strings.Contains(err.Error(), "CANARY") && authority(rest) {
				t.Errorf("%q: %v", secret, err)
			}
		}
	})
}

// authority reports whether a host begins a text, so that what is before an @
// sign is a password and not part of a path.
func authority(rest string) bool {
	u, err := url.Parse("https://" + rest)
	return err == nil && u.Host != "" && u.User == nil
}
