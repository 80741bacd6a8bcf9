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

// gatewayKinds classifies the codes of the gateway before all products, by how
// they begin, whatever HTTP status came with them: throttles come with 400.
var gatewayKinds = []struct {
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

// productKinds classifies the codes of products, of which there is no list, by
// what is in them without case and punctuation.
var productKinds = []struct {
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

// clockCode begins the codes that refuse a call for its time.
const clockCode = "InvalidTimeStamp"

// errorFields are the fields in which the gateway and the products tell of errors.
type errorFields struct {
	Success      api.LenientString
	Code         api.LenientString
	Message      api.LenientString
	ErrorCode    api.LenientString // of DMS
	ErrorMessage api.LenientString
	ErrCode      api.LenientString // of DBS
	ErrMessage   api.LenientString
	RequestID    api.LenientString `json:"RequestId"`
}

func readErrorFields(a *api.Answer) (f errorFields) {
	_ = api.Unmarshal(a.Body, &f) // of an answer that is not JSON the status counts
	return f
}

// Refusal makes an error of an answer that is no success, by its status or by
// what it says.
func Refusal(a *api.Answer) error {
	s := readErrorFields(a)
	code := string(cmp.Or(s.ErrorCode, s.ErrCode, s.Code))
	message := string(cmp.Or(s.ErrorMessage, s.ErrMessage, s.Message))
	if code+message == "" {
		message = a.Excerpt()
	}
	if strings.HasPrefix(code, clockCode) {
		message += a.ClockHint()
	}
	refusal := a.Refusal(code, message, kindOf(code, a.Status, s.Success))
	if errors.Is(refusal, fetch.ErrThrottled) {
		refusal.RetryAfter = max(refusal.RetryAfter, timeLeft(a.Header))
	}
	return refusal
}

func kindOf(code string, status int, success api.LenientString) error {
	for _, k := range gatewayKinds {
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
	for _, w := range productKinds {
		if strings.Contains(bare, w.word) {
			return w.kind
		}
	}
	if status/100 == 2 && success+api.LenientString(code) != "" {
		return fetch.ErrRefused
	}
	return api.KindOf(status)
}

// timeLeft returns how long a throttle lasts: the longer one of those of the call
// and of the account. Its headers are like "Limit:1,Remain:0,TimeLeft:700,Reset:1",
// in milliseconds.
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
