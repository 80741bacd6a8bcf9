package sign

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"tallyman/fetch/sandbox/internal/apierr"
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

// ossVectors are published by the vendor, in its documents and with its SDKs.
var ossVectors = map[string]struct {
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

// ossTarget reads the bucket from a host of the vendor, else from the path.
func ossTarget(r *http.Request) Target {
	path := strings.TrimPrefix(r.URL.Path, "/")
	bucket, _, found := strings.Cut(r.Host, ".oss-")
	if !found {
		bucket, path, _ = strings.Cut(path, "/")
	}
	return Target{Bucket: bucket, Key: path, Region: map[string]string{"bucket": "cn-hangzhou"}[bucket]}
}

// ossVector returns the request of a vector, and its check.
func ossVector(t *testing.T, name string) (r *http.Request, check func() *apierr.Error) {
	t.Helper()
	v := ossVectors[name]
	r = httptest.NewRequest(v.method, v.url, nil)
	setHeaders(r, v.headers...)
	layout := http.TimeFormat
	if strings.HasPrefix(name, "v4") {
		layout = basicTime
	}
	at := parsed(t, layout, r.Header.Get("x-oss-date"))
	return r, func() *apierr.Error {
		access, bad := Account{AccessKeyID: "ak", AccessKeySecret: "sk", SecurityToken: v.token}.CheckOSS(r, ossTarget(r), at)
		if want := (Access{Customer: true}); bad == nil && access != want {
			t.Errorf("%s: got %+v, want %+v", name, access, want)
		}
		return bad
	}
}

func TestPublishedOSSVectorsAreAccepted(t *testing.T) {
	for name := range ossVectors {
		_, check := ossVector(t, name)
		wantAccepted(t, name, check())
	}
}

func TestTamperedOSSRequestsGetTheVendorsErrors(t *testing.T) {
	for _, row := range []tampering{
		{"v1", "other key", setPath("2"), 403, "SignatureDoesNotMatch"},
		{"v1", "other bucket", setHost("bucket.oss-cn-hangzhou.aliyuncs.com"), 403, "SignatureDoesNotMatch"},
		{"v1", "other method", setMethod("GET"), 403, "SignatureDoesNotMatch"},
		{"v1", "a header more", setHeader("x-oss-range-behavior", "standard"), 403, "SignatureDoesNotMatch"},
		{"v1", "other type", setHeader("Content-Type", "text/plain"), 403, "SignatureDoesNotMatch"},
		{"v1", "a subresource more", addQuery("versionId=1"), 403, "SignatureDoesNotMatch"},
		{"v1", "no date", setHeader("x-oss-date", ""), 403, "AccessDenied"},
		{"v1", "odd date", setHeader("x-oss-date", "20221228T102741Z"), 403, "AccessDenied"},
		{"v1", "16 minutes late", setHeader("x-oss-date", "Wed, 28 Dec 2022 10:11:41 GMT"), 403, "RequestTimeTooSkewed"},
		{"v1", "10 minutes late", setHeader("x-oss-date", "Wed, 28 Dec 2022 10:17:41 GMT"), 403, "SignatureDoesNotMatch"},
		{"v1", "unknown key", setHeader("Authorization", "OSS other:kSHKmLxlyEAKtZPkJhG9bZb5k7M="), 403, "InvalidAccessKeyId"},
		{"v1", "a token unasked for", setHeader("x-oss-security-token", "t"), 403, "InvalidSecurityToken"},
		{"v1", "other scheme", setHeader("Authorization", "AWS ak:x"), 400, "InvalidArgument"},
		{"v4", "other key", setPath("2"), 403, "SignatureDoesNotMatch"},
		{"v4", "other query", addQuery("x"), 403, "SignatureDoesNotMatch"},
		{"v4", "other signed header", setHeader("x-oss-head1", "other"), 403, "SignatureDoesNotMatch"},
		{"v4", "other region", authorization("cn-hangzhou", "cn-beijing"), 400, "InvalidArgument"},
		{"v4", "other product", authorization("/oss/", "/sls/"), 400, "InvalidArgument"},
		{"v4", "other day", authorization("20231216", "20231215"), 400, "InvalidArgument"},
		{"v4", "no region", authorization("/cn-hangzhou/", "//"), 400, "InvalidArgument"},
		{"v4", "short scope", authorization("/aliyun_v4_request", ""), 400, "InvalidArgument"},
		{"v4", "no payload hash", setHeader("x-oss-content-sha256", ""), 400, "InvalidArgument"},
		{"v4", "old date", setHeader("x-oss-date", "20231216T160057Z"), 403, "RequestTimeTooSkewed"},
		{"v4", "no date", setHeader("x-oss-date", ""), 403, "AccessDenied"},
		{"v4", "unknown key", authorization("=ak/", "=ka/"), 403, "InvalidAccessKeyId"},
		{"v4, additional headers", "one absent", setHeader("abc", ""), 400, "InvalidArgument"},
		{"v4, additional headers", "one changed", setHeader("abc", "other"), 403, "SignatureDoesNotMatch"},
		{"v4, additional headers", "one not named", authorization("abc;zabc", "zabc"), 403, "SignatureDoesNotMatch"},
		{"v4, token", "no token", setHeader("x-oss-security-token", ""), 403, "InvalidSecurityToken"},
	} {
		r, check := ossVector(t, row.of)
		row.change(r)
		wantError(t, row, check())
	}
}

func TestOSSHeadersThatAreNotSignedMayChange(t *testing.T) {
	for name := range ossVectors {
		r, check := ossVector(t, name)
		setHeaders(r, "Range", "bytes=0-1", "If-Match", "x", "User-Agent", "u", "XYZ", "other")
		wantAccepted(t, name, check())
	}
}

func TestOSSMismatchHasWhatShouldHaveBeenSigned(t *testing.T) {
	for name, want := range map[string]string{
		"v1": "OSSAccessKeyId SignatureProvided StringToSign StringToSignBytes",
		"v4": "OSSAccessKeyId SignatureProvided StringToSign StringToSignBytes CanonicalRequest",
	} {
		r, check := ossVector(t, name)
		r.Header.Set("Authorization", r.Header.Get("Authorization")+"x")
		var got []string
		for _, d := range check().Details {
			got = append(got, d.XMLName.Local)
			if d.Text == "" {
				t.Errorf("%s: %s is empty", name, d.XMLName.Local)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestOSSTextIsSignedAsPublished(t *testing.T) {
	r := httptest.NewRequest("PUT", "/", nil)
	setHeaders(r, "Content-Md5", "ODBGOERFMDMzQTczRUY3NUE3NzA5QzdFNUYzMDQxNEM=", "Content-Type", "text/html",
		"X-Oss-Meta-Author", "foo@bar.com", "X-Oss-Magic", "abracadabra")
	got := signSHA1("OtxrzxIsfpFjA7SwPzILwy8Bw21TLhquhboDYROV", ossText(r, "Thu, 17 Nov 2005 18:49:58 GMT", "/oss-example/nelson", nil))
	if want := "26NBxoKdsyly4EDv6inkoDft/yA="; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
