package sandbox

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const (
	v4Path  = "http://bucket.oss-cn-hangzhou.aliyuncs.com/1234%2B-/123/1.txt?%2Bparam1=value3&%2Bparam2=&%7Cparam1=value4&%7Cparam2=&param1=value1&param2="
	v4Scope = "OSS4-HMAC-SHA256 Credential=ak/20231216/cn-hangzhou/oss/aliyun_v4_request,"
)

func v1Headers(authorization string, more ...string) []string {
	return append([]string{"x-oss-date", "Wed, 28 Dec 2022 10:27:41 GMT", "Authorization", "OSS ak:" + authorization}, more...)
}

func v4Headers(date, authorization string, more ...string) []string {
	return append([]string{"x-oss-head1", "value", "abc", "value", "ZAbc", "value", "XYZ", "value", "Content-Type", "text/plain",
		"x-oss-content-sha256", "UNSIGNED-PAYLOAD", "x-oss-date", date, "Authorization", authorization}, more...)
}

// storeVectors are published by the vendor, in its documents and with its SDKs.
var storeVectors = map[string]struct {
	method, url, token string
	headers            []string
}{
	"v1": {"PUT", "http://examplebucket.oss-cn-hangzhou.aliyuncs.com/nelson", "", v1Headers("kSHKmLxlyEAKtZPkJhG9bZb5k7M=",
		"Content-MD5", "eB5eJF1ptWaXm4bijSPyxw==", "Content-Type", "text/html", "x-oss-meta-author", "alice", "x-oss-meta-magic", "abracadabra")},
	"v1, subresource": {"PUT", "http://examplebucket.oss-cn-hangzhou.aliyuncs.com/nelson?acl", "", v1Headers("/afkugFbmWDQ967j1vr6zygBLQk=",
		"Content-MD5", "eB5eJF1ptWaXm4bijSPyxw==", "Content-Type", "text/html", "x-oss-meta-author", "alice", "x-oss-meta-magic", "abracadabra")},
	"v1, bucket":           {"GET", "http://127.0.0.1/examplebucket?resourceGroup&non-resousce=null", "", v1Headers("vkQmfuUDyi1uDi3bKt67oemssIs=")},
	"v1, two subresources": {"GET", "http://127.0.0.1/examplebucket/?resourceGroup&acl", "", v1Headers("x3E5TgOvl/i7PN618s5mEvpJDYk=")},
	"v4":                   {"PUT", v4Path, "", v4Headers("20231216T162057Z", v4Scope+"Signature=e21d18daa82167720f9b1047ae7e7f1ce7cb77a31e8203a7d5f4624fa0284afe")},
	"v4, path style": {"PUT", strings.Replace(v4Path, "bucket.oss-cn-hangzhou.aliyuncs.com", "127.0.0.1/bucket", 1), "",
		v4Headers("20231216T162057Z", v4Scope+"Signature=e21d18daa82167720f9b1047ae7e7f1ce7cb77a31e8203a7d5f4624fa0284afe")},
	"v4, token": {"PUT", v4Path, "token", v4Headers("20231217T034736Z",
		strings.Replace(v4Scope, "20231216", "20231217", 1)+"Signature=b94a3f999cf85bcdc00d332fbd3734ba03e48382c36fa4d5af5df817395bd9ea", "x-oss-security-token", "token")},
	"v4, additional headers": {"PUT", v4Path, "", v4Headers("20231216T172512Z",
		v4Scope+"AdditionalHeaders=abc;zabc,Signature=4a4183c187c07c8947db7620deb0a6b38d9fbdd34187b6dbaccb316fa251212f")},
}

// storeVector returns the request, and the cloud that is to judge it.
func storeVector(name string) (*Cloud, *http.Request) {
	v := storeVectors[name]
	r := httptest.NewRequest(v.method, v.url, nil)
	setHeaders(r, v.headers...)
	date := r.Header.Get("x-oss-date")
	layout := http.TimeFormat
	if strings.HasPrefix(name, "v4") {
		layout = sls4Date
	}
	when := must(time.Parse(layout, date))
	c := New(Options{AccessKeyID: "ak", AccessKeySecret: "sk", SecurityToken: v.token, Now: func() time.Time { return when }})
	c.AddBucket("bucket", Bucket{Region: "cn-hangzhou"})
	c.AddBucket("examplebucket", Bucket{})
	return c, r
}

func (c *Cloud) judgeRequest(r *http.Request) *refusal {
	return c.judgeVisit(c.visit(r), r.Header.Get("Authorization"))
}

func TestPublishedStoreVectorsAreAccepted(t *testing.T) {
	for name := range storeVectors {
		c, r := storeVector(name)
		if bad := c.judgeRequest(r); bad != nil {
			t.Errorf("%s: %s: %s %v", name, bad.code, bad.message, bad.extra)
		}
	}
}

