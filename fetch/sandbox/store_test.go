package sandbox

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// withObjects returns a cloud that has objects of those keys in the bucket
// "own", each of which holds its key.
func withObjects(t *testing.T, keys ...string) (*Cloud, string) {
	t.Helper()
	c, base := startCloud(t)
	c.AddBucket("own", Bucket{})
	for _, key := range keys {
		c.AddObject("own", key, File{Body: []byte(key)})
	}
	return c, base
}

func TestObjectIsGivenByKeyWithItsMetadata(t *testing.T) {
	c, base := startCloud(t)
	made := time.Date(2025, 5, 6, 7, 8, 9, 5e8, time.UTC)
	c.AddObject("own", "a/b+c d.bin", File{Body: []byte("123456789"), LastModified: made, StorageClass: "IA"})
	for _, method := range []string{"GET", "HEAD"} {
		g := askOSS(t, method, base, "/own/a%2Fb%2Bc%20d.bin")
		if want := map[string]string{"GET": "123456789"}[method]; g.status != 200 || g.body != want {
			t.Fatalf("%s: %d %s", method, g.status, g.body)
		}
		for name, want := range map[string]string{
			"ETag": `"25F9E794323B453885F5181F1B624D0B"`, "x-oss-hash-crc64ecma": "11051210869376104954", "Content-MD5": "JfnnlDI7RTiF9RgfG2JNCw==",
			"x-oss-object-type": "Normal", "x-oss-storage-class": "IA", "Content-Length": "9", "Last-Modified": "Tue, 06 May 2025 07:08:09 GMT",
		} {
			if got := g.header.Get(name); got != want {
				t.Errorf("%s %s: got %s, want %s", method, name, got, want)
			}
		}
	}
	n := c.Counts()
	wantEqual(t, "calls", n.Calls, map[string]int{"GetObject": 1, "HeadObject": 1})
	wantEqual(t, "counts of objects", n.Objects, map[string]ItemCounts{"own/a/b+c d.bin": {Requests: 2, Bytes: 9}})
	if n.Requests != 2 {
		t.Errorf("got %d requests, want 2", n.Requests)
	}
}

func TestOSSHasTheVendorsErrors(t *testing.T) {
	c, base := withObjects(t, "here", "gone")
	c.UpdateObject("own", "gone", func(f *File) { f.Gone = true })
	c.AddObject("own", "cold", File{StorageClass: "Archive"})
	c.AddJob(project, Job{Name: "job-1", File: File{Name: "f"}})
	c.AddBucket("elsewhere", Bucket{Endpoint: "oss-cn-beijing.aliyuncs.com"})
	for _, row := range []struct {
		method, path string
		status       int
		code, has    string
	}{
		{"GET", "/own/nothing", 404, "NoSuchKey", "<Key>nothing</Key>"},
		{"GET", "/own/gone", 404, "NoSuchKey", "<EC>0026-00000001</EC>"},
		{"GET", "/nobody/here", 404, "NoSuchBucket", "<BucketName>nobody</BucketName>"},
		{"GET", "/nobody/?list-type=2", 404, "NoSuchBucket", ""},
		{"GET", "/own/cold", 403, "InvalidObjectState", "<EC>0016-00000404</EC>"},
		{"GET", "/elsewhere/x", 403, "AccessDenied", "<Endpoint>oss-cn-beijing.aliyuncs.com</Endpoint>"},
		{"GET", "/elsewhere/", 403, "AccessDenied", "must be addressed using the specified endpoint"},
		{"GET", "/sls-downloads/" + project + "/job-1/f", 403, "AccessDenied", "because of bucket acl"},
		{"GET", "/sls-downloads/", 403, "AccessDenied", ""},
		{"PUT", "/own/here", 405, "MethodNotAllowed", ""},
		{"DELETE", "/own/here", 405, "MethodNotAllowed", ""},
		{"GET", "/own/here?acl", 501, "NotImplemented", ""},
		{"GET", "/own/?versions", 501, "NotImplemented", ""},
		{"GET", "/", 501, "NotImplemented", ""},
		{"GET", "/own/?max-keys=0", 400, "InvalidArgument", "<ArgumentName>max-keys</ArgumentName>"},
		{"GET", "/own/?max-keys=1001", 400, "InvalidArgument", ""},
		{"GET", "/own/?list-type=2&max-keys=x", 400, "InvalidArgument", ""},
		{"GET", "/own/?encoding-type=base64", 400, "InvalidArgument", ""},
		{"GET", "/own/?list-type=2&continuation-token=*", 400, "InvalidArgument", ""},
	} {
		g := askOSS(t, row.method, base, row.path)
		if code, _ := ossError(t, g); g.status != row.status || code != row.code || !strings.Contains(g.body, row.has) {
			t.Errorf("%s %s: %d %s", row.method, row.path, g.status, g.body)
		}
	}
	if n := c.Counts().Refused; n["NoSuchKey"] != 2 || n["NoSuchBucket"] != 2 {
		t.Errorf("got %v", n)
	}
}

