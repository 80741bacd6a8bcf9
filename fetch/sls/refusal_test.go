package sls

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
)

func TestRefusals(t *testing.T) {
	fail := func(code string) string { return `{"errorCode":"` + code + `","errorMessage":"why"}` }
	for _, c := range []struct {
		name   string
		status int
		body   string
		want   error
	}{
		{"a wrong signature is no access", 401, fail("SignatureNotMatch"), fetch.ErrAuth},
		{"a foreign key is no access", 401, fail("Unauthorized"), fetch.ErrAuth},
		{"an unknown key is no access, whatever the status", 400, fail("InvalidAccessKeyId"), fetch.ErrAuth},
		{"a skewed clock is no access", 400, fail("RequestTimeTooSkewed"), fetch.ErrAuth},
		{"a clock that is late is no access", 400, fail("RequestTimeExpired"), fetch.ErrAuth},
		{"a time that is none is no access", 400, fail("InvalidRequestTime"), fetch.ErrAuth},
		{"a write quota is a throttle", 403, fail("WriteQuotaExceed"), fetch.ErrThrottled},
		{"a read quota is a throttle", 403, fail("ReadQuotaExceed"), fetch.ErrThrottled},
		{"a quota of calls is a throttle", 403, fail("MetaOperationQpsLimitExceeded"), fetch.ErrThrottled},
		{"a forbidden project is refused", 403, fail("ProjectForbidden"), fetch.ErrRefused},
		{"an unknown project is not found", 404, fail("ProjectNotExist"), fetch.ErrNotFound},
		{"an unknown project is not found, in the old word", 404, fail("ProjectNotExists"), fetch.ErrNotFound},
		{"an unknown job is not found, whatever the status", 400, fail("JobNotExist"), fetch.ErrNotFound},
		{"an unknown Logstore is not found", 404, fail("LogStoreNotExist"), fetch.ErrNotFound},
		{"a bad parameter is refused, in the new word", 400, fail("InvalidParameter"), fetch.ErrRefused},
		{"a call without a type is refused", 400, fail("MissingContentType"), fetch.ErrRefused},
		{"a call without a size is refused", 400, fail("MissingBodyRawSize"), fetch.ErrRefused},
		{"a call with a bad size is refused", 400, fail("InvalidBodyRawSize"), fetch.ErrRefused},
		{"a call without a date is refused", 400, fail("MissingDate"), fetch.ErrRefused},
		{"a call with a bad date is refused", 400, fail("InvalidDateFormat"), fetch.ErrRefused},
		{"a call without a version is refused", 400, fail("MissingAPIVersion"), fetch.ErrRefused},
		{"a call with a bad version is refused", 400, fail("InvalidAPIVersion"), fetch.ErrRefused},
		{"a call without a key is refused", 400, fail("MissAccessKeyId"), fetch.ErrRefused},
		{"a call without a method of signing is refused", 400, fail("MissingSignatureMethod"), fetch.ErrRefused},
		{"a call with a bad method of signing is refused", 400, fail("InvalidSignatureMethod"), fetch.ErrRefused},
		{"a body that is too large is refused", 413, fail("PostBodyTooLarge"), fetch.ErrRefused},
		{"a bad type is refused", 415, fail("InvalidContentType"), fetch.ErrRefused},
		{"a bad parameter is refused", 400, fail("ParameterInvalid"), fetch.ErrRefused},
		{"a missing length is refused", 411, fail("MissingContentLength"), fetch.ErrRefused},
		{"a server's error is temporary", 500, fail("InternalServerError"), fetch.ErrTemporary},
		{"a server's timeout is temporary", 500, fail("RequestTimeout"), fetch.ErrTemporary},
		{"a busy server is temporary", 503, fail("ServerBusy"), fetch.ErrTemporary},
		{"a code with a status of success is a refusal", 200, fail("JobNotExist"), fetch.ErrNotFound},
		{"401 with an unknown code is no access", 401, fail("New"), fetch.ErrAuth},
		{"403 with an unknown code is no access", 403, fail("New"), fetch.ErrAuth},
		{"404 with an unknown code is not found", 404, fail("New"), fetch.ErrNotFound},
		{"404 without a body is not found", 404, "", fetch.ErrNotFound},
		{"429 is a throttle", 429, "slow down", fetch.ErrThrottled},
		{"another 4xx is refused", 418, `{"Code":"Teapot"}`, fetch.ErrRefused},
		{"another 5xx is temporary", 504, "<html>", fetch.ErrTemporary},
		{"a redirect is refused", 302, "", fetch.ErrRefused},
		{"a page for a job is temporary", 200, "<html>please log in</html>", fetch.ErrTemporary},
		{"an empty answer is temporary", 200, "", fetch.ErrTemporary},
		{"a job cut short is temporary", 200, succeeded()[:300], fetch.ErrTemporary},
		{"a job without a status is temporary", 200, `{"name":"download-123"}`, fetch.ErrTemporary},
		{"null for a job is temporary", 200, `null`, fetch.ErrTemporary},
		{"a list for a job is temporary", 200, `[]`, fetch.ErrTemporary},
		{"an endless answer is temporary", 200, `{"status":"` + strings.Repeat("x", 1<<20), fetch.ErrTemporary},
	} {
		if testing.Short() && len(c.body) > 1<<20 {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			_, err := answering(c.status, c.body, "x-log-requestid", "R1").Export(t.Context(), parseRef(t, jobRef))
			var call *fetch.CallError
			if !errors.As(err, &call) || !errors.Is(err, c.want) || call.Status != c.status || call.RequestID != "R1" {
				t.Fatalf("got %v, want a CallError of kind %v", err, c.want)
			}
			if text := err.Error(); strings.Contains(text, "canary") || len(text) > 300 {
				t.Errorf("got %s", text)
			}
		})
	}
}

