package objstore

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"tallyman/fetch"
)

func answered(status int, body string, header http.Header) *fetch.CallError {
	refusal, _ := Refusal("GET https://h/a", &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body))})
	return refusal
}

func said(code, message string) string {
	return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>\n  <Code>" + code + "</Code>\n  <Message>" + message +
		"</Message>\n  <RequestId>R1</RequestId>\n  <HostId>h</HostId>\n  <EC>0002-00000069</EC>\n</Error>\n"
}

func TestRefusalIsClassifiedByCodeThenByStatus(t *testing.T) {
	for _, tt := range []struct {
		status        int
		code, message string // of the XML; no code: no XML
		kind          error
	}{
		{403, "AccessDenied", "Request has expired.", fetch.ErrExpired},
		{403, "RequestTimeTooSkewed", "Request has expired.", fetch.ErrExpired},
		{403, "SecurityTokenExpired", "The security token you provided has expired.", fetch.ErrExpired},
		{400, "ExpiredToken", "The provided token has expired.", fetch.ErrExpired},
		{403, "AccessDenied", "The bucket you are attempting to access must be addressed using the specified endpoint.", fetch.ErrAuth},
		{403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.", fetch.ErrAuth},
		{403, "InvalidAccessKeyId", "The OSS Access Key Id you provided does not exist in our records.", fetch.ErrAuth},
		{403, "SignatureDoesNotMatch", "The request signature we calculated does not match.", fetch.ErrAuth},
		{403, "InvalidSecurityToken", "The security token you provided is invalid.", fetch.ErrAuth},
		{403, "UserDisable", "UserDisable", fetch.ErrAuth},
		{400, "TooManyWrongSignature", "", fetch.ErrAuth},
		{401, "", "", fetch.ErrAuth},
		{403, "", "", fetch.ErrAuth},
		{403, "InvalidObjectState", "The operation is not valid for the object's state.", fetch.ErrRefused},
		{404, "NoSuchKey", "The specified key does not exist.", fetch.ErrNotFound},
		{404, "NoSuchBucket", "The specified bucket does not exist.", fetch.ErrNotFound},
		{404, "SymlinkTargetNotExist", "", fetch.ErrNotFound},
		{404, "", "", fetch.ErrNotFound},
		{405, "MethodNotAllowed", "", fetch.ErrNotFound},
		{410, "", "", fetch.ErrNotFound},
		{400, "InvalidTargetType", "", fetch.ErrRefused},
		{400, "ExternalRedirectForbidden", "", fetch.ErrRefused},
		{400, "RequestTimeout", "", fetch.ErrTemporary},
		{408, "", "", fetch.ErrTemporary},
		{412, "PreconditionFailed", "", fetch.ErrChanged},
		{416, "InvalidRange", "", fetch.ErrChanged},
		{424, "MirrorFailed", "", fetch.ErrTemporary},
		{425, "", "", fetch.ErrTemporary},
		{429, "QpsLimitExceeded", "Please reduce your request rate.", fetch.ErrThrottled},
		{429, "TooManyRequests", "", fetch.ErrThrottled},
		{429, "", "", fetch.ErrThrottled},
		{503, "DownloadTrafficRateLimitExceeded", "", fetch.ErrThrottled},
		{503, "TotalQpsLimitExceeded", "", fetch.ErrThrottled},
		{503, "MetaOperationQpsLimitExceeded", "", fetch.ErrThrottled},
		{503, "ActiveRequestLimitExceeded", "", fetch.ErrThrottled},
		{503, "SlowDown", "Please reduce your request rate.", fetch.ErrThrottled},
		{503, "ServiceUnavailable", "", fetch.ErrTemporary},
		{503, "CpuLimitExceeded", "", fetch.ErrTemporary},
		{500, "InternalError", "", fetch.ErrTemporary},
		{502, "", "", fetch.ErrTemporary},
		{504, "", "", fetch.ErrTemporary},
		{599, "", "", fetch.ErrTemporary},
		{204, "", "", fetch.ErrRefused},
		{301, "PermanentRedirect", "", fetch.ErrRefused},
		{304, "", "", fetch.ErrRefused},
		{418, "", "", fetch.ErrRefused},
	} {
		body := "<html><head><title>no</title><body>"
		if tt.code != "" {
			body = said(tt.code, tt.message)
		}
		got := answered(tt.status, body, http.Header{})
		if got.Kind != tt.kind || got.Code != tt.code || got.Status != tt.status || got.Message != tt.message {
			t.Errorf("%d %s %q: %+v, want %v", tt.status, tt.code, tt.message, got, tt.kind)
		}
	}
}

func TestARefusalKeepsStatusCodeAndRequestID(t *testing.T) {
	for _, tt := range []struct {
		body, header, value, want string
	}{
		{said("NoSuchKey", ""), "X-Oss-Request-Id", "R2", "R1"},
		{"", "X-Oss-Request-Id", "R2", "R2"},
		{"", "X-Obs-Request-Id", "R3", "R3"},
		{"", "X-Other", "R4", ""},
	} {
		if got := answered(404, tt.body, http.Header{tt.header: {tt.value}}); got.RequestID != tt.want {
			t.Errorf("%s with %s: request %q, want %q", tt.body, tt.header, got.RequestID, tt.want)
		}
	}
	if got := answered(503, "", http.Header{"Retry-After": {"7"}}); got.RetryAfter != 7*time.Second {
		t.Errorf("RetryAfter is %v", got.RetryAfter)
	}
}

func TestTextsOfAStoreAreOneShortLine(t *testing.T) {
	got := answered(400, said("A\nB", "see\n\thttps://h/a?Signature=CANARY and\r\n"+strings.Repeat("日", 1000)), nil)
	if text := got.Error(); strings.ContainsAny(text, "\r\n\t") || strings.Contains(text, "CANARY") || len(text) > 1000 || !utf8.ValidString(text) {
		t.Errorf("%q", text)
	}
}

func FuzzRefusal(f *testing.F) {
	f.Add(403, said("AccessDenied", "Request has expired."))
	f.Add(404, "<html>")
	f.Add(500, "<Error><Code>A</Code><Code>B</Code>")
	f.Fuzz(func(t *testing.T, status int, body string) {
		got := answered(status, body, http.Header{})
		if got.Kind == nil || strings.ContainsAny(got.Code+got.Message+got.RequestID, "\r\n") || len(got.Error()) > 2000 {
			t.Errorf("%d %q: %q", status, body, got)
		}
	})
}
