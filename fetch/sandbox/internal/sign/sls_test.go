package sign

import (
	"crypto/md5"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"tallyman/fetch/sandbox/internal/apierr"
)

const (
	slsHost = "http://ali-test-project.cn-hangzhou.log.aliyuncs.com"
	body123 = `{"name":"download-123"}`
)

func logAuth(signature string) string { return "LOG " + testID + ":" + signature }

func sls4Auth(signature string) string {
	return "SLS4-HMAC-SHA256 Credential=" + testID + "/20260102/cn-hangzhou/sls/aliyun_v4_request,Signature=" + signature
}

// slsTime is the time of the vectors that are not published.
var slsTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

var slsVectors = map[string]struct {
	method, url, body string
	token             string
	now               time.Time
	headers           []string
}{
	"published, sha1": {
		"GET", slsHost + "/logstores", "", "", time.Date(2010, 1, 3, 8, 33, 47, 0, time.UTC),
		[]string{"Date", "Mon, 3 Jan 2010 08:33:47 GMT", "Authorization", logAuth("Rwm6cTKzoti4HWoe+GKcb6Kv07E=")},
	},
	"v1, sha1": {
		"GET", slsHost + "/downloadjobs/download-123", "", "", slsTime,
		[]string{"Authorization", logAuth("WkP/WPOwrC+1vdAS6y5N7d/joX0=")},
	},
	"v1, sha256": {
		"GET", slsHost + "/downloadjobs/download-123", "", "", slsTime,
		[]string{"x-log-signaturemethod", "hmac-sha256", "Authorization", logAuth("1TXLDbdbD8BXS47kRvldIVFC+UlWi6epv72TpslQ+dE=")},
	},
	"v1, query": {
		"GET", slsHost + "/downloadjobs?logstore=a+b&offset=0&size=10", "", "", slsTime,
		[]string{"Authorization", logAuth("B1GJy0SKKwXgcpy6Bcnyulhl9vI=")},
	},
	"v1, body and token": {
		"POST", slsHost + "/downloadjobs", body123, "tok", slsTime,
		[]string{"Content-MD5", "FA2CD0C9592062623628170A9F006D36", "Content-Type", "application/json", "x-log-bodyrawsize", "23",
			"x-acs-security-token", "tok", "Authorization", logAuth("Zz01quqCDjE4sA3YtBfLJbd9Ud0=")},
	},
	"v4": {
		"GET", slsHost + "/downloadjobs/download-123", "", "", slsTime,
		[]string{"x-log-signaturemethod", "", "x-log-date", "20260102T030405Z", "x-log-content-sha256", emptyHash,
			"Authorization", sls4Auth("3b247991a1326fdd111f07b2302aa75af74fc1fbd93879b6f6df79f4a43b18bd")},
	},
}

// slsVector returns the request of a vector, and its check.
func slsVector(name string) (r *http.Request, check func(body string) *apierr.Error) {
	v := slsVectors[name]
	r = httptest.NewRequest(v.method, v.url, nil)
	setHeaders(r, "x-log-apiversion", "0.6.0", "x-log-bodyrawsize", "0", "Date", "Fri, 02 Jan 2026 03:04:05 GMT", "x-log-signaturemethod", "hmac-sha1")
	setHeaders(r, v.headers...)
	return r, func(body string) *apierr.Error {
		return Account{AccessKeyID: testID, AccessKeySecret: testSecret, SecurityToken: v.token}.CheckSLS(r, []byte(body), v.now)
	}
}

func TestSLSVectorsAreAccepted(t *testing.T) {
	for name, v := range slsVectors {
		_, check := slsVector(name)
		wantAccepted(t, name, check(v.body))
	}
}

