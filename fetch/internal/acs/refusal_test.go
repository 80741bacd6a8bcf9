package acs

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tallyman/fetch"
)

func TestRefusals(t *testing.T) {
	fail := func(code string) string {
		return `{"RequestId":"R1","HostId":"h","Code":"` + code + `","Message":"why"}`
	}
	for _, c := range []struct {
		name   string
		status int
		body   string
		kind   error
		want   string // of the error, behind its kind and its status
	}{
		{"a throttle hides behind 400", 400, fail("Throttling"), fetch.ErrThrottled, "Throttling: why (request R1)"},
		{"a throttle of the account", 400, fail("Throttling.User"), fetch.ErrThrottled, "Throttling.User: why (request R1)"},
		{"a throttle of the call", 403, fail("Throttling.Api"), fetch.ErrThrottled, "Throttling.Api: why (request R1)"},
		{"a wrong signature is no access", 400, fail("SignatureDoesNotMatch"), fetch.ErrAuth, "SignatureDoesNotMatch: why (request R1)"},
		{"a signature that lacks a part is no access", 400, fail("IncompleteSignature"), fetch.ErrAuth, "IncompleteSignature: why (request R1)"},
		{"an unknown key is no access", 404, fail("InvalidAccessKeyId.NotFound"), fetch.ErrAuth, "InvalidAccessKeyId.NotFound: why (request R1)"},
		{"a disabled key is no access", 400, fail("InvalidAccessKeyId.Inactive"), fetch.ErrAuth, "InvalidAccessKeyId.Inactive: why (request R1)"},
		{"an expired token is no access", 400, fail("InvalidSecurityToken.Expired"), fetch.ErrAuth, "InvalidSecurityToken.Expired: why (request R1)"},
		{"a malformed token is no access", 403, fail("InvalidSecurityToken.Malformed"), fetch.ErrAuth, "InvalidSecurityToken.Malformed: why (request R1)"},
		{"a missing token is no access", 400, fail("MissingSecurityToken"), fetch.ErrAuth, "MissingSecurityToken: why (request R1)"},
		{"a skewed clock is no access", 400, fail("InvalidTimeStamp.Expired"), fetch.ErrAuth, "InvalidTimeStamp.Expired: why; check this machine's clock (request R1)"},
		{"what a role may not do is no access", 403, fail("Forbidden.RAM"), fetch.ErrAuth, "Forbidden.RAM: why (request R1)"},
		{"the forbidden is no access", 400, fail("Forbidden"), fetch.ErrAuth, "Forbidden: why (request R1)"},
		{"no permission is no access", 400, fail("NoPermission"), fetch.ErrAuth, "NoPermission: why (request R1)"},
		{"a forbidden request is no access", 403, fail("Request.Forbidden"), fetch.ErrAuth, "Request.Forbidden: why (request R1)"},
		{"a used nonce may pass", 400, fail("SignatureNonceUsed"), fetch.ErrTemporary, "SignatureNonceUsed: why (request R1)"},
		{"an internal error may pass", 500, fail("InternalError"), fetch.ErrTemporary, "InternalError: why (request R1)"},
		{"an unavailable service may pass, whatever the status", 400, fail("ServiceUnavailable"), fetch.ErrTemporary, "ServiceUnavailable: why (request R1)"},
		{"an unknown API is refused, though 404", 404, fail("InvalidApi.NotFound"), fetch.ErrRefused, "InvalidApi.NotFound: why (request R1)"},
		{"an unknown action is refused, though 404", 404, fail("InvalidAction.NotFound"), fetch.ErrRefused, "InvalidAction.NotFound: why (request R1)"},
		{"an unknown version is refused, though 404", 404, fail("InvalidVersion"), fetch.ErrRefused, "InvalidVersion: why (request R1)"},
		{"a wrong signature is no access, with 403 too", 403, fail("SignatureDoesNotMatch"), fetch.ErrAuth, "SignatureDoesNotMatch: why (request R1)"},
		{"an unknown key is no access, with 400 too", 400, fail("InvalidAccessKeyId.NotFound"), fetch.ErrAuth, "InvalidAccessKeyId.NotFound: why (request R1)"},
		{"a missing parameter is refused, in one word for all", 400, fail("MissingParameter"), fetch.ErrRefused, "MissingParameter: why (request R1)"},
		{"a missing parameter is refused", 400, fail("MissingOrderId"), fetch.ErrRefused, "MissingOrderId: why (request R1)"},
		{"a bad parameter is refused", 400, fail("InvalidParameter"), fetch.ErrRefused, "InvalidParameter: why (request R1)"},
		{"an unknown thing is not found, whatever the status", 400, fail("TENANT_NOT_EXIST"), fetch.ErrNotFound, "TENANT_NOT_EXIST: why (request R1)"},
		{"an unknown code with 404 is not found", 404, fail("New"), fetch.ErrNotFound, "New: why (request R1)"},
		{"an unknown code with 401 is no access", 401, fail("New"), fetch.ErrAuth, "New: why (request R1)"},
		{"an unknown code with 403 is no access", 403, fail("New"), fetch.ErrAuth, "New: why (request R1)"},
		{"an unknown code with 500 may pass", 500, fail("UnknownError"), fetch.ErrTemporary, "UnknownError: why (request R1)"},
		{"fields may begin with small letters", 403, `{"requestId":"R1","code":"Throttling.User","message":"why"}`, fetch.ErrThrottled, "Throttling.User: why (request R1)"},
		{"a product's code is one too", 400, `{"Success":false,"ErrorCode":"TenantNotExist","ErrorMessage":"why"}`, fetch.ErrNotFound, "TenantNotExist: why (request H1)"},
		{"another product's code is one too", 500, `{"Success":"false","ErrCode":"DBS.InternalError","ErrMessage":"why"}`, fetch.ErrTemporary, "DBS.InternalError: why (request H1)"},
		{"a code may be a number", 400, `{"Code":404,"Message":["why"]}`, fetch.ErrRefused, "404 (request H1)"},
		{"429 is a throttle", 429, "slow down", fetch.ErrThrottled, "slow down (request H1)"},
		{"a page keeps its status", 502, "<html>\n<h1>Bad Gateway</h1></html>", fetch.ErrTemporary, "<html> <h1>Bad Gateway</h1></html> (request H1)"},
		{"XML keeps its status", 404, `<Error><Code>InvalidAccessKeyId.NotFound</Code></Error>`, fetch.ErrNotFound, `<Error><Code>InvalidAccessKeyId.NotFound</Code></Error> (request H1)`},
		{"nothing keeps its status", 503, "", fetch.ErrTemporary, "(request H1)"},
		{"a number for an answer keeps its status", 400, "17", fetch.ErrRefused, "17 (request H1)"},
		{"a list for an answer keeps its status", 403, "[]", fetch.ErrAuth, "[] (request H1)"},
		{"null for an answer keeps its status", 403, "null", fetch.ErrAuth, "null (request H1)"},
		{"JSON cut short keeps its status", 500, fail("InternalError")[:30], fetch.ErrTemporary, `{"RequestId":"R1","HostId":"h" (request H1)`},
		{"an answer in two values keeps its status", 500, `{}{}`, fetch.ErrTemporary, `{}{} (request H1)`},
		{"a redirect is refused", 302, "", fetch.ErrRefused, "(request H1)"},
		{"an endless refusal keeps its status", 403, strings.Repeat("x", 1<<20+1), fetch.ErrAuth, "the answer is longer than 1048576 bytes (request H1)"},
		{"an endless answer may pass", 200, `{"x":"` + strings.Repeat("x", 1<<20), fetch.ErrTemporary, "the answer is longer than 1048576 bytes (request H1)"},
		{"control characters are not printed", 400, `{"Code":"A\u001b[2J","Message":"b\nc\u0000"}`, fetch.ErrRefused, "A [2J: b c  (request H1)"},
	} {
		for _, contentType := range []string{"application/json;charset=utf-8", "text/xml;charset=utf-8", ""} {
			t.Run(c.name+" "+contentType, func(t *testing.T) {
				_, err := answering(c.status, c.body, "x-acs-request-id", "H1", "Content-Type", contentType).Call(t.Context(), "Query", nil)
				var call *fetch.CallError
				if !errors.As(err, &call) || !errors.Is(err, c.kind) || call.Status != c.status || call.RetryAfter != 0 {
					t.Fatalf("got %v, want a CallError of kind %v", err, c.kind)
				}
				if !strings.HasSuffix(err.Error(), c.want) {
					t.Errorf("got %v, want %s", err, c.want)
				}
			})
		}
	}
}

