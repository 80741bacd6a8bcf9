package sandbox

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

const digits = "0123456789"

// withFaults returns the URL of a file of digits that has those faults.
func withFaults(t *testing.T, f Faults) (*Cloud, string, string) {
	t.Helper()
	c, base := startCloud(t, Job{Name: "job-1", File: File{Rows: 1, Body: []byte(digits), Faults: f}})
	return c, base, fileURL(t, base, "job-1")
}

func TestFaultsOccurWhereAndAsOftenAsSet(t *testing.T) {
	type response struct {
		ranges string
		status int
		body   string
		cut    bool
	}
	whole := response{"", 200, digits, false}
	for name, row := range map[string]struct {
		faults  Faults
		answers []response
	}{
		"none": {Faults{}, []response{whole, whole}},
		"flip once": {Faults{Flip: Flip{At: 3, Times: 1}}, []response{
			{"bytes=0-2", 206, "012", false}, {"bytes=3-4", 206, "24", false}, whole,
		}},
		"flip for ever": {Faults{Flip: Flip{At: 0, Times: -1}}, []response{
			{"", 200, "1123456789", false}, {"bytes=0-0", 206, "1", false}, {"bytes=1-2", 206, "12", false},
		}},
		"cut twice": {Faults{Cut: Cut{After: 4, Times: 2}}, []response{
			{"", 200, "0123", true}, {"bytes=6-9", 206, "6789", false}, {"bytes=5-9", 206, "5678", true}, whole,
		}},
		"cut at once": {Faults{Cut: Cut{Times: 1}}, []response{{"", 200, "", true}, whole}},
		"cut, no length": {Faults{Cut: Cut{After: 4, Times: 1}, NoLength: true}, []response{
			{"", 200, "0123", true}, whole,
		}},
		"busy": {Faults{Busy: 1}, []response{{"", 503, "", false}, whole}},
		"no range": {Faults{NoRange: true}, []response{
			{"bytes=2-3", 200, digits, false},
		}},
		"replaced": {Faults{Replace: Replacement{After: 1, Body: []byte("new")}}, []response{
			{"bytes=0-1", 206, "01", false}, {"", 200, "new", false},
		}},
		"short stall": {Faults{Stall: Stall{After: 2, Times: 1, For: time.Millisecond}}, []response{whole}},
		"slow":        {Faults{SlowBytesPerSecond: 1000}, []response{whole}},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, url := withFaults(t, row.faults)
			for i, want := range row.answers {
				g := fetch(t, "GET", url, "Range", want.ranges)
				if g.status != want.status || want.status != 503 && g.body != want.body || (g.err != nil) != want.cut {
					t.Errorf("answer %d: %d %q %v", i, g.status, g.body, g.err)
				}
			}
		})
	}
}

func TestHeadersAreLeftOutOrWrongAsSet(t *testing.T) {
	for name, row := range map[string]struct {
		faults       Faults
		header, want string
	}{
		"NoETag":   {Faults{NoETag: true}, "ETag", ""},
		"NoCRC":    {Faults{NoCRC: true}, "x-oss-hash-crc64ecma", ""},
		"NoMD5":    {Faults{NoMD5: true}, "Content-MD5", ""},
		"NoLength": {Faults{NoLength: true}, "Content-Length", ""},
		"WrongCRC": {Faults{WrongCRC: true}, "x-oss-hash-crc64ecma", "2838902930144391967"},
		"parts":    {Faults{MultipartETag: 4}, "ETag", `"CB1B9C77D712733F23C4C95B47ACC93B-3"`},
		"type":     {Faults{MultipartETag: 4}, "x-oss-object-type", "Multipart"},
		"no MD5":   {Faults{MultipartETag: 4}, "Content-MD5", ""},
		"busy":     {Faults{Busy: 1}, "Retry-After", "1"},
	} {
		_, _, url := withFaults(t, row.faults)
		if got := fetch(t, "GET", url).header.Get(row.header); got != row.want {
			t.Errorf("%s: %s is %q, want %q", name, row.header, got, row.want)
		}
	}
}

func TestPartsETagIsThePublishedOne(t *testing.T) {
	// The vendor's example gives the parts' ETags only: it shows the rule.
	if got := etagOfParts("3349DC700140D7F86A078484278075A9", "8EFDA8BE206636A695359836FE0A0E0A", "8C315065167132444177411FDA149B92"); got != "B864DB6A936D376F9F8D3ED3BBE540DD-3" {
		t.Errorf("got %q, want %q", got, "B864DB6A936D376F9F8D3ED3BBE540DD-3")
	}
}

