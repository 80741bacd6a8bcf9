package objstore

import (
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"tallyman/fetch"
)

// kindsByStatus classifies the statuses of refusals that have no known code.
var kindsByStatus = map[int]error{
	http.StatusUnauthorized:                 fetch.ErrAuth,
	http.StatusForbidden:                    fetch.ErrAuth,
	http.StatusNotFound:                     fetch.ErrNotFound,
	http.StatusMethodNotAllowed:             fetch.ErrNotFound, // OSS: a version that is a delete marker
	http.StatusGone:                         fetch.ErrNotFound,
	http.StatusProxyAuthRequired:            fetch.ErrProxy,
	http.StatusRequestTimeout:               fetch.ErrTemporary,
	http.StatusPreconditionFailed:           fetch.ErrChanged,
	http.StatusRequestedRangeNotSatisfiable: fetch.ErrChanged,
	http.StatusTooEarly:                     fetch.ErrTemporary,
	http.StatusTooManyRequests:              fetch.ErrThrottled,
}

// MaxRefusal is how many bytes are read of a refusal.
const MaxRefusal = 64 << 10

// Refusal makes an error of an answer that is no success, by the codes that OSS,
// OBS and S3 have in common. The endpoint is the one that the store names for a
// bucket in another region, or "". It reads the body and does not close it.
func Refusal(call string, resp *http.Response) (refusal *fetch.CallError, endpoint string) {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, MaxRefusal)) // of a body cut short, what came counts
	var text struct{ Endpoint string }
	_ = xml.Unmarshal(body, &text) // of a body that is not XML the status counts
	said := fetch.ParseStoreError(body)
	kind := said.Kind()
	if kind == nil {
		kind = kindsByStatus[resp.StatusCode]
	}
	switch {
	case kind != nil:
	case resp.StatusCode >= 500:
		kind = fetch.ErrTemporary
	default:
		kind = fetch.ErrRefused
	}
	return &fetch.CallError{
		Call: call, Status: resp.StatusCode, Code: said.Code, Message: said.Message,
		RequestID:  cmp.Or(said.RequestID, resp.Header.Get("X-Oss-Request-Id"), resp.Header.Get("X-Obs-Request-Id")),
		RetryAfter: fetch.ParseRetryAfter(resp.Header),
		Kind:       kind,
	}, text.Endpoint
}

// A Meaning is what a store's code means to a caller who signs with keys.
type Meaning struct {
	Kind error  // nil: the one that Refusal gives it
	Hint string // what helps, or ""
}

// ClockHint is the hint for a call that is refused for its time.
const ClockHint = "check this machine's clock"

// Explain completes the refusal of a call that was signed with keys. It adds the
// hint to the message or, if that is "", the one of the refusal's code.
func Explain(refusal *fetch.CallError, meanings map[string]Meaning, hint string) {
	meaning, known := meanings[refusal.Code]
	refusal.Kind = cmp.Or(meaning.Kind, refusal.Kind)
	hint = cmp.Or(hint, meaning.Hint)
	expired := errors.Is(refusal.Kind, fetch.ErrExpired)
	switch {
	case hint != "":
	case expired && refusal.Code == "AccessDenied": // the call was signed just now
		hint = ClockHint
	case !known && refusal.Status/100 == 3:
		hint = "a redirect is not followed"
	}
	if hint != "" && refusal.Message != "" {
		hint = strings.TrimSuffix(refusal.Message, ".") + "; " + hint
	}
	refusal.Message = cmp.Or(hint, refusal.Message)
	if expired {
		refusal.Kind = fetch.ErrAuth // there is no URL that a new one could replace: the keys have expired
	}
}

// Elsewhere returns the hint for a bucket at another host, which is in that
// region. The hint says what to do about it, with REGION for the region; "" is
// to name the region in the reference.
func Elsewhere(host, region, hint string) string {
	hint = cmp.Or(hint, "add ?region=REGION to the reference")
	return fmt.Sprintf("the bucket is at %s: %s", host, strings.ReplaceAll(hint, "REGION", region))
}