func TestTheLengthOfAThrottle(t *testing.T) {
	const api, user = "x-ratelimit-user-api", "x-ratelimit-user"
	for _, c := range []struct {
		name    string
		code    string
		headers []string
		want    time.Duration
	}{
		{"for the call", "Throttling.Api", []string{api, "Limit:1,Remain:0,TimeLeft:700,Reset:1"}, 700 * time.Millisecond},
		{"for the account", "Throttling.User", []string{user, "Limit:1,Remain:0,TimeLeft:2000,Reset:1"}, 2 * time.Second},
		{"for both, the longer one", "Throttling.User", []string{user, "TimeLeft:10", api, "TimeLeft:20"}, 20 * time.Millisecond},
		{"for both, the other one", "Throttling.User", []string{user, "TimeLeft:20", api, "TimeLeft:10"}, 20 * time.Millisecond},
		{"with spaces", "Throttling", []string{api, "Limit: 1, TimeLeft: 700 "}, 700 * time.Millisecond},
		{"in another case", "Throttling", []string{api, "timeleft:700"}, 700 * time.Millisecond},
		{"0", "Throttling", []string{api, "TimeLeft:0"}, 0},
		{"below 0", "Throttling", []string{api, "TimeLeft:-700"}, 0},
		{"a fraction", "Throttling", []string{api, "TimeLeft:0.7"}, 0},
		{"a word", "Throttling", []string{api, "TimeLeft:soon"}, 0},
		{"nothing", "Throttling", []string{api, "TimeLeft:"}, 0},
		{"no value", "Throttling", []string{api, "TimeLeft"}, 0},
		{"longer than a number", "Throttling", []string{api, "TimeLeft:99999999999999999999"}, 0},
		{"absent", "Throttling", []string{api, "Limit:1,Reset:1"}, 0},
		{"empty", "Throttling", []string{api, ""}, 0},
		{"no header", "Throttling", nil, 0},
		{"Retry-After too", "Throttling", []string{"Retry-After", "3"}, 3 * time.Second},
		{"Retry-After and less", "Throttling", []string{"Retry-After", "3", api, "TimeLeft:700"}, 3 * time.Second},
		{"of what is no throttle", "InvalidParameter", []string{api, "TimeLeft:700"}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := answering(400, `{"Code":"`+c.code+`"}`, c.headers...).Call(t.Context(), "Query", nil)
			kind := fetch.ErrThrottled
			if !strings.HasPrefix(c.code, "Throttling") {
				kind = fetch.ErrRefused
			}
			if got := fetch.RetryAfter(err); !errors.Is(err, kind) || got != c.want {
				t.Errorf("got %v of %v, want %v of %v", got, err, c.want, kind)
			}
		})
	}
}

