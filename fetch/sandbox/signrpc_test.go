package sandbox

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
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

// rpcVector returns the call, and the cloud that is to judge it.
func rpcVector(name string) (*Cloud, *http.Request) {
	v := rpcVectors[name]
	r := httptest.NewRequest(v.method, v.url, nil)
	setHeaders(r, v.headers...)
	at := must(time.Parse(rpcTime, v.at))
	return New(Options{AccessKeyID: v.id, AccessKeySecret: v.secret, SecurityToken: v.token, Now: func() time.Time { return at }}), r
}

func (c *Cloud) judgeCall(r *http.Request, body string) *refusal {
	return c.judgeRPC(rpc{Request: r, values: r.URL.Query(), body: []byte(body)})
}

func TestRPCVectorsAreAcceptedOnce(t *testing.T) {
	for name := range rpcVectors {
		c, r := rpcVector(name)
		if bad := c.judgeCall(r, ""); bad != nil {
			t.Errorf("%s: %s: %s", name, bad.code, bad.message)
		}
		if bad := c.judgeCall(r, ""); bad == nil || bad.code != "SignatureNonceUsed" || bad.status != 400 {
			t.Errorf("%s again: %+v", name, bad)
		}
	}
}

func TestTamperedRPCsAreRefusedInTheVendorsWords(t *testing.T) {
	query := func(name, value string) func(*http.Request) {
		return func(r *http.Request) {
			q := r.URL.Query()
			q.Set(name, value)
			if value == "" {
				q.Del(name)
			}
			r.URL.RawQuery = q.Encode()
		}
	}
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set(name, value)
			if value == "" {
				r.Header.Del(name)
			}
		}
	}
	signed := func(old, new string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, new, 1))
		}
	}
	for _, row := range []struct {
		of, how string
		change  func(*http.Request)
		status  int
		code    string
	}{
		{"v1", "other parameter", query("OrderId", "12"), 400, "SignatureDoesNotMatch"},
		{"v1", "a parameter more", query("PageSize", "1"), 400, "SignatureDoesNotMatch"},
		{"v1", "other method", func(r *http.Request) { r.Method = "GET" }, 400, "SignatureDoesNotMatch"},
		{"v1", "no signature", query("Signature", ""), 400, "MissingSignature"},
		{"v1", "no key", query("AccessKeyId", ""), 400, "MissingAccessKeyId"},
		{"v1", "no nonce", query("SignatureNonce", ""), 400, "MissingSignatureNonce"},
		{"v1", "no time", query("Timestamp", ""), 400, "MissingTimestamp"},
		{"v1", "odd time", query("Timestamp", "1767323045"), 400, "InvalidTimeStamp.Format"},
		{"v1", "16 minutes late", query("Timestamp", "2026-01-02T02:48:05Z"), 400, "InvalidTimeStamp.Expired"},
		{"v1", "16 minutes early", query("Timestamp", "2026-01-02T03:20:05Z"), 400, "InvalidTimeStamp.Expired"},
		{"v1", "other hash", query("SignatureMethod", "HMAC-SHA256"), 400, "InvalidParameter"},
		{"v1", "unknown key", query("AccessKeyId", "other"), 404, "InvalidAccessKeyId.NotFound"},
		{"v1", "a token unasked for", query("SecurityToken", "t"), 403, "InvalidSecurityToken.MismatchWithAccessKey"},
		{"v1, token", "other token", query("SecurityToken", "t"), 403, "InvalidSecurityToken.MismatchWithAccessKey"},
		{"ACS3", "other query", query("PageSize", "51"), 400, "SignatureDoesNotMatch"},
		{"ACS3", "other action", header("x-acs-action", "Other"), 400, "SignatureDoesNotMatch"},
		{"ACS3", "other host", func(r *http.Request) { r.Host = "other" }, 400, "SignatureDoesNotMatch"},
		{"ACS3", "a header more, unsigned", header("x-acs-more", "1"), 400, "IncompleteSignature"},
		{"ACS3", "action not signed", signed("x-acs-action;", ""), 400, "IncompleteSignature"},
		{"ACS3", "host not signed", signed("host;", ""), 400, "IncompleteSignature"},
		{"ACS3", "no body hash", header("x-acs-content-sha256", ""), 400, "MissingParameter"},
		{"ACS3", "no nonce", header("x-acs-signature-nonce", ""), 400, "MissingParameter"},
		{"ACS3", "no date", header("x-acs-date", ""), 400, "MissingParameter"},
		{"ACS3", "old date", header("x-acs-date", "2026-01-02T02:48:05Z"), 400, "InvalidTimeStamp.Expired"},
		{"ACS3", "unknown key", signed("=testid", "=idtest"), 404, "InvalidAccessKeyId.NotFound"},
		{"ACS3", "other signature", signed("Signature=", "Signature=0"), 400, "SignatureDoesNotMatch"},
		{"ACS3, token", "no token", header("x-acs-security-token", ""), 403, "InvalidSecurityToken.MismatchWithAccessKey"},
	} {
		c, r := rpcVector(row.of)
		row.change(r)
		if bad := c.judgeCall(r, ""); bad == nil || bad.status != row.status || bad.code != row.code {
			t.Errorf("%s, %s: got %+v, want %d %s", row.of, row.how, bad, row.status, row.code)
		}
	}
}

func TestBodyThatWasNotHashedIsRefused(t *testing.T) {
	c, r := rpcVector("ACS3")
	if bad := c.judgeCall(r, "x"); bad == nil || bad.code != "SignatureDoesNotMatch" {
		t.Errorf("%+v", bad)
	}
}

func TestNonceIsForgottenOnceItsDateIsTooOld(t *testing.T) {
	clock := now()
	c := New(Options{Now: func() time.Time { return clock }})
	for i, step := range []struct {
		after time.Duration
		good  bool
	}{{0, true}, {30 * time.Minute, false}, {time.Minute, true}} {
		clock = clock.Add(step.after)
		if bad := c.once("n"); (bad == nil) != step.good {
			t.Errorf("step %d: %+v", i, bad)
		}
	}
}
