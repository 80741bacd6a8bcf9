package sandbox

import (
	"cmp"
	"crypto/md5"
	"encoding/xml"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// obsVisited asks the store as OBS for a path, signed with "OBS" or "AWS4".
func obsVisited(t *testing.T, scheme, method, base, path string, headers ...string) got {
	t.Helper()
	r, err := http.NewRequest(method, base+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	setHeaders(r, "Date", now().Format(http.TimeFormat))
	setHeaders(r, headers...)
	return send(t, signedOBS(r, scheme, "cn-north-4"))
}

// signedOBS signs as mockID does, with what the vectors have proven.
func signedOBS(r *http.Request, scheme, region string) *http.Request {
	v := New(options()).visit(r)
	if r.Host != "" && !strings.HasPrefix(r.Host, "127.") {
		v.bucket, _, _ = strings.Cut(r.Host, ".")
		v.key = strings.TrimPrefix(r.URL.Path, "/")
	}
	if scheme == "OBS" {
		r.Header.Set("Authorization", "OBS "+mockID+":"+signStore(mockSecret, v.obsText()))
		return r
	}
	r.Header.Set("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
	authorization := "Credential=" + mockID + "/" + now().Format("20060102") + "/" + region + "/s3/aws4_request,SignedHeaders=" +
		strings.Join(append([]string{"host"}, sortedNames(headersWith(r.Header, "x-amz-"))...), ";")
	claim, bad := readAWS4(v, authorization)
	if bad != nil {
		panic(bad.message)
	}
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 "+authorization+",Signature="+claim.sign(mockSecret))
	return r
}

var obsSchemeWords = map[string]string{"OBS": "x-obs-", "AWS4": "x-amz-"}

func TestOBSGivesTheSameObjectsInItsOwnWay(t *testing.T) {
	c, base := started(t)
	made := time.Date(2025, 5, 6, 7, 8, 9, 5e8, time.UTC)
	c.AddObject("own", "a/b+c d.bin", File{Body: []byte("123456789"), LastModified: made, StorageClass: "IA", Encryption: "kms"})
	c.AddObject("own", "plain.json", File{Body: []byte(strings.Repeat("1", 2000))})
	for scheme, prefix := range obsSchemeWords {
		for _, method := range []string{"GET", "HEAD"} {
			g := obsVisited(t, scheme, method, base, "/own/a/b%2Bc%20d.bin", "Range", "bytes=7-99")
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
				t.Errorf("%v", g.header)
			}
		}
		g := obsVisited(t, scheme, "GET", base, "/own/plain.json", "Accept-Encoding", "gzip")
		if want := fmt.Sprintf(`"%x"`, md5.Sum([]byte(g.body))); g.header.Get("ETag") != want || len(g.body) != 2000 || g.header.Get(prefix+"storage-class") != "" {
			t.Errorf("%v: want ETag %s", g.header, want)
		}
	}
	n := c.Counts()
	if n.Calls["GetObject"] != 4 || n.Calls["HeadObject"] != 2 || n.Objects["own/a/b+c d.bin"] != (ItemCounts{Requests: 4, Bytes: 4}) || n.Requests != 6 {
		t.Errorf("%+v", n)
	}
}

// The parts' MD5s are hashed as bytes, not as text.
func TestOBSHashesPartsAsS3Does(t *testing.T) {
	c, base := started(t)
	c.AddObject("own", "f", File{Body: []byte("123456789"), Faults: Faults{MultipartETag: 4}})
	var sums []byte
	for _, part := range []string{"1234", "5678", "9"} {
		sum := md5.Sum([]byte(part))
		sums = append(sums, sum[:]...)
	}
	want := fmt.Sprintf(`"%x-3"`, md5.Sum(sums))
	if g := obsVisited(t, "OBS", "GET", base, "/own/f"); g.header.Get("ETag") != want {
		t.Errorf("got %s, want %s", g.header.Get("ETag"), want)
	}
	if g := obsVisited(t, "OBS", "GET", base, "/own/f", "If-Match", want); g.status != 200 {
		t.Errorf("If-Match: %d", g.status)
	}
	if g := obsVisited(t, "OBS", "GET", base, "/own/f", "If-Match", `"0"`); g.status != 412 {
		t.Errorf("another If-Match: %d", g.status)
	}
	if p := obsListing(t, base, ""); p.Contents[0].ETag != want || p.Contents[0].StorageClass != "STANDARD" || p.Contents[0].Type != "" {
		t.Errorf("%+v", p)
	}
}

func obsListing(t *testing.T, base, query string) listedPage {
	t.Helper()
	g := obsVisited(t, "AWS4", "GET", base, "/own/?"+query)
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
		p := obsListing(t, base, "max-keys=1&list-type=2&marker="+strings.ReplaceAll(marker, " ", "%20"))
		got = append(got, p.items()...)
		if !p.IsTruncated {
			break
		}
		marker = strings.ReplaceAll(p.NextMarker, "+", "%2B")
	}
	if !slices.Equal(got, keys) {
		t.Errorf("got %q", got)
	}
	if p := obsListing(t, base, "prefix=a%20b/&encoding-type=url"); !slices.Equal(p.items(), []string{"a%20b%2F%2B", "a%20b%2F1%202"}) || p.MaxKeys != 1000 {
		t.Errorf("%+v", p)
	}
	if n := c.Counts(); n.Calls["ListObjects"] != 5 || n.Requests != 0 {
		t.Errorf("%+v", n)
	}
}

func TestOBSRefusesInItsOwnWords(t *testing.T) {
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
			g := obsVisited(t, scheme, row.method, base, row.path)
			var said struct{ Code, RequestID string }
			if err := xml.Unmarshal([]byte(strings.ReplaceAll(g.body, "RequestId", "RequestID")), &said); err != nil || g.status != row.status || said.Code != row.code ||
				!strings.Contains(g.body, row.has) || said.RequestID == "" || said.RequestID != g.header.Get(prefix+"request-id") {
				t.Errorf("%s %s %s: %d %s", scheme, row.method, row.path, g.status, g.body)
			}
		}
		if g := obsVisited(t, scheme, "HEAD", base, "/own/nothing"); g.status != 404 || g.body != "" || g.header.Get("x-oss-err") != "" {
			t.Errorf("HEAD: %d %q %v", g.status, g.body, g.header)
		}
		if g := obsVisited(t, scheme, "GET", base, "/own/here", "Range", "bytes=9-"); g.status != 416 {
			t.Errorf("a range beyond the end: %d %s", g.status, g.body)
		}
		if g := obsVisited(t, scheme, "GET", base, "/own/here", "If-None-Match", "*"); g.status != 304 || g.body != "" {
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
			r, _ := http.NewRequest("GET", base+row.path, nil)
			r.Host = row.host
			setHeaders(r, "Date", now().Format(http.TimeFormat))
			r = signedOBS(r, scheme, "cn-north-4")
			if g := send(t, r); g.status != 200 || g.body != row.body {
				t.Errorf("%s %+v: %d %s", scheme, row, g.status, g.body)
			}
		}
	}
	r, _ := http.NewRequest("GET", base+"/f", nil)
	r.Host = "own.obs.cn-north-4.myhuaweicloud.com"
	if g := send(t, r); g.status != 403 || !strings.Contains(g.body, "<Code>AccessDenied<") || g.header.Get("x-obs-request-id") == "" {
		t.Errorf("without a signature: %d %s", g.status, g.body)
	}
	if v := c.visit(&http.Request{Host: "nobody.obs.cn-north-4.myhuaweicloud.com", URL: r.URL}); v.bucket != "nobody" {
		t.Errorf("a bucket that is not there: %s", v.bucket)
	}
}

