package web

import (
	"cmp"
	"encoding/xml"
	"io"
	"net/http"
	"strings"

	"tallyman/fetch"
)

// storeError is the XML in which OSS, OBS and S3 refuse.
type storeError struct {
	Code      string `xml:"Code"`
	Message   string `xml:"Message"`
	RequestID string `xml:"RequestId"`
}

// kinds classifies the codes of OSS, OBS and S3 that their HTTP status does
// not tell apart. A message, where there is one, must be part of theirs.
var kinds = []struct {
	code, message string
	kind          error
}{
	{"AccessDenied", "expired", fetch.ErrExpired}, // "Request has expired."; EC codes may change, the words have not
	{"RequestTimeTooSkewed", "expired", fetch.ErrExpired},
	{"SecurityTokenExpired", "", fetch.ErrExpired},
	{"ExpiredToken", "", fetch.ErrExpired},
	{"RequestTimeTooSkewed", "", fetch.ErrAuth},
	{"TooManyWrongSignature", "", fetch.ErrAuth},
	{"RequestTimeout", "", fetch.ErrTemporary},
	{"InvalidObjectState", "", fetch.ErrRefused}, // archived: to be restored first
	{"SlowDown", "", fetch.ErrThrottled},
	{"QpsLimitExceeded", "", fetch.ErrThrottled},
	{"TotalQpsLimitExceeded", "", fetch.ErrThrottled},
	{"MetaOperationQpsLimitExceeded", "", fetch.ErrThrottled},
	{"DownloadTrafficRateLimitExceeded", "", fetch.ErrThrottled},
	{"ActiveRequestLimitExceeded", "", fetch.ErrThrottled},
	{"MirrorFailed", "", fetch.ErrTemporary},
}

// statuses classifies what no code does.
var statuses = map[int]error{
	http.StatusUnauthorized:                 fetch.ErrAuth,
	http.StatusForbidden:                    fetch.ErrAuth,
	http.StatusNotFound:                     fetch.ErrNotFound,
	http.StatusMethodNotAllowed:             fetch.ErrNotFound, // OSS: a version that is a delete marker
	http.StatusGone:                         fetch.ErrNotFound,
	http.StatusRequestTimeout:               fetch.ErrTemporary,
	http.StatusPreconditionFailed:           fetch.ErrChanged,
	http.StatusRequestedRangeNotSatisfiable: fetch.ErrChanged,
	http.StatusTooEarly:                     fetch.ErrTemporary,
	http.StatusTooManyRequests:              fetch.ErrThrottled,
}

// limit is how much of an error's body is read.
const limit = 64 << 10

// Refusal makes a *fetch.CallError of an answer that is not the file, by the
// codes that OSS, OBS and S3 have in common. It reads the body and does not
// close it.
func Refusal(call string, resp *http.Response) *fetch.CallError {
	var said storeError
	body, _ := io.ReadAll(io.LimitReader(resp.Body, limit)) // what came of it is all that it says
	_ = xml.Unmarshal(body, &said)                          // and what is not XML says nothing
	return &fetch.CallError{
		Call: call, Status: resp.StatusCode, Code: plain(said.Code), Message: plain(said.Message),
		RequestID: cmp.Or(plain(said.RequestID), resp.Header.Get("X-Oss-Request-Id"), resp.Header.Get("X-Obs-Request-Id")),
		After:     fetch.RetryAfter(resp.Header),
		Kind:      kindOf(resp.StatusCode, said),
	}
}

// longest is how much of a text of the store's is shown.
const longest = 300

// plain makes a text of the store's fit to be shown: in one line, without a
// secret.
func plain(s string) string {
	s = fetch.Redact(strings.Join(strings.Fields(s), " "))
	return strings.ToValidUTF8(s[:min(len(s), longest)], "")
}

func kindOf(status int, said storeError) error {
	for _, k := range kinds {
		if k.code == said.Code && strings.Contains(strings.ToLower(said.Message), k.message) {
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
