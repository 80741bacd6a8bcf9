package sls

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"tallyman/fetch/internal/acs"
)

var (
	mockKeys = acs.Keys{AccessKeyID: "mockAccessKeyID", AccessKeySecret: "mockAccessKeySecret"}
	docKeys  = acs.Keys{AccessKeyID: "acsddda21dsd", AccessKeySecret: "zxasdasdasw2"}
	noon     = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
)

const (
	host        = "https://ali-test-project.cn-hangzhou.log.aliyuncs.com"
	docBody     = "adasd= -asd zcas"
	docProtobuf = "\n2\n\x1e\x08\xf8\xb2\x93\x9e\x05\x12\x16\n\aTestKey\x12\vTestContent\x1a\x00\"\x0e10.230.201.117"
	docQuery    = "?=efg&+abc=efg&+agc+=&A-bc=eFg"
)

// The vectors of the vendor's SDK have headers of its own making, so these
// requests skip the part of a signer that sets ours.
func TestAuthorizeMatchesTheVendorsVectors(t *testing.T) {
	v1 := func(req *http.Request) { authorizeV1(req, mockKeys, sha1.New) }
	v4 := func(region string) func(*http.Request) {
		return func(req *http.Request) { authorizeV4(req, docKeys, region) }
	}
	headersV1 := []string{"x-log-apiversion", "0.6.0", "x-log-signaturemethod", "hmac-sha1", "Date", "Mon, 3 Jan 2010 08:33:47 GMT"}
	headersV4 := func(body string, more ...string) []string {
		return append(more, "x-log-date", "20220808T032330Z", "x-log-content-sha256", fmt.Sprintf("%x", sha256.Sum256([]byte(body))))
	}
	others := []string{"hello", "world", "hello-Text", "a12X- ", "x-log-test", "het123", "x-acs-ppp", "dds"}
	const scope = "SLS4-HMAC-SHA256 Credential=acsddda21dsd/20220808/cn-hangzhou/sls/aliyun_v4_request,Signature="

	for _, c := range []struct {
		name, method, uri string
		headers           []string
		sign              func(*http.Request)
		want              string
	}{
		{"v1, no body", "GET", "/logstores", append(headersV1, "x-log-bodyrawsize", "0"), v1,
			"LOG mockAccessKeyID:Rwm6cTKzoti4HWoe+GKcb6Kv07E="},
		{"v1, a body", "GET", "/logstores/app_log", append(headersV1, "x-log-bodyrawsize", "50",
			"Content-Type", "application/x-protobuf", "Content-MD5", fmt.Sprintf("%X", md5.Sum([]byte(docProtobuf)))), v1,
			"LOG mockAccessKeyID:87xQWqFaOSewqRIma8kPjGYlXHc="},
		{"v4, another query", "POST", "/logstores" + docQuery, headersV4(docBody, others...), v4("cn-hangzhou"),
			scope + "a98f5632e93836e63839cd836a54055f480020a9364ca944e2d34f2eb9bf1bed"},
		{"v4, bare", "POST", "/logstores", headersV4(docBody), v4("cn-shanghai"),
			"SLS4-HMAC-SHA256 Credential=acsddda21dsd/20220808/cn-shanghai/sls/aliyun_v4_request," +
				"Signature=8a10a5e723cb2e75964816de660b2c16a58af8bc0261f7f0722d832468c76ce8"},
		{"v4, no body", "POST", "/logstores" + docQuery, headersV4("", others...), v4("cn-hangzhou"),
			scope + "5a66d8f8051983e0e9d08e0f960ef9252ef971eead5bb5c7acec8617a2eb2701"},
		{"v4, GET", "GET", "/logstores" + docQuery, headersV4("", others...), v4("cn-hangzhou"),
			scope + "d92741852500791d662a8d469ff61627c0559ecd86c3f59b7bf6772b6c62666a"},
		{"v4, reserved characters", "POST", "/logstores/hello/a+*~bb/cc" + docQuery +
			"&abs-ij*asd%2Fvc=a~js%2Bd+ada&a+abAas123%2Fvc=a~jdad+a2ADFs%2Bd+ada", headersV4(docBody, others...), v4("cn-hangzhou"),
			scope + "2c204068e961a8813a6bcf7ac422f7fa6e9bf9a5da493e0165dfe100854d18ff"},
	} {
		t.Run(c.name, func(t *testing.T) {
			u, err := url.Parse(c.uri)
			if err != nil {
				t.Fatal(err)
			}
			req := &http.Request{Method: c.method, URL: u, Header: http.Header{}}
			for i := 0; i < len(c.headers); i += 2 {
				req.Header.Set(c.headers[i], c.headers[i+1])
			}
			c.sign(req)
			if got := req.Header.Get("Authorization"); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestSignersMatchTheVectorsOfDownloadJobs(t *testing.T) {
	withToken := mockKeys
	withToken.SecurityToken = "tok"
	for _, c := range []struct {
		name, version, method, uri, body string
		keys                             acs.Keys
		want                             string
	}{
		{"v1 with SHA-1", "v1-sha1", "GET", "/downloadjobs/download-123", "", mockKeys, "LOG mockAccessKeyID:WkP/WPOwrC+1vdAS6y5N7d/joX0="},
		{"v1 with SHA-256", "v1", "GET", "/downloadjobs/download-123", "", mockKeys, "LOG mockAccessKeyID:1TXLDbdbD8BXS47kRvldIVFC+UlWi6epv72TpslQ+dE="},
		{"v1 with a space in the query", "v1-sha1", "GET", "/downloadjobs?logstore=a+b&offset=0&size=10", "", mockKeys,
			"LOG mockAccessKeyID:B1GJy0SKKwXgcpy6Bcnyulhl9vI="},
		{"v1 with a body and an STS token", "v1-sha1", "POST", "/downloadjobs", `{"name":"download-123"}`, withToken,
			"LOG mockAccessKeyID:Zz01quqCDjE4sA3YtBfLJbd9Ud0="},
		{"v4", "v4", "GET", "/downloadjobs/download-123", "", mockKeys,
			"SLS4-HMAC-SHA256 Credential=mockAccessKeyID/20260102/cn-hangzhou/sls/aliyun_v4_request," +
				"Signature=3b247991a1326fdd111f07b2302aa75af74fc1fbd93879b6f6df79f4a43b18bd"},
		{"v4 where no version is named", "", "GET", "/downloadjobs/download-123", "", mockKeys,
			"SLS4-HMAC-SHA256 Credential=mockAccessKeyID/20260102/cn-hangzhou/sls/aliyun_v4_request," +
				"Signature=3b247991a1326fdd111f07b2302aa75af74fc1fbd93879b6f6df79f4a43b18bd"},
	} {
		t.Run(c.name, func(t *testing.T) {
			req, err := http.NewRequest(c.method, host+c.uri, bytes.NewReader([]byte(c.body)))
			if err != nil {
				t.Fatal(err)
			}
			if err := sign(c.version, req, []byte(c.body), noon, c.keys, "cn-hangzhou"); err != nil {
				t.Fatal(err)
			}
			if got := req.Header.Get("Authorization"); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestSigningABodySendsItsMD5(t *testing.T) {
	req, err := http.NewRequest("POST", host+"/downloadjobs", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := sign("v1", req, []byte(`{"name":"download-123"}`), noon, mockKeys, ""); err != nil {
		t.Fatal(err)
	}
	if got := req.Header.Get("Content-MD5"); got != "FA2CD0C9592062623628170A9F006D36" {
		t.Errorf("got %s", got)
	}
}