const (
	s3ID     = "AKIAIOSFODNN7EXAMPLE"
	s3Secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	s3Host   = "http://examplebucket.s3.amazonaws.com"
	s3Scope  = "AWS4-HMAC-SHA256 Credential=" + s3ID + "/20130524/us-east-1/s3/aws4_request,SignedHeaders="
)

// s3Vectors are the examples that Amazon publishes of V4.
var s3Vectors = map[string][]string{
	"object": {s3Host + "/test.txt", "Range", "bytes=0-9", "Authorization",
		s3Scope + "host;range;x-amz-content-sha256;x-amz-date,Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
	"subresource": {s3Host + "/?lifecycle", "Authorization",
		s3Scope + "host;x-amz-content-sha256;x-amz-date,Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
	"listing": {s3Host + "/?max-keys=2&prefix=J", "Authorization",
		s3Scope + "host;x-amz-content-sha256;x-amz-date, Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
}

func s3Vector(t *testing.T, name string) (*Cloud, *http.Request) {
	t.Helper()
	r, err := http.NewRequest("GET", s3Vectors[name][0], nil)
	if err != nil {
		t.Fatal(err)
	}
	setHeaders(r, "x-amz-date", "20130524T000000Z", "x-amz-content-sha256", emptyHash)
	setHeaders(r, s3Vectors[name][1:]...)
	c := New(Options{AccessKeyID: s3ID, AccessKeySecret: s3Secret, Now: func() time.Time { return time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC) }})
	c.AddBucket("examplebucket", Bucket{Region: "us-east-1"})
	return c, r
}

func (c *Cloud) judgeOBSRequest(r *http.Request) *refusal { return c.judgeOBS(c.visit(r)) }

func TestPublishedV4VectorsAreAccepted(t *testing.T) {
	for name := range s3Vectors {
		c, r := s3Vector(t, name)
		if bad := c.judgeOBSRequest(r); bad != nil {
			t.Errorf("%s: %s: %s %v", name, bad.code, bad.message, bad.extra)
		}
	}
}

// OBS signs as S3 did before V4, with headers of its own, so the examples that
// Amazon published of that hold.
func TestPublishedTextsAreSignedAlike(t *testing.T) {
	for path, row := range map[string]struct{ date, signature string }{
		"/photos/puppy.jpg":                        {"Tue, 27 Mar 2007 19:36:42 +0000", "bWq2s1WEIj+Ydj0vQ697zp+IXMU="},
		"/?prefix=photos&max-keys=50&marker=puppy": {"Tue, 27 Mar 2007 19:42:41 +0000", "htDYFYduRNen8P9ZfE/s9SuKy0U="},
		"/?acl": {"Tue, 27 Mar 2007 19:44:46 +0000", "c2WLPFtWHVgbEmeEG93a4cG37dM="},
	} {
		r, _ := http.NewRequest("GET", "http://johnsmith.obs.example"+path, nil)
		r.Header.Set("Date", row.date)
		c := New(Options{})
		c.AddBucket("johnsmith", Bucket{})
		text := c.visit(r).obsText()
		if got := signStore(s3Secret, text); got != row.signature {
			t.Errorf("%s: got %s of %q, want %s", path, got, text, row.signature)
		}
	}
}

func TestTamperedOBSRequestsAreRefused(t *testing.T) {
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
		{"object", "other key", func(r *http.Request) { r.URL.Path += "2" }, 403, "SignatureDoesNotMatch"},
		{"object", "other host", func(r *http.Request) { r.Host = "examplebucket.s3.example" }, 403, "SignatureDoesNotMatch"},
		{"object", "other method", func(r *http.Request) { r.Method = "HEAD" }, 403, "SignatureDoesNotMatch"},
		{"object", "other range, which was signed", header("Range", "bytes=0-8"), 403, "SignatureDoesNotMatch"},
		{"object", "a header more, which must be", header("x-amz-foo", "1"), 403, "AccessDenied"},
		{"object", "host not signed", credential("=host;", "="), 403, "AccessDenied"},
		{"object", "no payload hash", header("x-amz-content-sha256", ""), 400, "InvalidRequest"},
		{"object", "16 minutes late", header("x-amz-date", "20130524T001601Z"), 403, "RequestTimeTooSkewed"},
		{"object", "no date", header("x-amz-date", ""), 403, "AccessDenied"},
		{"object", "other day", credential("20130524", "20130525"), 400, "AuthorizationHeaderMalformed"},
		{"object", "other region", credential("us-east-1", "cn-north-4"), 400, "AuthorizationHeaderMalformed"},
		{"object", "short scope", credential("/aws4_request", ""), 400, "AuthorizationHeaderMalformed"},
		{"object", "unknown key", credential("AKIA", "AKIB"), 403, "InvalidAccessKeyId"},
		{"object", "other scheme", header("Authorization", "AWS "+s3ID+":x"), 403, "AccessDenied"},
		{"listing", "other query", func(r *http.Request) { r.URL.RawQuery += "x" }, 403, "SignatureDoesNotMatch"},
		{"obs", "other key", func(r *http.Request) { r.URL.Path += "2" }, 403, "SignatureDoesNotMatch"},
		{"obs", "a header more", header("x-obs-foo", "1"), 403, "SignatureDoesNotMatch"},
		{"obs", "a subresource more", func(r *http.Request) { r.URL.RawQuery = "versionId=1" }, 403, "SignatureDoesNotMatch"},
		{"obs", "a token unasked for", header("x-obs-security-token", "t"), 400, "InvalidToken"},
		{"obs", "no date", header("Date", ""), 403, "AccessDenied"},
		{"obs", "old date", header("Date", "Fri, 24 May 2013 00:16:01 GMT"), 403, "RequestTimeTooSkewed"},
	} {
		c, r := s3Vector(t, cmp.Or(map[string]string{"listing": "listing"}[row.of], "object"))
		if row.of == "obs" {
			r.Header = http.Header{"Date": {"Fri, 24 May 2013 00:00:00 GMT"}}
			r.Header.Set("Authorization", "OBS "+s3ID+":"+signStore(s3Secret, c.visit(r).obsText()))
			if bad := c.judgeOBSRequest(r); bad != nil {
				t.Fatalf("untouched: %+v", bad)
			}
		}
		row.change(r)
		if bad := c.judgeOBSRequest(r); bad == nil || bad.status != row.status || bad.code != row.code {
			t.Errorf("%s, %s: got %+v, want %d %s", row.of, row.how, bad, row.status, row.code)
		}
	}
}

func TestOBSHeadersThatAreNotSignedMayChange(t *testing.T) {
	c, r := s3Vector(t, "listing")
	setHeaders(r, "Range", "bytes=0-1", "If-Match", "x", "Accept-Encoding", "identity")
	if bad := c.judgeOBSRequest(r); bad != nil {
		t.Errorf("%+v", bad)
	}
}