func TestASkewedClockIsNamedWithItsError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		date := time.Now().Add(-20 * time.Minute).UTC().Format(http.TimeFormat)
		_, err := answering(400, `{"Code":"InvalidTimeStamp.Expired","Message":"expired"}`, "Date", date).Call(t.Context(), "Query", nil)
		if !errors.Is(err, fetch.ErrAuth) || !strings.HasSuffix(err.Error(), "it is 20m0s ahead of the service's") {
			t.Errorf("got %v", err)
		}
	})
}

func TestNoSecretInWhatAServiceSays(t *testing.T) {
	once := url.QueryEscape(stsToken)
	for _, said := range []string{
		"x-acs-security-token:" + stsToken,
		"SecurityToken=" + once,
		"POST&%2F&SecurityToken%3D" + url.QueryEscape(once),
		"SecurityToken%253D" + url.QueryEscape(url.QueryEscape(once)),
		strings.ToLower("%2f") + strings.ReplaceAll(once, "%2F", "%2f"),
		strings.NewReplacer("/", `\/`, "=", `\u003d`, "+", `\u002B`).Replace(stsToken),
		strings.NewReplacer("/", "&#47;", "=", "&#x3d;", "+", "&#x2B;").Replace(stsToken),
		"the secret " + secret,
		"https://h/p?Expires=1&Signature=canary",
	} {
		for _, body := range []string{`{"Code":"SignatureDoesNotMatch","Message":"` + said + `"}`, `{"Code":"` + said + `"}`, "<p>" + said + "</p>", `{"RequestId":"` + said + `"}`} {
			_, err := answering(400, body, "x-acs-request-id", strings.ReplaceAll(said, "\n", "")).Call(t.Context(), "Query", nil)
			if err == nil || strings.Contains(err.Error(), "canary") {
				t.Errorf("%s: got %v", body, err)
			}
		}
	}
}
