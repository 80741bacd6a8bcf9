package oss

// STAND-IN for what package web does with a store's answers and does not
// export: to be replaced by web.Answer and web.Refusal, and deleted.

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"tallyman/fetch"
	"tallyman/verify"
)

func answer(call string, resp *http.Response, off, n int64) (*fetch.Range, error) {
	taken := &fetch.Range{ReadCloser: resp.Body, Off: off, Len: resp.ContentLength, Want: wantOf(resp)}
	switch resp.StatusCode {
	case http.StatusPartialContent:
		return taken, partial(call, taken, resp.Header.Get("Content-Range"), n)
	case http.StatusOK:
		taken.Off = 0
		taken.Want.Size = resp.ContentLength
		return taken, nil
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal))
	return nil, refusal(call, resp, body)
}

func partial(call string, taken *fetch.Range, header string, n int64) error {
	var first, last, size int64
	_, err := fmt.Sscanf(header, "bytes %d-%d/%d", &first, &last, &size)
	if err != nil || first != taken.Off || last < first || last >= size || n > 0 && last-first+1 > n {
		return &fetch.CallError{Call: call, Status: http.StatusPartialContent, Kind: fetch.ErrTemporary,
			Message: fmt.Sprintf("the answer has Content-Range %q for %d bytes at %d", header, n, taken.Off)}
	}
	taken.Len, taken.Want.Size = last-first+1, size
	return nil
}

func wantOf(resp *http.Response) verify.Want {
	h := resp.Header
	want := verify.Want{Size: verify.Unknown, ETag: h.Get("ETag")}
	if n, err := strconv.ParseUint(h.Get("X-Oss-Hash-Crc64ecma"), 10, 64); err == nil {
		want.CRC64 = strconv.FormatUint(n, 10)
	}
	whole := resp.StatusCode == http.StatusOK || h.Get("X-Oss-Request-Id") != ""
	if b, err := base64.StdEncoding.DecodeString(h.Get("Content-MD5")); whole && err == nil && len(b) == 16 {
		want.MD5 = hex.EncodeToString(b)
	}
	return want
}

func refusal(call string, resp *http.Response, body []byte) error {
	var said struct {
		Code, Message string
		RequestID     string `xml:"RequestId"`
	}
	_ = xml.Unmarshal(body, &said) // what is not XML says nothing
	return &fetch.CallError{
		Call: call, Status: resp.StatusCode, Code: said.Code, Message: fetch.Redact(strings.TrimSpace(said.Message)),
		RequestID: cmp.Or(said.RequestID, resp.Header.Get("X-Oss-Request-Id")),
		After:     fetch.RetryAfter(resp.Header),
		Kind:      kindOf(resp.StatusCode, said.Code, said.Message),
	}
}

var kinds = []struct {
	code, message string
	kind          error
}{
	{"AccessDenied", "expired", fetch.ErrExpired},
	{"RequestTimeTooSkewed", "expired", fetch.ErrExpired},
	{"SecurityTokenExpired", "", fetch.ErrExpired},
	{"ExpiredToken", "", fetch.ErrExpired},
	{"RequestTimeTooSkewed", "", fetch.ErrAuth},
	{"TooManyWrongSignature", "", fetch.ErrAuth},
	{"RequestTimeout", "", fetch.ErrTemporary},
	{"InvalidObjectState", "", fetch.ErrRefused},
	{"SlowDown", "", fetch.ErrThrottled},
	{"QpsLimitExceeded", "", fetch.ErrThrottled},
	{"TotalQpsLimitExceeded", "", fetch.ErrThrottled},
	{"MetaOperationQpsLimitExceeded", "", fetch.ErrThrottled},
	{"DownloadTrafficRateLimitExceeded", "", fetch.ErrThrottled},
	{"ActiveRequestLimitExceeded", "", fetch.ErrThrottled},
	{"MirrorFailed", "", fetch.ErrTemporary},
}

var statuses = map[int]error{
	http.StatusUnauthorized:                 fetch.ErrAuth,
	http.StatusForbidden:                    fetch.ErrAuth,
	http.StatusNotFound:                     fetch.ErrNotFound,
	http.StatusMethodNotAllowed:             fetch.ErrNotFound,
	http.StatusGone:                         fetch.ErrNotFound,
	http.StatusRequestTimeout:               fetch.ErrTemporary,
	http.StatusPreconditionFailed:           fetch.ErrChanged,
	http.StatusRequestedRangeNotSatisfiable: fetch.ErrChanged,
	http.StatusTooEarly:                     fetch.ErrTemporary,
	http.StatusTooManyRequests:              fetch.ErrThrottled,
}

func kindOf(status int, code, message string) error {
	for _, k := range kinds {
		if k.code == code && strings.Contains(strings.ToLower(message), k.message) {
			return k.kind
		}
	}
	if kind, ok := statuses[status]; ok {
		return kind
	}
	if status >= 500 {
		return fetch.ErrTemporary
	}
	return fetch.ErrRefused
}
