package sign

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"tallyman/fetch/sandbox/internal/apierr"
)

const (
	logPath = "/v1/transfertasklog/CDaRPdvKUfZrAhzTaYs"
	logBody = `{"order":"desc","sortBy":"createTimeStr"}`
)

// sdkVectors are the vendor's, but for those of this operation, which agree
// with its SDKs.
var sdkVectors = map[string]struct {
	method, url, body, id, secret, token, at string
	headers                                  []string
	signed                                   string
}{
	"published plain, GET": {"GET", "http://h/path?limit=1", "", "AccessKey", "SecretKey", "", "20060102T150405Z", nil,
		"Access=AccessKey, SignedHeaders=x-sdk-date, Signature=5a2ce64c865e0e6046321c6f3d5a77ba8413eeaf355c3166c03d58d02ac79624"},
	"published plain, POST": {"POST", "http://h/path?key=value", "{\"Name\":\"test\",\"Id\":1}\n", "AccessKey", "SecretKey", "", "20060102T150405Z", nil,
		"Access=AccessKey, SignedHeaders=x-sdk-date, Signature=cecc2af119b18ab70b4d094c0750f3b42c02f254903179a0fc2cc72fc9db4f59"},
	"published plain, host": {"GET", "http://service.region.example.com/v1/77b6a44cba5143ab91d13ab9a8ff44fd/vpcs?marker=13551d6b-755d-4757-b956-536f674975c0&limit=2", "",
		"QTWAOYTTINDUT2QVKYUC", "MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc", "", "20191115T033655Z", []string{"Content-Type", "application/json"},
		"Access=QTWAOYTTINDUT2QVKYUC, SignedHeaders=content-type;host;x-sdk-date, Signature=7be6668032f70418fcc22abc52071e57aff61b84a1d2381bb430d6870f4f6ebe"},
	"plain": {"POST", "http://dis.cn-north-4.myhuaweicloud.com" + logPath, logBody, "AccessKey", "SecretKey", "", "20260102T030405Z",
		[]string{"Content-Type", "application/json", "X-Project-Id", "575ae927fc644f22b5c5af5209b7cf51"},
		"Access=AccessKey, SignedHeaders=content-type;host;x-project-id;x-sdk-date, Signature=6a7d55f883dab7c9e0ecde22f881c60f8324c66d18f7070d09900e0d7a948621"},
	"plain, token": {"POST", "http://dis.cn-north-4.myhuaweicloud.com" + logPath, logBody, "AccessKey", "SecretKey", "tok", "20260102T030405Z",
		[]string{"X-Project-Id", "575ae927fc644f22b5c5af5209b7cf51", "X-Security-Token", "tok"},
		"Access=AccessKey, SignedHeaders=host;x-project-id;x-sdk-date;x-security-token, Signature=c2aad9f3a55fc719175bfc894290de2c6672390b7b3d9277b061a5049ec80db1"},
	"derived": {"POST", "http://dis.cn-north-4.myhuaweicloud.com" + logPath, logBody, "AccessKey", "SecretKey", "", "20260102T030405Z",
		[]string{"Content-Type", "application/json", "X-Project-Id", "575ae927fc644f22b5c5af5209b7cf51"},
		"Credential=AccessKey/20260102/cn-north-4/dis/sdk_request, SignedHeaders=content-type;host;x-project-id;x-sdk-date, Signature=d08ae867c866f93b7786ea6d1e9a3ebf5115d9cbc453bdd43e3aa2cb1bce0c41"},
}

// disVector returns the call of a vector, and its check.
func disVector(t *testing.T, name string) (r *http.Request, check func(body string) *apierr.Error) {
	t.Helper()
	v := sdkVectors[name]
	r = httptest.NewRequest(v.method, v.url, nil)
	setHeaders(r, "X-Sdk-Date", v.at, "Authorization", sdkHMAC+" "+v.signed)
	setHeaders(r, v.headers...)
	at := parsed(t, basicTime, v.at)
	return r, func(body string) *apierr.Error {
		return Account{AccessKeyID: v.id, AccessKeySecret: v.secret, SecurityToken: v.token, AuthToken: "token"}.CheckDIS(r, []byte(body), at)
	}
}