func TestJobPromisesTheETagOfAMultipartFile(t *testing.T) {
	_, base, url := withFaults(t, Faults{MultipartETag: 3})
	promised := getJob(t, base, "job-1").Details.CheckSum
	if got := fetch(t, "GET", url).header.Get("ETag"); got != `"`+promised+`"` || !strings.HasSuffix(promised, "-4") {
		t.Errorf("promised %s, got %s", promised, got)
	}
}

func TestReplacedObjectFailsAConditionAndTheJobKeepsItsPromise(t *testing.T) {
	_, base, url := withFaults(t, Faults{Replace: Replacement{After: 1, Body: []byte("new")}})
	etag := fetch(t, "GET", url).header.Get("ETag")
	if g := fetch(t, "GET", url, "If-Match", etag); g.status != 412 {
		t.Errorf("got %d %s", g.status, g.body)
	}
	if d := getJob(t, base, "job-1").Details; `"`+d.CheckSum+`"` != etag || *d.FileSize != 10 {
		t.Errorf("got %+v", d)
	}
}

func TestUsedUpURLExpiresAndOnlyAStatusCallGivesAnother(t *testing.T) {
	for name, x := range map[string]Expiry{"requests": {Requests: 2}, "bytes": {Bytes: 11}} {
		_, base, signed := withFaults(t, Faults{ExpireAfter: x})
		for range 2 {
			if g := fetch(t, "GET", signed); g.body != digits {
				t.Errorf("%s: %d %s", name, g.status, g.body)
			}
		}
		for range 2 {
			if _, message := ossError(t, fetch(t, "GET", signed)); message != "Request has expired." {
				t.Errorf("%s: %s", name, message)
			}
		}
		askSLS(t, base, "GET", "/downloadjobs", "", nil)
		fresh := fileURL(t, base, "job-1")
		if signature(fresh) == signature(signed) || fetch(t, "GET", fresh).body != digits {
			t.Errorf("%s: %s is no fresh URL", name, fresh)
		}
		if g := fetch(t, "GET", signed); g.status != 403 {
			t.Errorf("%s: the old URL lives again", name)
		}
	}
}

func signature(signed string) string {
	u, _ := url.Parse(signed)
	return u.Query().Get("Signature")
}

func TestStalledResponseWaitsForTheClientToGiveUp(t *testing.T) {
	_, _, url := withFaults(t, Faults{Stall: Stall{After: 4, Times: -1}})
	ctx, cancel := context.WithCancel(t.Context())
	r, _ := http.NewRequestWithContext(ctx, "GET", url, nil)
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadFull(resp.Body, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(20*time.Millisecond, cancel)
	if n, err := resp.Body.Read(make([]byte, 1)); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("got %d %v", n, err)
	}
}

func TestSlowResponseKeepsItsRate(t *testing.T) {
	_, _, url := withFaults(t, Faults{SlowBytesPerSecond: 50})
	start := time.Now()
	if g := fetch(t, "GET", url); g.body != digits {
		t.Errorf("got %q, want %q", g.body, digits)
	}
	if took := time.Since(start); took < 150*time.Millisecond {
		t.Errorf("ten bytes at 50 a second took %s", took)
	}
}

func TestConcurrentRequestsShareTheCountsOfFaults(t *testing.T) {
	c, _, url := withFaults(t, Faults{Busy: 5})
	var busy, good int
	var mu sync.Mutex
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			g := fetch(t, "GET", url)
			mu.Lock()
			defer mu.Unlock()
			if g.status == 503 {
				busy++
			} else if g.body == digits {
				good++
			}
		})
	}
	wait.Wait()
	if busy != 5 || good != 15 {
		t.Errorf("got %d busy and %d good answers, want 5 and 15", busy, good)
	}
	wantEqual(t, "counts of the job", c.Counts().Jobs, map[string]ItemCounts{project + "/job-1": {StatusCalls: 1, Requests: 20, Bytes: 150}})
}

func TestFaultsCanBeChangedWhileServing(t *testing.T) {
	c, _, url := withFaults(t, Faults{Flip: Flip{At: 0, Times: 1}})
	for i, step := range []struct {
		change func(*Job)
		want   string
	}{
		{func(*Job) {}, "1123456789"},
		{func(*Job) {}, digits},
		{func(j *Job) { j.File.Faults.Flip.At = 1 }, "0023456789"},
		{func(j *Job) { j.File.Faults.Busy = 0; j.Notice = "still spent" }, digits},
		{func(j *Job) { j.File.Faults.Flip.Times = -1 }, "0023456789"},
		{func(j *Job) { j.File.Faults = Faults{} }, digits},
	} {
		c.UpdateJob(project, "job-1", step.change)
		if got := fetch(t, "GET", url).body; got != step.want {
			t.Errorf("step %d: got %s, want %s", i, got, step.want)
		}
	}
}
