package sandbox

import (
	"encoding/xml"
	"strings"
	"testing"
	"time"
)

func fileURL(t *testing.T, base, job string) string {
	t.Helper()
	return getJob(t, base, job).Details.FilePath
}

// storeError reads the code and the message of an error of the store.
func ossError(t *testing.T, g answer) (code, message string) {
	t.Helper()
	var e struct {
		Code, Message string
		RequestID     string `xml:"RequestId"`
	}
	if err := xml.Unmarshal([]byte(g.body), &e); err != nil || e.RequestID == "" || e.RequestID != g.header.Get("x-oss-request-id") {
		t.Errorf("no error of the store: %s", g.body)
	}
	return e.Code, e.Message
}

func TestSignedURLGivesTheFileAndItsMetadata(t *testing.T) {
	_, base := startCloud(t, Job{Name: "job-1", File: File{Name: "a b+ü%.bin", Body: []byte("123456789")}})
	g := fetch(t, "GET", fileURL(t, base, "job-1"))
	if g.status != 200 || g.body != "123456789" {
		t.Fatalf("got %d %s", g.status, g.body)
	}
	for name, want := range map[string]string{
		"ETag":                 `"25F9E794323B453885F5181F1B624D0B"`,
		"x-oss-hash-crc64ecma": "11051210869376104954",
		"Content-MD5":          "JfnnlDI7RTiF9RgfG2JNCw==",
		"x-oss-object-type":    "Normal",
		"Accept-Ranges":        "bytes",
		"Content-Length":       "9",
		"Content-Type":         "application/octet-stream",
		"Last-Modified":        "Fri, 02 Jan 2026 03:04:05 GMT",
	} {
		if got := g.header.Get(name); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

func TestURLIsGoodForOneMethodOneKeyAndNothingMore(t *testing.T) {
	c, base := startCloud(t, Job{Name: "job-1", File: File{Name: "f.bin", Body: []byte("x")}}, Job{Name: "job-2"})
	signed := fileURL(t, base, "job-1")
	bare, _, _ := strings.Cut(signed, "?")
	for _, row := range []struct {
		how, method, url, code string
		status                 int
		headers                []string
	}{
		{"as given", "GET", signed, "", 200, nil},
		{"range, condition", "GET", signed, "", 206, []string{"Range", "bytes=0-0", "If-Match", `"9DD4E461268C8034F5C8564E155C67A6"`}},
		{"HEAD", "HEAD", signed, "", 403, nil},
		{"PUT", "PUT", signed, "SignatureDoesNotMatch", 403, nil},
		{"x-oss header", "GET", signed, "SignatureDoesNotMatch", 403, []string{"x-oss-range-behavior", "standard"}},
		{"content type", "GET", signed, "SignatureDoesNotMatch", 403, []string{"Content-Type", "text/plain"}},
		{"subresource", "GET", signed + "&response-content-type=text%2Fplain", "SignatureDoesNotMatch", 403, nil},
		{"other parameter", "GET", signed + "&trace=1", "", 200, nil},
		{"Authorization", "GET", signed, "InvalidArgument", 400, []string{"Authorization", "OSS a:b"}},
		{"other job's file", "GET", strings.Replace(signed, "job-1", "job-2", 1), "SignatureDoesNotMatch", 403, nil},
		{"longer life", "GET", strings.Replace(signed, "Expires=1", "Expires=2", 1), "SignatureDoesNotMatch", 403, nil},
		{"unsigned", "GET", bare, "AccessDenied", 403, nil},
		{"half signed", "GET", bare + "?Expires=1", "AccessDenied", 403, nil},
		{"no date", "GET", bare + "?Expires=x&OSSAccessKeyId=a&Signature=b", "AccessDenied", 403, nil},
		{"unknown key", "GET", bare + "?Expires=9999999999&OSSAccessKeyId=a&Signature=b", "InvalidAccessKeyId", 403, nil},
		{"other version", "GET", signed, "PreconditionFailed", 412, []string{"If-Match", `"0"`}},
	} {
		g := fetch(t, row.method, row.url, row.headers...)
		if g.status != row.status {
			t.Errorf("%s: status %d %s", row.how, g.status, g.body)
		}
		if row.code == "" {
			continue
		}
		if code, _ := ossError(t, g); code != row.code {
			t.Errorf("%s: %s", row.how, code)
		}
	}
	if n := c.Counts(); n.Refused["SignatureDoesNotMatch"] != 7 || n.Requests != 16 || n.Bytes != 3 {
		t.Errorf("got %+v", n)
	}
}

func TestExpiryIsCheckedBeforeTheSignature(t *testing.T) {
	clock := now()
	c := New(Options{AccessKeyID: mockID, AccessKeySecret: mockSecret, URLLifetime: time.Minute, Now: func() time.Time { return clock }})
	c.AddJob(project, Job{Name: "job-1"})
	base, stop, err := c.Start()
	if err != nil {
		t.Fatal(err)
	}
	signed := fileURL(t, base, "job-1")
	stop()
	clock = clock.Add(61 * time.Second)
	base2, stop, err := c.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	signed = strings.Replace(signed, base, base2, 1)
	for _, url := range []string{signed, signed + "x"} {
		g := fetch(t, "GET", url)
		code, message := ossError(t, g)
		if g.status != 403 || code != "AccessDenied" || message != "Request has expired." ||
			!strings.Contains(g.body, "<EC>0002-00000069</EC>") || !strings.Contains(g.body, "<Expires>2026-01-02T03:05:05.000Z</Expires>") {
			t.Errorf("got %d %s", g.status, g.body)
		}
	}
}

func TestFileThatIsGoneOrRenamedIsNoSuchKey(t *testing.T) {
	c, base := startCloud(t, Job{Name: "job-1"})
	check := func(url string, status int) {
		t.Helper()
		g := fetch(t, "GET", url)
		if g.status != status {
			t.Errorf("got %d %s", g.status, g.body)
		}
		if status == 404 {
			if code, _ := ossError(t, g); code != "NoSuchKey" {
				t.Errorf("got %q, want %q", code, "NoSuchKey")
			}
		}
	}
	old := fileURL(t, base, "job-1")
	c.UpdateJob(project, "job-1", func(j *Job) { j.File.Name = "other.csv" })
	check(old, 404)
	renamed := fileURL(t, base, "job-1")
	check(renamed, 200)
	c.UpdateJob(project, "job-1", func(j *Job) { j.File.Gone = true })
	check(renamed, 404)
	c.RemoveJob(project, "job-1")
	check(renamed, 404)
}

func TestRangesAreReadAsOSSReadsThem(t *testing.T) {
	for _, row := range []struct {
		header   string
		size     int64
		off, end int64
		part     bool
	}{
		{"", 1000, 0, 1000, false},
		{"bytes=0-499", 1000, 0, 500, true},
		{"bytes=0-0", 1000, 0, 1, true},
		{"bytes=999-999", 1000, 999, 1000, true},
		{"bytes=0-999", 1000, 0, 1000, true},
		{"bytes=500-", 1000, 500, 1000, true},
		{"bytes=-100", 1000, 900, 1000, true},
		{"bytes=-1000", 1000, 0, 1000, true},
		{"bytes=0-9,20-29", 1000, 0, 10, true},
		{"bytes=500-1000", 1000, 0, 1000, false},
		{"bytes=500-2000", 1000, 0, 1000, false},
		{"bytes=1000-", 1000, 0, 1000, false},
		{"bytes=1000-2000", 1000, 0, 1000, false},
		{"bytes=-2000", 1000, 0, 1000, false},
		{"bytes=-0", 1000, 0, 1000, false},
		{"bytes=9-5", 1000, 0, 1000, false},
		{"byte=0-9", 1000, 0, 1000, false},
		{"bytes=", 1000, 0, 1000, false},
		{"bytes=-", 1000, 0, 1000, false},
		{"bytes=x-9", 1000, 0, 1000, false},
		{"bytes=5-x", 1000, 0, 1000, false},
		{"bytes=+1-5", 1000, 0, 1000, false},
		{"bytes=99999999999999999999-", 1000, 0, 1000, false},
		{"bytes=0-0", 0, 0, 0, false},
	} {
		if got, want := ossRange(row.header, row.size), (byteRange{row.off, row.end, row.part}); got != want {
			t.Errorf("%q of %d: got %+v, want %+v", row.header, row.size, got, want)
		}
	}
}

func TestPartialResponseHasTheHeadersOfTheWholeObject(t *testing.T) {
	_, base := startCloud(t, Job{Name: "job-1", File: File{Body: []byte("123456789")}})
	signed := fileURL(t, base, "job-1")
	g := fetch(t, "GET", signed, "Range", "bytes=2-4")
	if g.status != 206 || g.body != "345" || g.header.Get("Content-Range") != "bytes 2-4/9" || g.header.Get("x-oss-hash-crc64ecma") != "11051210869376104954" {
		t.Errorf("got %d %s %v", g.status, g.body, g.header)
	}
	g = fetch(t, "GET", signed, "Range", "bytes=2-9")
	if g.status != 200 || g.body != "123456789" || g.header.Get("Content-Range") != "" {
		t.Errorf("got %d %s %v", g.status, g.body, g.header)
	}
}

func TestTextIsCompressedOnTheWayIfAskedFor(t *testing.T) {
	text := strings.Repeat("text", 1000)
	for _, row := range []struct {
		name, accept, ranges string
		body                 string
		gzip                 bool
	}{
		{"f.json", "gzip", "", text, true},
		{"f.txt", "deflate, gzip", "", text, true},
		{"f.csv", "gzip", "", text, false},
		{"f.json", "identity", "", text, false},
		{"f.json", "gzip", "bytes=0-2000", text[:2001], false},
		{"f.json", "gzip", "", "short", false},
	} {
		whole := text
		if row.body == "short" {
			whole = "short"
		}
		_, base := startCloud(t, Job{Name: "job-1", File: File{Name: row.name, Body: []byte(whole)}})
		headers := []string{"Accept-Encoding", row.accept}
		if row.ranges != "" {
			headers = append(headers, "Range", row.ranges)
		}
		g := fetch(t, "GET", fileURL(t, base, "job-1"), headers...)
		body := g.body
		if row.gzip {
			body = decompress(t, "gzip", body)
		}
		if body != row.body {
			t.Errorf("%+v: %d bytes", row, len(body))
		}
		for _, name := range []string{"ETag", "Content-Length", "Accept-Ranges"} {
			if (g.header.Get(name) == "") != row.gzip {
				t.Errorf("%s with %s: %s = %q", row.name, row.accept, name, g.header.Get(name))
			}
		}
	}
}
