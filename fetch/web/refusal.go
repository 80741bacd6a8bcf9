package web

import (
	"cmp"
	"io"
	"net/http"

	"tallyman/fetch"
)

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
	body, _ := io.ReadAll(io.LimitReader(resp.Body, limit)) // what came of it is all that it says
	said := fetch.ParseStoreError(body)
	return &fetch.CallError{
		Call: call, Status: resp.StatusCode, Code: said.Code, Message: said.Message,
		RequestID:  cmp.Or(said.RequestID, resp.Header.Get("X-Oss-Request-Id"), resp.Header.Get("X-Obs-Request-Id")),
		RetryAfter: fetch.ParseRetryAfter(resp.Header),
		Kind:       kindOf(resp.StatusCode, said),
	}
}

func kindOf(status int, said fetch.StoreError) error {
	if kind := said.Kind(); kind != nil {
		return kind
	}
	if kind, ok := statuses[status]; ok {
		return kind
	}
	if status >= 500 {
		return fetch.ErrTemporary
	}
	return fetch.ErrRefused
}
