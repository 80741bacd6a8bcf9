package sign

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"tallyman/fetch/sandbox/internal/apierr"
)

func rpcQueryOf(action, version, nonce, at, signature string, more ...string) string {
	q := url.Values{
		"AccessKeyId": {"testid"}, "SignatureMethod": {"HMAC-SHA1"}, "SignatureVersion": {"1.0"},
		"Action": {action}, "Version": {version}, "SignatureNonce": {nonce}, "Timestamp": {at}, "Signature": {signature},
	}
	for i := 0; i < len(more); i += 2 {
		q.Set(more[i], more[i+1])
	}
	return "http://dms-enterprise.aliyuncs.com/?" + q.Encode()
}

func describeRegions(signature string) string {
	return rpcQueryOf("DescribeRegions", "2014-05-26", "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf", "2016-02-23T12:46:24Z", signature, "Format", "XML")
}

func queryDownloadOf(signature string, more ...string) string {
	more = append(more, "Format", "json", "OrderId", "11", "DownloadKeyId", "e23dd7ec-a19f-4a69-8eb3-8ffd26e60000", "Tid", "1")
	return rpcQueryOf("QueryDataTrackResultDownloadStatus", "2018-11-01", "n-0001", "2026-01-02T03:04:05Z", signature, more...)
}

func acs3Headers(action, version, at, nonce, id, signature string, more ...string) []string {
	names := "host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version"
	if len(more) > 0 {
		names = "host;x-acs-accesskey-id;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-security-token;x-acs-signature-nonce;x-acs-version"
	}
	return append([]string{"x-acs-action", action, "x-acs-version", version, "x-acs-date", at, "x-acs-signature-nonce", nonce,
		"x-acs-content-sha256", emptyHash, "Authorization", "ACS3-HMAC-SHA256 Credential=" + id + ",SignedHeaders=" + names + ",Signature=" + signature}, more...)
}

const describeTask = "http://dbs-api.cn-hangzhou.aliyuncs.com/?InstanceName=rm-bp1imnmcjxdz7&PageSize=50&RegionCode=cn-hangzhou"

// rpcVectors are the vendor's, but for those of this operation and of a token,
// which are as the vendor's SDK signs them.
var rpcVectors = map[string]struct {
	method, url, id, secret, token string
	at                             string
	headers                        []string
}{
	"published v1, GET":  {"GET", describeRegions("OLeaidS1JvxuMvnyHOwuJ+uX5qY="), "testid", "testsecret", "", "2016-02-23T12:46:24Z", nil},
	"published v1, POST": {"POST", describeRegions("MxbnVAM4w6sft9xjVpe/GCKueuk="), "testid", "testsecret", "", "2016-02-23T12:46:24Z", nil},
	"published v1, JSON": {"GET", rpcQueryOf("DescribeDedicatedHosts", "2014-05-26", "edb2b34af0af9a6d14deaf7c1a5315eb", "2023-03-13T08:34:30Z",
		"9NaGiOspFP5UPcwX8Iwt2YJXXuk=", "Format", "JSON", "RegionId", "cn-beijing"), "testid", "testsecret", "", "2023-03-13T08:34:30Z", nil},
	"v1":        {"POST", queryDownloadOf("x51e76WTqPGAeiPHAIb4Xwjx6Z8="), "testid", "testsecret", "", "2026-01-02T03:04:05Z", nil},
	"v1, token": {"POST", queryDownloadOf("TwgkHpPZKHZNGhsnbXP5sGDtQYw=", "SecurityToken", "tok/en+="), "testid", "testsecret", "tok/en+=", "2026-01-02T03:04:05Z", nil},
	"published ACS3": {"POST", "http://ecs.cn-shanghai.aliyuncs.com/?ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai",
		"YourAccessKeyId", "YourAccessKeySecret", "", "2023-10-26T10:22:32Z",
		acs3Headers("RunInstances", "2014-05-26", "2023-10-26T10:22:32Z", "3156853299f313e23d1673dc12e1703d", "YourAccessKeyId",
			"06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0")},
	"ACS3": {"POST", describeTask, "testid", "testsecret", "", "2026-01-02T03:04:05Z",
		acs3Headers("DescribeDownloadTask", "2021-01-01", "2026-01-02T03:04:05Z", "n0001", "testid", "7c97463f1e7614ca84d9a0308d32919b9338efb7f1ce7183218a2fcbec53cbf4")},
	"ACS3, token": {"POST", describeTask, "testid", "testsecret", "tok/en+=", "2026-01-02T03:04:05Z",
		acs3Headers("DescribeDownloadTask", "2021-01-01", "2026-01-02T03:04:05Z", "n0001", "testid", "6c6a24088cb0304d4d99b27dd977bb23c42bec6d7d756dd8be63ede8aac8a578",
			"x-acs-accesskey-id", "testid", "x-acs-security-token", "tok/en+=")},
}