func TestRetryAfterIsKept(t *testing.T) {
	for _, c := range []struct {
		name, value string
		low, high   time.Duration
	}{
		{"in seconds", "7", 7 * time.Second, 7 * time.Second},
		{"as a date", time.Now().Add(time.Minute).UTC().Format(http.TimeFormat), 50 * time.Second, time.Minute},
		{"as a date gone by", "Fri, 02 Jan 2006 03:04:05 GMT", 0, 0},
		{"as nonsense", "soon", 0, 0},
		{"below zero", "-1", 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := answering(503, "", "Retry-After", c.value).Export(t.Context(), parseRef(t, jobRef))
			var call *fetch.CallError
			if !errors.As(err, &call) || call.RetryAfter < c.low || call.RetryAfter > c.high {
				t.Errorf("got %v, want to wait %v to %v", err, c.low, c.high)
			}
		})
	}
}

func TestASkewedClockIsNamedWithItsError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct{ date, want string }{
			{time.Now().Add(-20 * time.Minute).UTC().Format(http.TimeFormat), "it is 20m0s ahead of the service's"},
			{time.Now().Add(time.Hour).UTC().Format(http.TimeFormat), "it is 1h0m0s behind the service's"},
			{"", "check this machine's clock"},
		} {
			_, err := answering(400, `{"errorCode":"RequestTimeExpired","errorMessage":"expired"}`, "Date", c.date).
				Export(t.Context(), parseRef(t, jobRef))
			if !errors.Is(err, fetch.ErrAuth) || !strings.HasSuffix(err.Error(), c.want) {
				t.Errorf("got %v, want it to end in %s", err, c.want)
			}
		}
	})
}

func TestNoSecretInWhatTheServiceSays(t *testing.T) {
	const said = `key SECRETcanary token CAISTOKENcanary\u003d\u003d and https://h/p?Expires=1\u0026Signature=canary`
	for _, c := range []struct {
		name   string
		status int
		body   string
	}{
		{"of an error", 401, `{"errorCode":"SignatureNotMatch","errorMessage":"` + said + `"}`},
		{"of an error in its code", 401, `{"errorCode":"` + said + `"}`},
		{"of a job that failed", 200, `{"status":"ERROR","executionDetails":{"errorMessage":"` + said + `"}}`},
		{"of a job in a notice", 200, succeeded(`"notice": ""`, `"notice": "`+said+`"`)},
		{"on a page", 500, "<p>" + strings.ReplaceAll(said, `\u003d`, "=") + "</p>"},
		{"of a file with slashes escaped, cut short", 200, `{"filePath":"https:\/\/h\/p?a=1\u0026Signature=canary`},
	} {
		t.Run(c.name, func(t *testing.T) {
			export, err := answering(c.status, c.body).Export(t.Context(), parseRef(t, jobRef))
			if got := fetchtest.Describe(t, export, err); strings.Contains(got, "canary") {
				t.Errorf("got %s", got)
			}
		})
	}
}
