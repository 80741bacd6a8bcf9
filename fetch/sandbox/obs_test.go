package sandbox

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// askOBS asks the store as OBS for a path, signed with "OBS" or "AWS4".
func askOBS(t *testing.T, scheme, method, base, path string, headers ...string) answer {
	t.Helper()
	r := newRequest(t, method, base+path, "", "Date", now().Format(http.TimeFormat))
	setHeaders(r, headers...)
	return send(t, signedOBS(r, scheme, "cn-north-4"))
}

// signedOBS signs for the bucket in the host, or else in the path.
func signedOBS(r *http.Request, scheme, region string) *http.Request {
	resource := r.URL.Path
	if !strings.HasPrefix(r.Host, "127.") {
		bucket, _, _ := strings.Cut(r.Host, ".")
		resource = "/" + bucket + resource
	}
	escaped := func(path string) string { // as S3 escapes a path
		return strings.NewReplacer("+", "%2B", " ", "%20").Replace(path)
	}
	if scheme == "OBS" {
		text := r.Method + "\n\n\n" + r.Header.Get("Date") + "\n" + headerLines(r, "x-obs-") + escaped(resource) + queryOf(r, "acl", "versions")
		r.Header.Set("Authorization", "OBS "+mockID+":"+hmacBase64(sha1.New, mockSecret, text))
		return r
	}
	const payload, signed = "UNSIGNED-PAYLOAD", "host;x-amz-content-sha256"
	r.Header.Set("x-amz-content-sha256", payload)
	scope := now().Format("20060102") + "/" + region + "/s3/aws4_request"
	query := strings.ReplaceAll(r.URL.Query().Encode(), "+", "%20")
	canonical := r.Method + "\n" + escaped(r.URL.Path) + "\n" + query + "\nhost:" + r.Host + "\n" + headerLines(r, "x-amz-") + "\n" + signed + "\n" + payload
	key := "AWS4" + mockSecret
	for part := range strings.SplitSeq(scope, "/") {
		key = string(hmacOf(sha256.New, key, part))
	}
	signature := hmacOf(sha256.New, key, "AWS4-HMAC-SHA256\n"+now().Format("20060102T150405Z")+"\n"+scope+"\n"+sha256Hex(canonical))
	r.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s,SignedHeaders=%s,Signature=%x", mockID, scope, signed, signature))
	return r
}

var obsSchemeWords = map[string]string{"OBS": "x-obs-", "AWS4": "x-amz-"}

func TestOBSGivesTheSameObjectsWithItsOwnHeaders(t *testing.T) {
	c, base := startCloud(t)
	made := time.Date(2025, 5, 6, 7, 8, 9, 5e8, time.UTC)
	c.AddObject("own", "a/b+c d.bin", File{Body: []byte("123456789"), LastModified: made, StorageClass: "IA", Encryption: "kms"})
	c.AddObject("own", "plain.json", File{Body: []byte(strings.Repeat("1", 2000))})
	for scheme, prefix := range obsSchemeWords {
		for _, method := range []string{"GET", "HEAD"} {
			g := askOBS(t, scheme, method, base, "/own/a/b%2Bc%20d.bin", "Range", "bytes=7-99")
			if want := map[string]string{"GET": "89"}[method]; g.body != want || g.header.Get("Content-Type") != "application/octet-stream" {
				t.Fatalf("%s: %d %s", method, g.status, g.body)
			}
			for name, want := range map[string]string{
				prefix + "checksum-crc64ecma": "11051210869376104954", prefix + "storage-class": "WARM", prefix + "server-side-encryption": "kms",
				"Content-MD5": "", "x-oss-object-type": "", "x-oss-request-id": "", "Last-Modified": "Tue, 06 May 2025 07:08:09 GMT",
			} {
				if got := g.header.Get(name); got != want {
					t.Errorf("%s %s: got %s, want %s", method, name, got, want)
				}
			}
			if g.header.Get(prefix+"request-id") == "" || g.header.Get("ETag") == `"25f9e794323b453885f5181f1b624d0b"` {
				t.Errorf("got %v", g.header)
			}
		}
		g := askOBS(t, scheme, "GET", base, "/own/plain.json", "Accept-Encoding", "gzip")
		if want := fmt.Sprintf(`"%x"`, md5.Sum([]byte(g.body))); g.header.Get("ETag") != want || len(g.body) != 2000 || g.header.Get(prefix+"storage-class") != "" {
			t.Errorf("%v: want ETag %s", g.header, want)
		}
	}
	n := c.Counts()
	wantEqual(t, "calls", n.Calls, map[string]int{"GetObject": 4, "HeadObject": 2})
	wantEqual(t, "counts of objects", n.Objects, map[string]ItemCounts{"own/a/b+c d.bin": {Requests: 4, Bytes: 4}, "own/plain.json": {Requests: 2, Bytes: 4000}})
	if n.Requests != 6 {
		t.Errorf("got %d requests, want 6", n.Requests)
	}
}