// rpcVector returns the call of a vector, and its check.
func rpcVector(t *testing.T, name string) (r *http.Request, check func(body string) (string, *apierr.Error)) {
	t.Helper()
	v := rpcVectors[name]
	r = httptest.NewRequest(v.method, v.url, nil)
	setHeaders(r, v.headers...)
	at := parsed(t, time.RFC3339, v.at)
	return r, func(body string) (string, *apierr.Error) {
		return Account{AccessKeyID: v.id, AccessKeySecret: v.secret, SecurityToken: v.token}.CheckRPC(r, []byte(body), r.URL.Query(), at)
	}
}

func TestRPCVectorsAreAcceptedWithTheirNonce(t *testing.T) {
	for name := range rpcVectors {
		_, check := rpcVector(t, name)
		nonce, bad := check("")
		wantAccepted(t, name, bad)
		if nonce == "" {
			t.Errorf("%s: no nonce", name)
		}
	}
}

// setParameter sets a parameter, or removes it where value is "".
func setParameter(name, value string) func(*http.Request) {
	return func(r *http.Request) {
		q := r.URL.Query()
		q.Set(name, value)
		if value == "" {
			q.Del(name)
		}
		r.URL.RawQuery = q.Encode()
	}
}

func TestTamperedRPCsGetTheVendorsErrors(t *testing.T) {
	for _, row := range []tampering{
		{"v1", "other parameter", setParameter("OrderId", "12"), 400, "SignatureDoesNotMatch"},
		{"v1", "a parameter more", setParameter("PageSize", "1"), 400, "SignatureDoesNotMatch"},
		{"v1", "other method", setMethod("GET"), 400, "SignatureDoesNotMatch"},
		{"v1", "no signature", setParameter("Signature", ""), 400, "MissingSignature"},
		{"v1", "no key", setParameter("AccessKeyId", ""), 400, "MissingAccessKeyId"},
		{"v1", "no nonce", setParameter("SignatureNonce", ""), 400, "MissingSignatureNonce"},
		{"v1", "no time", setParameter("Timestamp", ""), 400, "MissingTimestamp"},
		{"v1", "odd time", setParameter("Timestamp", "1767323045"), 400, "InvalidTimeStamp.Format"},
		{"v1", "16 minutes late", setParameter("Timestamp", "2026-01-02T02:48:05Z"), 400, "InvalidTimeStamp.Expired"},
		{"v1", "16 minutes early", setParameter("Timestamp", "2026-01-02T03:20:05Z"), 400, "InvalidTimeStamp.Expired"},
		{"v1", "other hash", setParameter("SignatureMethod", "HMAC-SHA256"), 400, "InvalidParameter"},
		{"v1", "unknown key", setParameter("AccessKeyId", "other"), 404, "InvalidAccessKeyId.NotFound"},
		{"v1", "a token unasked for", setParameter("SecurityToken", "t"), 403, "InvalidSecurityToken.MismatchWithAccessKey"},
		{"v1, token", "other token", setParameter("SecurityToken", "t"), 403, "InvalidSecurityToken.MismatchWithAccessKey"},
		{"ACS3", "other query", setParameter("PageSize", "51"), 400, "SignatureDoesNotMatch"},
		{"ACS3", "other action", setHeader("x-acs-action", "Other"), 400, "SignatureDoesNotMatch"},
		{"ACS3", "other host", setHost("other"), 400, "SignatureDoesNotMatch"},
		{"ACS3", "a header more, unsigned", setHeader("x-acs-more", "1"), 400, "IncompleteSignature"},
		{"ACS3", "action not signed", authorization("x-acs-action;", ""), 400, "IncompleteSignature"},
		{"ACS3", "host not signed", authorization("host;", ""), 400, "IncompleteSignature"},
		{"ACS3", "no body hash", setHeader("x-acs-content-sha256", ""), 400, "MissingParameter"},
		{"ACS3", "no nonce", setHeader("x-acs-signature-nonce", ""), 400, "MissingParameter"},
		{"ACS3", "no date", setHeader("x-acs-date", ""), 400, "MissingParameter"},
		{"ACS3", "old date", setHeader("x-acs-date", "2026-01-02T02:48:05Z"), 400, "InvalidTimeStamp.Expired"},
		{"ACS3", "unknown key", authorization("=testid", "=idtest"), 404, "InvalidAccessKeyId.NotFound"},
		{"ACS3", "other signature", authorization("Signature=", "Signature=0"), 400, "SignatureDoesNotMatch"},
		{"ACS3, token", "no token", setHeader("x-acs-security-token", ""), 403, "InvalidSecurityToken.MismatchWithAccessKey"},
	} {
		r, check := rpcVector(t, row.of)
		row.change(r)
		_, bad := check("")
		wantError(t, row, bad)
	}
}

func TestRPCBodyThatWasNotHashedIsRefused(t *testing.T) {
	_, check := rpcVector(t, "ACS3")
	_, bad := check("x")
	wantError(t, tampering{of: "ACS3", how: "another body", status: 400, code: "SignatureDoesNotMatch"}, bad)
}
