package sandbox

import (
	"crypto/md5"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

func upperMD5(s string) string { return fmt.Sprintf("%X", md5.Sum([]byte(s))) }
func jsonLen(s string) string  { return strconv.Itoa(len(s)) }

const (
	host      = "http://ali-test-project.cn-hangzhou.log.aliyuncs.com"
	emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	body123   = `{"name":"download-123"}`
)

func logAuth(signature string) string { return "LOG " + mockID + ":" + signature }

func sls4Auth(signature string) string {
	return "SLS4-HMAC-SHA256 Credential=" + mockID + "/20260102/cn-hangzhou/sls/aliyun_v4_request,Signature=" + signature
}

var vectors = map[string]struct {
	method, url, body string
	token             string
	now               time.Time
	headers           []string
}{
	"published, sha1": {
		"GET", host + "/logstores", "", "", time.Date(2010, 1, 3, 8, 33, 47, 0, time.UTC),
		[]string{"Date", "Mon, 3 Jan 2010 08:33:47 GMT", "Authorization", logAuth("Rwm6cTKzoti4HWoe+GKcb6Kv07E=")},
	},
	"v1, sha1": {
		"GET", host + "/downloadjobs/download-123", "", "", now(),
		[]string{"Authorization", logAuth("WkP/WPOwrC+1vdAS6y5N7d/joX0=")},
	},
	"v1, sha256": {
		"GET", host + "/downloadjobs/download-123", "", "", now(),
		[]string{"x-log-signaturemethod", "hmac-sha256", "Authorization", logAuth("1TXLDbdbD8BXS47kRvldIVFC+UlWi6epv72TpslQ+dE=")},
	},
	"v1, query": {
		"GET", host + "/downloadjobs?logstore=a+b&offset=0&size=10", "", "", now(),
		[]string{"Authorization", logAuth("B1GJy0SKKwXgcpy6Bcnyulhl9vI=")},
	},
	"v1, body and token": {
		"POST", host + "/downloadjobs", body123, "tok", now(),
		[]string{"Content-MD5", "FA2CD0C9592062623628170A9F006D36", "Content-Type", "application/json", "x-log-bodyrawsize", "23",
			"x-acs-security-token", "tok", "Authorization", logAuth("Zz01quqCDjE4sA3YtBfLJbd9Ud0=")},
	},
	"v4": {
		"GET", host + "/downloadjobs/download-123", "", "", now(),
		[]string{"x-log-signaturemethod", "", "x-log-date", "20260102T030405Z", "x-log-content-sha256", emptyHash,
			"Authorization", sls4Auth("3b247991a1326fdd111f07b2302aa75af74fc1fbd93879b6f6df79f4a43b18bd")},
	},
}

// vector returns the request, and the cloud that is to judge it.
func vector(name string) (*Cloud, *http.Request, []byte) {
	v := vectors[name]
	o := options()
	o.SecurityToken, o.Now = v.token, func() time.Time { return v.now }
	r := request(v.method, v.url, v.body, v.headers...)
	for name := range r.Header {
		if r.Header.Get(name) == "" {
			r.Header.Del(name)
		}
	}
	return New(o), r, []byte(v.body)
}

func TestVectorsAreAccepted(t *testing.T) {
	for name := range vectors {
		c, r, body := vector(name)
		if bad := c.judge(r, body); bad != nil {
			t.Errorf("%s: %s: %s", name, bad.code, bad.message)
		}
	}
}

func TestPublishedSLS4VectorIsReproduced(t *testing.T) {
	body := fmt.Sprintf("%x", sha256.Sum256([]byte("adasd= -asd zcas")))
	canonical := sls4Request("POST", "/logstores", url.Values{},
		map[string]string{"x-log-content-sha256": body, "x-log-date": "20220808T032330Z"}, body)
	got := sls4Sign("zxasdasdasw2", "20220808T032330Z", "20220808/cn-shanghai/sls/aliyun_v4_request", canonical)
	if want := "8a10a5e723cb2e75964816de660b2c16a58af8bc0261f7f0722d832468c76ce8"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestTamperedRequestsAreRefusedInTheVendorsWords(t *testing.T) {
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Set(name, value)
			if value == "" {
				r.Header.Del(name)
			}
		}
	}
	for _, row := range []struct {
		of, how string
		change  func(*http.Request)
		status  int
		code    string
	}{
		{"v1, sha1", "other path", func(r *http.Request) { r.URL.Path += "4" }, 401, "SignatureNotMatch"},
		{"v1, sha1", "other method", func(r *http.Request) { r.Method = "DELETE" }, 401, "SignatureNotMatch"},
		{"v1, sha1", "a header more", header("x-log-more", "1"), 401, "SignatureNotMatch"},
		{"v1, sha1", "other hash", header("x-log-signaturemethod", "hmac-sha256"), 401, "SignatureNotMatch"},
		{"v1, sha1", "unknown hash", header("x-log-signaturemethod", "hmac-md5"), 400, "InvalidSignatureMethod"},
		{"v1, sha1", "no hash", header("x-log-signaturemethod", ""), 400, "MissingSignatureMethod"},
		{"v1, sha1", "no date", header("Date", ""), 400, "MissingDate"},
		{"v1, sha1", "odd date", header("Date", "2026-01-02"), 400, "InvalidDateFormat"},
		{"v1, sha1", "16 minutes late", header("Date", "Fri, 02 Jan 2026 02:48:05 GMT"), 400, "RequestTimeExpired"},
		{"v1, sha1", "16 minutes early", header("Date", "Fri, 02 Jan 2026 03:20:06 GMT"), 400, "RequestTimeExpired"},
		{"v1, sha1", "10 minutes late", header("Date", "Fri, 02 Jan 2026 02:54:05 GMT"), 401, "SignatureNotMatch"},
		{"v1, sha1", "no version", header("x-log-apiversion", ""), 400, "MissingAPIVersion"},
		{"v1, sha1", "other version", header("x-log-apiversion", "0.7.0"), 400, "InvalidAPIVersion"},
		{"v1, sha1", "no authorization", header("Authorization", ""), 400, "MissAccessKeyId"},
		{"v1, sha1", "unknown key", header("Authorization", "LOG other:WkP/WPOwrC+1vdAS6y5N7d/joX0="), 401, "Unauthorized"},
		{"v1, sha1", "a token unasked for", header("x-acs-security-token", "tok"), 401, "Unauthorized"},
		{"v1, query", "other query", func(r *http.Request) { r.URL.RawQuery += "1" }, 401, "SignatureNotMatch"},
		{"v1, body and token", "other MD5", header("Content-MD5", upperMD5("x")), 401, "SignatureNotMatch"},
		{"v1, body and token", "no MD5", header("Content-MD5", ""), 401, "SignatureNotMatch"},
		{"v1, body and token", "no type", header("Content-Type", ""), 400, "MissingContentType"},
		{"v1, body and token", "no size", header("x-log-bodyrawsize", ""), 400, "MissingBodyRawSize"},
		{"v1, body and token", "other size", header("x-log-bodyrawsize", "22"), 400, "InvalidBodyRawSize"},
		{"v1, body and token", "no token", header("x-acs-security-token", ""), 401, "Unauthorized"},
		{"v1, body and token", "other token", header("x-acs-security-token", "kot"), 401, "Unauthorized"},
		{"v4", "other host", func(r *http.Request) { r.Host = "other" }, 401, "SignatureNotMatch"},
		{"v4", "other body hash", header("x-log-content-sha256", strings.Repeat("0", 64)), 401, "SignatureNotMatch"},
		{"v4", "no date", header("x-log-date", ""), 400, "MissingDate"},
		{"v4", "no signature", header("Authorization", sls4Auth("")), 401, "SignatureNotMatch"},
		{"v4", "no scope", header("Authorization", "SLS4-HMAC-SHA256 Credential="+mockID+",Signature="), 401, "SignatureNotMatch"},
		{"v4", "old date", header("x-log-date", "20260101T030405Z"), 400, "RequestTimeExpired"},
	} {
		c, r, body := vector(row.of)
		row.change(r)
		bad := c.judge(r, body)
		if bad == nil || bad.status != row.status || bad.code != row.code {
			t.Errorf("%s, %s: got %+v, want %d %s", row.of, row.how, bad, row.status, row.code)
		}
	}
}

func TestTamperedBodyIsRefused(t *testing.T) {
	c, r, body := vector("v1, body and token")
	body[2]++
	if bad := c.judge(r, body); bad == nil || bad.code != "SignatureNotMatch" {
		t.Errorf("got %+v", bad)
	}
}

func TestWrongKeyLearnsNothingOfJobs(t *testing.T) {
	c := New(options())
	c.AddJob(project, Job{Name: "here"})
	for _, url := range []string{host + "/downloadjobs/here", host + "/downloadjobs/nowhere", "http://nobody.example.com/downloadjobs/here"} {
		r := request("GET", url, "", "Authorization", logAuth("bm90aGluZw=="))
		w := httptest.NewRecorder()
		c.ServeHTTP(w, r)
		if w.Code != 401 || !strings.Contains(w.Body.String(), `"errorCode":"SignatureNotMatch"`) || w.Header().Get("x-log-requestid") == "" {
			t.Errorf("%s: %d %s", url, w.Code, w.Body)
		}
	}
}
