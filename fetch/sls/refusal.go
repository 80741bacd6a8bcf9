package sls

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"
	"unicode"

	"tallyman/fetch"
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

var statusKinds = map[int]error{
	http.StatusUnauthorized:    fetch.ErrAuth,
	http.StatusForbidden:       fetch.ErrAuth,
	http.StatusNotFound:        fetch.ErrNotFound,
	http.StatusRequestTimeout:  fetch.ErrTemporary,
	http.StatusTooManyRequests: fetch.ErrThrottled,
}

func kind(code string, status int) error {
	if kind, ok := kinds[code]; ok {
		return kind
	}
	if kind, ok := statusKinds[status]; ok {
		return kind
	}
	if status >= 300 && status < 500 {
		return fetch.ErrRefused
	}
	return fetch.ErrTemporary
}

// check is nil if the service did what it was asked.
func (a *answer) check() error {
	if len(a.body) > maxAnswer {
		return a.refusal("", fmt.Sprintf("the answer is longer than %d bytes", maxAnswer))
	}
	var said struct {
		Code    loose `json:"errorCode"`
		Message loose `json:"errorMessage"`
	}
	err := unmarshal(a.body, &said)
	if a.status/100 == 2 && said.Code == "" {
		return nil
	}
	if err != nil || said.Code+said.Message == "" {
		return a.refusal("", a.excerpt())
	}
	return a.refusal(string(said.Code), string(said.Message))
}

func (a *answer) refusal(code, message string) error {
	return &fetch.CallError{
		Call: a.call, Status: a.status, Code: a.clean(code), Message: a.clean(message) + a.clockHint(code, time.Now()),
		RequestID: a.requestID(), After: fetch.RetryAfter(a.header), Kind: kind(code, a.status),
	}
}

var clockCodes = map[string]bool{"RequestTimeTooSkewed": true, "RequestTimeExpired": true, "InvalidRequestTime": true}

func (a *answer) clockHint(code string, now time.Time) string {
	if !clockCodes[code] {
		return ""
	}
	date, err := http.ParseTime(a.header.Get("Date"))
	if err != nil {
		return "; check this machine's clock"
	}
	direction, off := "ahead of", now.Sub(date)
	if off < 0 {
		direction, off = "behind", -off
	}
	return fmt.Sprintf("; check this machine's clock: it is %v %s the service's", off.Round(time.Second), direction)
}

// anyQuery is all that may be a query in a text of unknown form, where URLs
// may be escaped so that fetch.Redact does not see them.
var anyQuery = regexp.MustCompile(`\?[^\s"'<>]*`)

const excerptLength = 100

// excerpt is the beginning of an answer that can't be read, fit to print.
func (a *answer) excerpt() string {
	text := anyQuery.ReplaceAllString(a.clean(string(a.body)), "?")
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) && r != unicode.ReplacementChar {
			return r
		}
		return ' '
	}, text)
	runes := []rune(strings.Join(strings.Fields(text), " "))
	return string(runes[:min(len(runes), excerptLength)])
}
