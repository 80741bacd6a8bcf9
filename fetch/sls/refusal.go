package sls

import (
	"tallyman/fetch"
	"tallyman/fetch/internal/api"
)

// kinds tells what a code means for the caller, whatever the HTTP status that
// it came with: throttles hide behind 403.
var kinds = map[string]error{
	"SignatureNotMatch":    fetch.ErrAuth,
	"Unauthorized":         fetch.ErrAuth,
	"InvalidAccessKeyId":   fetch.ErrAuth,
	"RequestTimeTooSkewed": fetch.ErrAuth,
	"RequestTimeExpired":   fetch.ErrAuth,
	"InvalidRequestTime":   fetch.ErrAuth,

	"ReadQuotaExceed":               fetch.ErrThrottled,
	"WriteQuotaExceed":              fetch.ErrThrottled,
	"MetaOperationQpsLimitExceeded": fetch.ErrThrottled,

	"ProjectNotExist":  fetch.ErrNotFound,
	"ProjectNotExists": fetch.ErrNotFound,
	"LogStoreNotExist": fetch.ErrNotFound,
	"JobNotExist":      fetch.ErrNotFound,

	"InternalServerError": fetch.ErrTemporary,
	"RequestTimeout":      fetch.ErrTemporary,
	"ServerBusy":          fetch.ErrTemporary,

	"ProjectForbidden": fetch.ErrRefused,
}

// clockCodes find the time of a call too far from the service's.
var clockCodes = map[string]bool{"RequestTimeTooSkewed": true, "RequestTimeExpired": true, "InvalidRequestTime": true}

// check is nil if the service did what it was asked.
func check(a *api.Answer) error {
	var said struct {
		Code    api.LenientString `json:"errorCode"`
		Message api.LenientString `json:"errorMessage"`
	}
	err := api.Unmarshal(a.Body, &said)
	if a.Status/100 == 2 && said.Code == "" {
		return nil
	}
	if err != nil || said.Code+said.Message == "" {
		return refusal(a, "", a.Excerpt())
	}
	return refusal(a, string(said.Code), string(said.Message))
}

func refusal(a *api.Answer, code, message string) error {
	kind, ok := kinds[code]
	if !ok {
		kind = api.KindOf(a.Status)
	}
	if clockCodes[code] {
		message += a.ClockHint()
	}
	return a.Refusal(code, message, kind)
}
