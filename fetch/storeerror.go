package fetch

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"
	"unicode"

	"tallyman/fetch/internal/decode"
	"tallyman/fetch/redact"
)

// A StoreError is the XML in which OSS, OBS and S3 refuse a request. Its texts
// may be shown: each is one line, without a secret.
type StoreError struct {
	XMLName   xml.Name
	Code      string `xml:"Code"`
	Message   string `xml:"Message"`
	RequestID string `xml:"RequestId"`
}

// ParseStoreError reads the body of a refusal. The StoreError is empty if the
// body is no such XML.
func ParseStoreError(body []byte) StoreError {
	var said StoreError
	_ = xml.Unmarshal(body, &said)
	said.Code, said.Message, said.RequestID = printableText(said.Code), printableText(said.Message), printableText(said.RequestID)
	return said
}

// storeCodes classifies the codes of OSS, OBS and S3. A message, where there is
// one, must be part of theirs.
var storeCodes = []struct {
	code, message string
	kind          error
}{
	{"AccessDenied", "expired", ErrExpired}, // "Request has expired."; EC codes may change, the words have not
	{"AccessDenied", "", ErrAuth},
	{"RequestTimeTooSkewed", "expired", ErrExpired},
	{"SecurityTokenExpired", "", ErrExpired},
	{"ExpiredToken", "", ErrExpired},
	{"RequestTimeTooSkewed", "", ErrAuth},
	{"TooManyWrongSignature", "", ErrAuth},
	{"SignatureDoesNotMatch", "", ErrAuth},
	{"InvalidAccessKeyId", "", ErrAuth},
	{"InvalidSecurityToken", "", ErrAuth},
	{"NoSuchKey", "", ErrNotFound},
	{"NoSuchBucket", "", ErrNotFound},
	{"RequestTimeout", "", ErrTemporary},
	{"InternalError", "", ErrTemporary},
	{"ServiceUnavailable", "", ErrTemporary},
	{"InvalidObjectState", "", ErrRefused}, // archived: to be restored first
	{"SlowDown", "", ErrThrottled},
	{"QpsLimitExceeded", "", ErrThrottled},
	{"TotalQpsLimitExceeded", "", ErrThrottled},
	{"MetaOperationQpsLimitExceeded", "", ErrThrottled},
	{"DownloadTrafficRateLimitExceeded", "", ErrThrottled},
	{"ActiveRequestLimitExceeded", "", ErrThrottled},
	{"MirrorFailed", "", ErrTemporary},
}

// Kind returns the sentinel error that the code stands for, or nil.
func (e StoreError) Kind() error {
	for _, c := range storeCodes {
		if c.code == e.Code && strings.Contains(strings.ToLower(e.Message), c.message) {
			return c.kind
		}
	}
	return nil
}

// longestText is how much of a text of a store's is shown.
const longestText = 300

// printableText makes one line of a text, without secrets and without what would
// act on a terminal.
func printableText(s string) string {
	printable := func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}
	s = strings.Join(strings.Fields(strings.Map(printable, redact.Text(s))), " ")
	return strings.ToValidUTF8(s[:min(len(s), longestText)], "")
}

// pageError makes a *CallError of an error page that came in place of an object.
func pageError(object string, page *decode.PageError) error {
	refused := &CallError{Call: "read " + object, Status: http.StatusOK, Kind: ErrCorrupt}
	said := StoreError{Code: printableText(page.Code), Message: printableText(page.Message), RequestID: printableText(page.RequestID)}
	if page.Format != "JSON" {
		said = ParseStoreError(page.Body)
	}
	if said.Code != "" || page.Format == "JSON" || page.Format == "XML" {
		refused.Code, refused.Message, refused.RequestID = said.Code, said.Message, said.RequestID
		if kind := said.Kind(); kind != nil {
			refused.Kind = kind
		}
		return refused
	}
	refused.Message = map[string]string{"HTML": "a page of HTML", "text": "a text"}[page.Format]
	if page.Title != "" {
		refused.Message += fmt.Sprintf(", %q", printableText(strings.ToValidUTF8(page.Title, "?")))
	}
	return refused
}