func TestErrorOfHeadIsInAHeader(t *testing.T) {
	_, base := withObjects(t)
	g := askOSS(t, "HEAD", base, "/own/nothing")
	if g.status != 404 || g.body != "" || g.header.Get("x-oss-ec") != "0026-00000001" || g.header.Get("x-oss-err") == "" {
		t.Errorf("got %d %q %v", g.status, g.body, g.header)
	}
}

func TestObjectsReadByKeyHaveFaultsToo(t *testing.T) {
	c, base := startCloud(t)
	c.AddObject("own", "f", File{Body: []byte(digits), Faults: Faults{
		Busy: 1, Flip: Flip{At: 1, Times: 1}, Cut: Cut{After: 4, Times: 1}, Replace: Replacement{After: 2, Body: []byte("new")}, ExpireAfter: Expiry{Requests: 1}}})
	for i, want := range []answer{{status: 503}, {status: 200, body: "0023"}, {status: 200, body: digits}, {status: 200, body: "new"}} {
		g := askOSS(t, "GET", base, "/own/f")
		if g.status != want.status || want.body != "" && g.body != want.body || (g.err != nil) != (i == 1) {
			t.Errorf("answer %d: %d %q %v", i, g.status, g.body, g.err)
		}
	}
	c.UpdateObject("own", "f", func(f *File) { f.Faults.Busy = 2 })
	if g := askOSS(t, "HEAD", base, "/own/f"); g.status != 503 {
		t.Errorf("HEAD: %d", g.status)
	}
	if c.UpdateObject("own", "g", nil) || c.UpdateObject("other", "f", nil) {
		t.Error("UpdateObject of an object that does not exist: got true, want false")
	}
}

func TestStandardRangesAreReadAsInHTTP(t *testing.T) {
	for _, row := range []struct {
		header   string
		size     int64
		off, end int64
		part, ok bool
	}{
		{"", 1000, 0, 1000, false, true},
		{"bytes=0-499", 1000, 0, 500, true, true},
		{"bytes=500-", 1000, 500, 1000, true, true},
		{"bytes=-100", 1000, 900, 1000, true, true},
		{"bytes=500-2000", 1000, 500, 1000, true, true},
		{"bytes=-2000", 1000, 0, 1000, true, true},
		{"bytes=1000-", 1000, 0, 0, false, false},
		{"bytes=1000-2000", 1000, 0, 0, false, false},
		{"bytes=-0", 1000, 0, 0, false, false},
		{"bytes=0-0", 0, 0, 0, false, false},
		{"bytes=9-5", 1000, 0, 1000, false, true},
		{"byte=0-9", 1000, 0, 1000, false, true},
		{"bytes=x-9", 1000, 0, 1000, false, true},
	} {
		got, ok := standardRange(row.header, row.size)
		if ok != row.ok || ok && got != (byteRange{row.off, row.end, row.part}) {
			t.Errorf("%q of %d: got %+v %t", row.header, row.size, got, ok)
		}
	}
	_, base := withObjects(t, "123456789")
	const path, ask = "/own/123456789", "x-oss-range-behavior"
	if g := askOSS(t, "GET", base, path, "Range", "bytes=7-99", ask, "standard"); g.status != 206 || g.body != "89" || g.header.Get("Content-Range") != "bytes 7-8/9" {
		t.Errorf("got %d %s", g.status, g.body)
	}
	if g := askOSS(t, "GET", base, path, "Range", "bytes=7-99"); g.status != 200 || g.body != "123456789" {
		t.Errorf("got %d %s", g.status, g.body)
	}
	g := askOSS(t, "GET", base, path, "Range", "bytes=9-", ask, "standard")
	if code, _ := ossError(t, g); g.status != 416 || code != "InvalidRange" || !strings.Contains(g.body, "<ActualObjectSize>9<") {
		t.Errorf("got %d %s", g.status, g.body)
	}
}