// The parts' MD5s are hashed as bytes, not as text.
func TestOBSHashesPartsAsS3Does(t *testing.T) {
	c, base := startCloud(t)
	c.AddObject("own", "f", File{Body: []byte("123456789"), Faults: Faults{MultipartETag: 4}})
	var sums []byte
	for _, part := range []string{"1234", "5678", "9"} {
		sum := md5.Sum([]byte(part))
		sums = append(sums, sum[:]...)
	}
	want := fmt.Sprintf(`"%x-3"`, md5.Sum(sums))
	if g := askOBS(t, "OBS", "GET", base, "/own/f"); g.header.Get("ETag") != want {
		t.Errorf("got %s, want %s", g.header.Get("ETag"), want)
	}
	if g := askOBS(t, "OBS", "GET", base, "/own/f", "If-Match", want); g.status != 200 {
		t.Errorf("If-Match: %d", g.status)
	}
	if g := askOBS(t, "OBS", "GET", base, "/own/f", "If-Match", `"0"`); g.status != 412 {
		t.Errorf("another If-Match: %d", g.status)
	}
	if p := listOBS(t, base, ""); p.Contents[0].ETag != want || p.Contents[0].StorageClass != "STANDARD" || p.Contents[0].Type != "" {
		t.Errorf("got %+v", p)
	}
}

func listOBS(t *testing.T, base, query string) listedPage {
	t.Helper()
	g := askOBS(t, "AWS4", "GET", base, "/own/?"+query)
	var p listedPage
	if err := xml.Unmarshal([]byte(g.body), &p); err != nil || g.status != 200 {
		t.Fatalf("%s: %d %v %s", query, g.status, err, g.body)
	}
	return p
}

func TestOBSListsByMarker(t *testing.T) {
	keys := []string{"a", "a b/+", "a b/1 2", "b"}
	c, base := withObjects(t, keys...)
	var got []string
	for marker := ""; ; {
		p := listOBS(t, base, "max-keys=1&list-type=2&marker="+strings.ReplaceAll(marker, " ", "%20"))
		got = append(got, p.items()...)
		if !p.IsTruncated {
			break
		}
		marker = strings.ReplaceAll(p.NextMarker, "+", "%2B")
	}
	wantEqual(t, "keys of all pages", got, keys)
	p := listOBS(t, base, "prefix=a%20b/&encoding-type=url")
	wantEqual(t, "encoded keys", p.items(), []string{"a%20b%2F%2B", "a%20b%2F1%202"})
	if p.MaxKeys != 1000 {
		t.Errorf("got MaxKeys %d, want 1000", p.MaxKeys)
	}
	if n := c.Counts(); n.Calls["ListObjects"] != 5 || n.Requests != 0 {
		t.Errorf("got %+v", n)
	}
}

