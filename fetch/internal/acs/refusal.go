package acs

import (
	"cmp"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"tallyman/fetch"
	"tallyman/fetch/internal/api"
)

// kinds tells what the codes of the gateway before all products mean, by how
// they begin, whatever the HTTP status that they came with: throttles hide
// behind 400.
var kinds = []struct {
	code string
	kind error
}{
	{"SignatureDoesNotMatch", fetch.ErrAuth},
	{"IncompleteSignature", fetch.ErrAuth},
	{"InvalidAccessKeyId", fetch.ErrAuth},
	{"InvalidSecurityToken", fetch.ErrAuth},
	{"MissingSecurityToken", fetch.ErrAuth},
	{clockCode, fetch.ErrAuth},
	{"Forbidden", fetch.ErrAuth},
	{"NoPermission", fetch.ErrAuth},
	{"Request.Forbidden", fetch.ErrAuth},

	{"Throttling", fetch.ErrThrottled},

	{"SignatureNonceUsed", fetch.ErrTemporary}, // the next call has another one
	{"ServiceUnavailable", fetch.ErrTemporary},
	{"InternalError", fetch.ErrTemporary},

	{"InvalidApi.NotFound", fetch.ErrRefused},
	{"InvalidAction.NotFound", fetch.ErrRefused},
	{"InvalidVersion", fetch.ErrRefused},
}

// words tells what the codes of products mean, of which there is no list, by
// what is in them once case and punctuation are gone.
var words = []struct {
	word string
	kind error
}{
	{"throttl", fetch.ErrThrottled},
	{"toomany", fetch.ErrThrottled},
	{"toofrequent", fetch.ErrThrottled},
	{"ratelimit", fetch.ErrThrottled},
	{"qpslimit", fetch.ErrThrottled},
	{"flowcontrol", fetch.ErrThrottled},

	{"notexist", fetch.ErrNotFound},
	{"notfound", fetch.ErrNotFound},

	{"permission", fetch.ErrAuth},
	{"forbidden", fetch.ErrAuth},
	{"unauthorized", fetch.ErrAuth},
	{"notauthorized", fetch.ErrAuth},
	{"accessdenied", fetch.ErrAuth},

	{"internal", fetch.ErrTemporary},
	{"unavailable", fetch.ErrTemporary},
	{"systemerror", fetch.ErrTemporary},
	{"timeout", fetch.ErrTemporary},
	{"busy", fetch.ErrTemporary},
}

// clockCode begins the codes about the time of a call.
const clockCode = "InvalidTimeStamp"

// said are the words in which the gateway and the products refuse.
type said struct {
	Success      api.LenientString
	Code         api.LenientString
	Message      api.LenientString
	ErrorCode    api.LenientString // of DMS
	ErrorMessage api.LenientString
	ErrCode      api.LenientString // of DBS
	ErrMessage   api.LenientString
	RequestID    api.LenientString `json:"RequestId"`
}

func read(a *api.Answer) (s said) {
	_ = api.Unmarshal(a.Body, &s) // what is not JSON says nothing
	return s
}

func requestID(a *api.Answer) string { return string(read(a).RequestID) }

// Refusal is the error that an answer is, be it by its status, or because it
// says that it is no success.
func Refusal(a *api.Answer) error {
	s := read(a)
	code := string(cmp.Or(s.ErrorCode, s.ErrCode, s.Code))
	message := string(cmp.Or(s.ErrorMessage, s.ErrMessage, s.Message))
	if code+message == "" {
		message = a.Excerpt()
	}
	if strings.HasPrefix(code, clockCode) {
		message += a.ClockHint()
	}
	refusal := a.Refusal(code, message, kind(code, a.Status, s.Success))
	if errors.Is(refusal, fetch.ErrThrottled) {
		refusal.RetryAfter = max(refusal.RetryAfter, timeLeft(a.Header))
	}
	return refusal
}

func kind(code string, status int, success api.LenientString) error {
	for _, k := range kinds {
		if strings.HasPrefix(code, k.code) {
			return k.kind
		}
	}
	bare := strings.Map(func(r rune) rune {
		if !unicode.IsLetter(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, code)
	for _, w := range words {
		if strings.Contains(bare, w.word) {
			return w.kind
		}
	}
	if status/100 == 2 && success+api.LenientString(code) != "" {
		return fetch.ErrRefused
	}
	return api.KindOf(status)
}

// timeLeft is how long a throttle lasts: the longer one of those for the call
// and for the account, like "Limit:1,Remain:0,TimeLeft:700,Reset:1", in
// milliseconds.
func timeLeft(h http.Header) (left time.Duration) {
	for _, name := range []string{"x-ratelimit-user-api", "x-ratelimit-user"} {
		for pair := range strings.SplitSeq(h.Get(name), ",") {
			key, value, _ := strings.Cut(pair, ":")
			ms, err := strconv.ParseUint(strings.TrimSpace(value), 10, 31)
			if err == nil && strings.EqualFold(strings.TrimSpace(key), "TimeLeft") {
				left = max(left, time.Duration(ms)*time.Millisecond)
			}
		}
	}
	return left
}