func TestSDKVectorsAreAccepted(t *testing.T) {
	for name, v := range sdkVectors {
		_, check := disVector(t, name)
		wantAccepted(t, name, check(v.body))
	}
}

func TestSDKPathMayBeSignedWithoutASlashAtItsEnd(t *testing.T) {
	r, check := disVector(t, "derived")
	canonical := strings.Join([]string{"POST", logPath, "", "host:" + r.Host, "x-sdk-date:20260102T030405Z", "", "host;x-sdk-date", sha256Hex([]byte(logBody))}, "\n")
	const scope = "20260102/cn-north-4/dis/sdk_request"
	signature := scopedSign("SDKSecretKey", scope, scopedText(sdkHMAC, "20260102T030405Z", scope, canonical))
	r.Header.Set("Authorization", sdkHMAC+" Credential=AccessKey/"+scope+", SignedHeaders=host;x-sdk-date, Signature="+signature)
	wantAccepted(t, "derived, no slash", check(logBody))
}

func TestTamperedDISCallsGetTheVendorsErrors(t *testing.T) {
	for _, row := range []tampering{
		{"derived", "no signature", setHeader("Authorization", ""), 441, "DIS.4101"},
		{"derived", "another path", setPath("x"), 441, "DIS.4100"},
		{"derived", "a query", addQuery("a=1"), 441, "DIS.4100"},
		{"derived", "another project", setHeader("X-Project-Id", "other"), 441, "DIS.4100"},
		{"derived", "another host", setHost("other"), 441, "DIS.4100"},
		{"derived", "another key", authorization("AccessKey", "Other"), 441, "DIS.4107"},
		{"derived", "another signature", authorization("Signature=d", "Signature=e"), 441, "DIS.4100"},
		{"derived", "a token that is not the key's", setHeader("X-Security-Token", "tok"), 441, "DIS.4114"},
		{"derived", "another day", authorization("20260102", "20260103"), 441, "DIS.4102"},
		{"derived", "another region", authorization("cn-north-4", "cn-north-1"), 441, "DIS.4100"},
		{"derived", "no region", authorization("cn-north-4", ""), 441, "DIS.4111"},
		{"derived", "another service", authorization("/dis/", "/obs/"), 441, "DIS.4108"},
		{"derived", "no headers", authorization("SignedHeaders", "X"), 441, "DIS.4109"},
		{"derived", "a date that is not signed", authorization(";x-sdk-date", ""), 441, "DIS.4109"},
		{"derived", "a date that can't be read", setHeader("X-Sdk-Date", "today"), 441, "DIS.4104"},
		{"derived", "an old date", setHeader("X-Sdk-Date", "20260102T024805Z"), 441, "DIS.4105"},
		{"derived", "another hash", setHeader("X-Sdk-Content-Sha256", "00"), 441, "DIS.4100"},
		{"plain", "another key", authorization("AccessKey", "Other"), 401, "APIGW.0301"},
		{"plain", "an old date", setHeader("X-Sdk-Date", "20260102T024805Z"), 401, "APIGW.0303"},
		{"plain, token", "no token", setHeader("X-Security-Token", ""), 401, "APIGW.0301"},
		{"derived", "an auth token that is wrong", setHeader("X-Auth-Token", "other"), 441, "DIS.4114"},
		{"derived", "an auth token that is empty", func(r *http.Request) { r.Header["X-Auth-Token"] = []string{""} }, 441, "DIS.4113"},
		{"derived", "an auth token that is good", setHeader("X-Auth-Token", "token"), 0, ""},
		{"derived", "an auth token that is good and no signature", func(r *http.Request) {
			r.Header = http.Header{"X-Auth-Token": {"token"}}
		}, 0, ""},
	} {
		r, check := disVector(t, row.of)
		row.change(r)
		wantError(t, row, check(sdkVectors[row.of].body))
	}
}

func TestDISBodyThatWasNotHashedIsRefused(t *testing.T) {
	for _, row := range []tampering{
		{of: "derived", how: "another body", status: 441, code: "DIS.4100"},
		{of: "plain", how: "another body", status: 401, code: "APIGW.0301"},
	} {
		_, check := disVector(t, row.of)
		wantError(t, row, check("{}"))
	}
}