func TestOBSHasItsOwnErrors(t *testing.T) {
	c, base := withObjects(t, "here", "gone")
	c.UpdateObject("own", "gone", func(f *File) { f.Gone = true })
	c.AddObject("own", "cold", File{StorageClass: "Archive"})
	c.AddObject("own", "busy", File{Faults: Faults{Busy: -1}})
	c.AddJob(project, Job{Name: "job-1", File: File{Name: "f"}})
	c.AddBucket("elsewhere", Bucket{Endpoint: "obs.cn-east-3.myhuaweicloud.com"})
	for scheme, prefix := range obsSchemeWords {
		for _, row := range []struct {
			method, path string
			status       int
			code, has    string
		}{
			{"GET", "/own/nothing", 404, "NoSuchKey", "<Key>nothing</Key>"},
			{"GET", "/own/gone", 404, "NoSuchKey", "<Resource>/own/gone</Resource>"},
			{"GET", "/nobody/here", 404, "NoSuchBucket", "<BucketName>nobody</BucketName>"},
			{"GET", "/nobody/", 404, "NoSuchBucket", ""},
			{"GET", "/own/cold", 403, "InvalidObjectState", "storage class."},
			{"GET", "/own/busy", 503, "ServiceUnavailable", ""},
			{"GET", "/elsewhere/x", 301, "PermanentRedirect", "<Endpoint>elsewhere.obs.cn-east-3.myhuaweicloud.com</Endpoint>"},
			{"GET", "/sls-downloads/" + project + "/job-1/f", 403, "AccessDenied", ""},
			{"PUT", "/own/here", 405, "MethodNotAllowed", ""},
			{"GET", "/own/here?acl", 501, "NotImplemented", ""},
			{"GET", "/own/?versions=", 501, "NotImplemented", ""},
			{"GET", "/", 501, "NotImplemented", ""},
			{"GET", "/own/?max-keys=0", 400, "InvalidArgument", ""},
		} {
			g := askOBS(t, scheme, row.method, base, row.path)
			var said struct{ Code, RequestID string }
			if err := xml.Unmarshal([]byte(strings.ReplaceAll(g.body, "RequestId", "RequestID")), &said); err != nil || g.status != row.status || said.Code != row.code ||
				!strings.Contains(g.body, row.has) || said.RequestID == "" || said.RequestID != g.header.Get(prefix+"request-id") {
				t.Errorf("%s %s %s: %d %s", scheme, row.method, row.path, g.status, g.body)
			}
		}
		if g := askOBS(t, scheme, "HEAD", base, "/own/nothing"); g.status != 404 || g.body != "" || g.header.Get("x-oss-err") != "" {
			t.Errorf("HEAD: %d %q %v", g.status, g.body, g.header)
		}
		if g := askOBS(t, scheme, "GET", base, "/own/here", "Range", "bytes=9-"); g.status != 416 {
			t.Errorf("a range beyond the end: %d %s", g.status, g.body)
		}
		if g := askOBS(t, scheme, "GET", base, "/own/here", "If-None-Match", "*"); g.status != 304 || g.body != "" {
			t.Errorf("unmodified: %d %s", g.status, g.body)
		}
	}
}

func TestOBSBucketIsTheHostsFirstLabel(t *testing.T) {
	c, base := withObjects(t, "own/f", "g h")
	address := strings.TrimPrefix(base, "http://")
	for _, row := range []struct{ host, path, body string }{
		{"own.obs.cn-north-4.myhuaweicloud.com:443", "/own/f", "own/f"},
		{"own." + address, "/g%20h", "g h"},
		{address, "/own/own/f", "own/f"},
	} {
		for scheme := range obsSchemeWords {
			r := newRequest(t, "GET", base+row.path, "", "Date", now().Format(http.TimeFormat))
			r.Host = row.host
			r = signedOBS(r, scheme, "cn-north-4")
			if g := send(t, r); g.status != 200 || g.body != row.body {
				t.Errorf("%s %+v: %d %s", scheme, row, g.status, g.body)
			}
		}
	}
	r := newRequest(t, "GET", base+"/f", "")
	r.Host = "own.obs.cn-north-4.myhuaweicloud.com"
	if g := send(t, r); g.status != 403 || !strings.Contains(g.body, "<Code>AccessDenied<") || g.header.Get("x-obs-request-id") == "" {
		t.Errorf("without a signature: %d %s", g.status, g.body)
	}
	if s := c.storeRequest(&http.Request{Host: "nobody.obs.cn-north-4.myhuaweicloud.com", URL: r.URL}); s.Bucket != "nobody" {
		t.Errorf("a bucket that does not exist: got %s", s.Bucket)
	}
}