func TestTamperedStoreRequestsAreRefusedInTheVendorsWords(t *testing.T) {
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set(name, value)
			if value == "" {
				r.Header.Del(name)
			}
		}
	}
	credential := func(old, new string) func(*http.Request) {
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
		{"v1", "other key", func(r *http.Request) { r.URL.Path += "2" }, 403, "SignatureDoesNotMatch"},
		{"v1", "other bucket", func(r *http.Request) { r.Host = "bucket.oss-cn-hangzhou.aliyuncs.com" }, 403, "SignatureDoesNotMatch"},
		{"v1", "other method", func(r *http.Request) { r.Method = "GET" }, 403, "SignatureDoesNotMatch"},
		{"v1", "a header more", header("x-oss-range-behavior", "standard"), 403, "SignatureDoesNotMatch"},
		{"v1", "other type", header("Content-Type", "text/plain"), 403, "SignatureDoesNotMatch"},
		{"v1", "a subresource more", func(r *http.Request) { r.URL.RawQuery = "versionId=1" }, 403, "SignatureDoesNotMatch"},
		{"v1", "no date", header("x-oss-date", ""), 403, "AccessDenied"},
		{"v1", "odd date", header("x-oss-date", "20221228T102741Z"), 403, "AccessDenied"},
		{"v1", "16 minutes late", header("x-oss-date", "Wed, 28 Dec 2022 10:11:41 GMT"), 403, "RequestTimeTooSkewed"},
		{"v1", "10 minutes late", header("x-oss-date", "Wed, 28 Dec 2022 10:17:41 GMT"), 403, "SignatureDoesNotMatch"},
		{"v1", "unknown key", header("Authorization", "OSS other:kSHKmLxlyEAKtZPkJhG9bZb5k7M="), 403, "InvalidAccessKeyId"},
		{"v1", "a token unasked for", header("x-oss-security-token", "t"), 403, "InvalidSecurityToken"},
		{"v1", "other scheme", header("Authorization", "AWS ak:x"), 400, "InvalidArgument"},
		{"v4", "other key", func(r *http.Request) { r.URL.Path += "2" }, 403, "SignatureDoesNotMatch"},
		{"v4", "other query", func(r *http.Request) { r.URL.RawQuery += "x" }, 403, "SignatureDoesNotMatch"},
		{"v4", "other signed header", header("x-oss-head1", "other"), 403, "SignatureDoesNotMatch"},
		{"v4", "other region", credential("cn-hangzhou", "cn-beijing"), 400, "InvalidArgument"},
		{"v4", "other product", credential("/oss/", "/sls/"), 400, "InvalidArgument"},
		{"v4", "other day", credential("20231216", "20231215"), 400, "InvalidArgument"},
		{"v4", "no region", credential("/cn-hangzhou/", "//"), 400, "InvalidArgument"},
		{"v4", "short scope", credential("/aliyun_v4_request", ""), 400, "InvalidArgument"},
		{"v4", "no payload hash", header("x-oss-content-sha256", ""), 400, "InvalidArgument"},
		{"v4", "old date", header("x-oss-date", "20231216T160057Z"), 403, "RequestTimeTooSkewed"},
		{"v4", "no date", header("x-oss-date", ""), 403, "AccessDenied"},
		{"v4", "unknown key", credential("=ak/", "=ka/"), 403, "InvalidAccessKeyId"},
		{"v4, additional headers", "one absent", header("abc", ""), 400, "InvalidArgument"},
		{"v4, additional headers", "one changed", header("abc", "other"), 403, "SignatureDoesNotMatch"},
		{"v4, additional headers", "one not named", credential("abc;zabc", "zabc"), 403, "SignatureDoesNotMatch"},
		{"v4, token", "no token", header("x-oss-security-token", ""), 403, "InvalidSecurityToken"},
	} {
		c, r := storeVector(row.of)
		row.change(r)
		if bad := c.judgeRequest(r); bad == nil || bad.status != row.status || bad.code != row.code {
			t.Errorf("%s, %s: got %+v, want %d %s", row.of, row.how, bad, row.status, row.code)
		}
	}
}

func TestHeadersThatAreNotSignedMayChange(t *testing.T) {
	for name := range storeVectors {
		c, r := storeVector(name)
		setHeaders(r, "Range", "bytes=0-1", "If-Match", "x", "User-Agent", "u", "XYZ", "other")
		if bad := c.judgeRequest(r); bad != nil {
			t.Errorf("%s: %s", name, bad.code)
		}
	}
}

func TestMismatchTellsWhatShouldHaveBeenSigned(t *testing.T) {
	for name, canonical := range map[string]bool{"v1": false, "v4": true} {
		c, r := storeVector(name)
		setHeaders(r, "Authorization", strings.Replace(r.Header.Get("Authorization"), "e2", "e3", 1)+"x")
		w := httptest.NewRecorder()
		c.ServeHTTP(w, r)
		body := w.Body.String()
		for _, want := range []string{"<OSSAccessKeyId>ak</", "<SignatureProvided>", "<StringToSign>", "<StringToSignBytes>", "<HostId>" + r.Host + "</"} {
			if !strings.Contains(body, want) {
				t.Errorf("%s: no %s in %s", name, want, body)
			}
		}
		if strings.Contains(body, "<CanonicalRequest>") != canonical {
			t.Errorf("%s: %s", name, body)
		}
	}
}