func TestPublishedSLS4VectorIsReproduced(t *testing.T) {
	r := httptest.NewRequest("POST", "/logstores", nil)
	setHeaders(r, "x-log-content-sha256", sha256Hex([]byte("adasd= -asd zcas")), "x-log-date", "20220808T032330Z")
	const scope = "20220808/cn-shanghai/sls/aliyun_v4_request"
	text := scopedText("SLS4-HMAC-SHA256", "20220808T032330Z", scope, sls4Request(r, []string{"x-log-content-sha256", "x-log-date"}))
	got := scopedSign("aliyun_v4zxasdasdasw2", scope, text)
	if want := "8a10a5e723cb2e75964816de660b2c16a58af8bc0261f7f0722d832468c76ce8"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestTamperedSLSRequestsGetTheVendorsErrors(t *testing.T) {
	for _, row := range []tampering{
		{"v1, sha1", "other path", setPath("4"), 401, "SignatureNotMatch"},
		{"v1, sha1", "other method", setMethod("DELETE"), 401, "SignatureNotMatch"},
		{"v1, sha1", "a header more", setHeader("x-log-more", "1"), 401, "SignatureNotMatch"},
		{"v1, sha1", "other hash", setHeader("x-log-signaturemethod", "hmac-sha256"), 401, "SignatureNotMatch"},
		{"v1, sha1", "unknown hash", setHeader("x-log-signaturemethod", "hmac-md5"), 400, "InvalidSignatureMethod"},
		{"v1, sha1", "no hash", setHeader("x-log-signaturemethod", ""), 400, "MissingSignatureMethod"},
		{"v1, sha1", "no date", setHeader("Date", ""), 400, "MissingDate"},
		{"v1, sha1", "odd date", setHeader("Date", "2026-01-02"), 400, "InvalidDateFormat"},
		{"v1, sha1", "16 minutes late", setHeader("Date", "Fri, 02 Jan 2026 02:48:05 GMT"), 400, "RequestTimeExpired"},
		{"v1, sha1", "16 minutes early", setHeader("Date", "Fri, 02 Jan 2026 03:20:06 GMT"), 400, "RequestTimeExpired"},
		{"v1, sha1", "10 minutes late", setHeader("Date", "Fri, 02 Jan 2026 02:54:05 GMT"), 401, "SignatureNotMatch"},
		{"v1, sha1", "no version", setHeader("x-log-apiversion", ""), 400, "MissingAPIVersion"},
		{"v1, sha1", "other version", setHeader("x-log-apiversion", "0.7.0"), 400, "InvalidAPIVersion"},
		{"v1, sha1", "no authorization", setHeader("Authorization", ""), 400, "MissAccessKeyId"},
		{"v1, sha1", "unknown key", setHeader("Authorization", "LOG other:WkP/WPOwrC+1vdAS6y5N7d/joX0="), 401, "Unauthorized"},
		{"v1, sha1", "a token unasked for", setHeader("x-acs-security-token", "tok"), 401, "Unauthorized"},
		{"v1, query", "other query", addQuery("1"), 401, "SignatureNotMatch"},
		{"v1, body and token", "other MD5", setHeader("Content-MD5", fmt.Sprintf("%X", md5.Sum([]byte("x")))), 401, "SignatureNotMatch"},
		{"v1, body and token", "no MD5", setHeader("Content-MD5", ""), 401, "SignatureNotMatch"},
		{"v1, body and token", "no type", setHeader("Content-Type", ""), 400, "MissingContentType"},
		{"v1, body and token", "no size", setHeader("x-log-bodyrawsize", ""), 400, "MissingBodyRawSize"},
		{"v1, body and token", "other size", setHeader("x-log-bodyrawsize", "22"), 400, "InvalidBodyRawSize"},
		{"v1, body and token", "no token", setHeader("x-acs-security-token", ""), 401, "Unauthorized"},
		{"v1, body and token", "other token", setHeader("x-acs-security-token", "kot"), 401, "Unauthorized"},
		{"v4", "other host", setHost("other"), 401, "SignatureNotMatch"},
		{"v4", "other body hash", setHeader("x-log-content-sha256", strings.Repeat("0", 64)), 401, "SignatureNotMatch"},
		{"v4", "no date", setHeader("x-log-date", ""), 400, "MissingDate"},
		{"v4", "no signature", setHeader("Authorization", sls4Auth("")), 401, "SignatureNotMatch"},
		{"v4", "no scope", setHeader("Authorization", "SLS4-HMAC-SHA256 Credential="+testID+",Signature="), 401, "SignatureNotMatch"},
		{"v4", "old date", setHeader("x-log-date", "20260101T030405Z"), 400, "RequestTimeExpired"},
	} {
		r, check := slsVector(row.of)
		row.change(r)
		wantError(t, row, check(slsVectors[row.of].body))
	}
}

func TestTamperedSLSBodyIsRefused(t *testing.T) {
	_, check := slsVector("v1, body and token")
	row := tampering{of: "v1, body and token", how: "another body", status: 401, code: "SignatureNotMatch"}
	wantError(t, row, check(strings.Replace(body123, "n", "m", 1)))
}