func TestConditionsAreChecked(t *testing.T) {
	c, base := startCloud(t)
	c.AddObject("own", "f", File{Body: []byte("x"), LastModified: time.Date(2025, 1, 2, 3, 4, 5, 6, time.UTC)})
	const same, etag = "Thu, 02 Jan 2025 03:04:05 GMT", `"9DD4E461268C8034F5C8564E155C67A6"`
	for _, row := range []struct {
		name, value string
		status      int
	}{
		{"If-Match", etag, 200},
		{"If-Match", strings.Trim(etag, `"`), 200},
		{"If-Match", `"0", ` + etag, 200},
		{"If-Match", "*", 200},
		{"If-Match", `"0"`, 412},
		{"If-None-Match", `"0"`, 200},
		{"If-None-Match", etag, 304},
		{"If-Unmodified-Since", same, 200},
		{"If-Unmodified-Since", "Thu, 02 Jan 2025 03:04:04 GMT", 412},
		{"If-Modified-Since", "Thu, 02 Jan 2025 03:04:04 GMT", 200},
		{"If-Modified-Since", same, 304},
	} {
		if g := askOSS(t, "GET", base, "/own/f", row.name, row.value); g.status != row.status {
			t.Errorf("%s: %s: %d", row.name, row.value, g.status)
		}
	}
}

func TestBucketMayBeTheHostsFirstLabel(t *testing.T) {
	_, base := withObjects(t, "own/f", "g")
	address := strings.TrimPrefix(base, "http://")
	for _, row := range []struct{ host, path, body string }{
		{"own." + address, "/own/f", "own/f"},
		{"own." + address, "/g", "g"},
		{"other." + address, "/own/g", "g"},
		{address, "/own/own/f", "own/f"},
		{"oss-cn-hangzhou.aliyuncs.com", "/own/g", "g"},
	} {
		date := now().Format(http.TimeFormat)
		r := newRequest(t, "GET", base+row.path, "", "Date", date)
		r.Host = row.host
		if g := send(t, signedOSS(r, date, "/own/"+row.body)); g.status != 200 || g.body != row.body {
			t.Errorf("%+v: %d %s", row, g.status, g.body)
		}
	}
}

func TestBucketOfAVendorsHostNeedNotExist(t *testing.T) {
	c := New(options())
	r := newRequest(t, "GET", "http://nobody.oss-cn-hangzhou.aliyuncs.com/own/f", "")
	if s := c.storeRequest(r); s.Bucket != "nobody" || s.Key != "own/f" {
		t.Errorf("got bucket %s and key %s", s.Bucket, s.Key)
	}
}

func TestCustomerMaySignURLsOfOwnObjectsOnly(t *testing.T) {
	c, base := withObjects(t, "f")
	c.AddJob(project, Job{Name: "job-1", File: File{Name: "f"}})
	for path, want := range map[string]string{"/own/f": "", "/own/g": "NoSuchKey", "/sls-downloads/" + project + "/job-1/f": "AccessDenied"} {
		expires := fmt.Sprint(now().Add(time.Minute).Unix())
		signature := ossSignature(newRequest(t, "GET", base+path, ""), expires, path)
		q := url.Values{"Expires": {expires}, "OSSAccessKeyId": {mockID}, "Signature": {signature}}
		g := fetch(t, "GET", base+path+"?"+q.Encode())
		if want == "" && g.body == "f" {
			continue
		}
		if code, _ := ossError(t, g); code != want {
			t.Errorf("%s: %d %s", path, g.status, g.body)
		}
	}
}

func TestMismatchAnswersWithWhatShouldHaveBeenSigned(t *testing.T) {
	_, base := withObjects(t, "f")
	r := newRequest(t, "GET", base+"/own/f", "", "Date", now().Format(http.TimeFormat), "Authorization", "OSS "+mockID+":x")
	g := send(t, r)
	if code, _ := ossError(t, g); code != "SignatureDoesNotMatch" || g.status != 403 {
		t.Errorf("got %d %s", g.status, g.body)
	}
	for _, want := range []string{
		"<OSSAccessKeyId>" + mockID + "</", "<SignatureProvided>x</", "<StringToSign>GET", "<StringToSignBytes>47 45 54 ", "<HostId>" + r.Host + "</", "<EC>0002-00000040</EC>",
	} {
		if !strings.Contains(g.body, want) {
			t.Errorf("no %s in %s", want, g.body)
		}
	}
}
