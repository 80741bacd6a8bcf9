package dis

import (
	"cmp"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/internal/api"
)

// kinds tells what a code means for the caller, whatever the HTTP status that
// it came with. Of several the longest that a code begins with counts.
var kinds = map[string]error{
	"DIS.410": fetch.ErrAuth, // the token or the signature is missing or wrong
	"DIS.411": fetch.ErrAuth,

	"DIS.4116": fetch.ErrAuth, // no permission
	"DIS.4117": fetch.ErrRefused,

	"DIS.4301": fetch.ErrNotFound, // the stream
	"DIS.4354": fetch.ErrNotFound, // the dump task

	"DIS.4303":    fetch.ErrThrottled, // more than a share of traffic
	"DIS.4305":    fetch.ErrThrottled, // too many calls
	blacklistCode: fetch.ErrThrottled,

	"DIS.5": fetch.ErrTemporary,

	"APIGW.03":   fetch.ErrAuth,
	"APIGW.0308": fetch.ErrThrottled,
	"APIGW.0101": fetch.ErrRefused, // there is no such API, whatever it is asked for
}

const (
	// blacklistCode comes after too many failures, which lock an address out
	// for blacklistTime. Each further call would prolong it.
	blacklistCode = "DIS.4309"
	blacklistTime = 30 * time.Minute
)

// clockCodes find the time of a call unfit.
var clockCodes = map[string]bool{"DIS.4105": true, "APIGW.0303": true}

// A status of the service's own, for what the rest of the world calls 401.
const statusAuth = 441

// said is how the service and the gateway before it tell of errors.
type said struct {
	Code           api.LenientString `json:"errorCode"`
	Message        api.LenientString `json:"message"`
	GatewayCode    api.LenientString `json:"error_code"`
	GatewayMessage api.LenientString `json:"error_msg"`
	RequestID      api.LenientString `json:"request_id"`
}

// successes are what errorCode may say where there is no error.
var successes = map[api.LenientString]bool{"": true, "-1": true, "0": true, "null": true}

// check is nil if the service did what it was asked. Rows prove that it did,
// whatever code came with them.
func check(a *api.Answer) error {
	var s said
	err := api.Unmarshal(a.Body, &s)
	a.RequestID = cmp.Or(a.RequestID, api.OneLine(cmp.Or(a.Header.Get("X-Request-Id"), string(s.RequestID))))
	if a.Status/100 == 2 && (successes[s.Code] && s.GatewayCode == "" || hasRows(a)) {
		return nil
	}
	code := cmp.Or(s.GatewayCode, s.Code)
	if s.GatewayCode == "" && successes[s.Code] {
		code = ""
	}
	message := cmp.Or(s.GatewayMessage, s.Message)
	if err != nil || code+message == "" {
		message = api.LenientString(a.Excerpt())
	}
	return refusal(a, string(code), string(message))
}

func refusal(a *api.Answer, code, message string) error {
	kind := kindOf(code, a.Status)
	if clockCodes[code] {
		message += a.ClockHint()
	}
	refused := a.Refusal(code, message, kind)
	if code == blacklistCode {
		refused.RetryAfter = max(refused.RetryAfter, blacklistTime)
	}
	return refused
}

func kindOf(code string, status int) error {
	for end := len(code); end > 0; end-- {
		if kind, ok := kinds[code[:end]]; ok {
			return kind
		}
	}
	switch {
	case status == statusAuth:
		return fetch.ErrAuth
	case code != "" && status/100 == 2:
		return fetch.ErrRefused // it was read, and is no success
	}
	return api.KindOf(status)
}
