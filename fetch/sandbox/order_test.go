package sandbox

import (
	"archive/zip"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// An orderAnswer is an answer about an order, as a client reads it.
type orderAnswer struct {
	RequestID, HostID, Code, Message string
	Success                          any
	ErrorCode, ErrorMessage          string
	StatusResult                     *struct {
		DownloadStatus, StatusDesc string
		DownloadURL                string `json:"DownloadUrl"`
		TotalCount                 *int64
	}
}

// withOrder returns a cloud that has the order 11/key-1, as changed.
func withOrder(t *testing.T, o Order) (*Cloud, string) {
	t.Helper()
	c, base := startCloud(t)
	o.ID, o.Key = 11, "key-1"
	c.AddOrder(o)
	return c, base
}

func TestOrderAnswersOneStatusACallAndRepeatsTheLast(t *testing.T) {
	body := Zip(ZipEntry{"a.sql", []byte("UPDATE t")})
	c, base := withOrder(t, Order{Statuses: []string{OrderInit, OrderListing, "PACKING", OrderDownloading, OrderSucceeded}, File: File{Rows: 69, Body: body}})
	var statuses []string
	for range 6 {
		var s orderAnswer
		callRPC(t, base, &s)
		statuses = append(statuses, s.StatusResult.DownloadStatus+" "+s.StatusResult.StatusDesc)
		if done := s.StatusResult.DownloadStatus == OrderSucceeded; done != (s.StatusResult.DownloadURL != "") || done != (s.StatusResult.TotalCount != nil) {
			t.Errorf("got %+v", s.StatusResult)
		}
		if s.Success != true || s.RequestID == "" {
			t.Errorf("got %+v", s)
		}
	}
	want := []string{"INIT INIT", "LISTING LISTING", "PACKING PACKING", "DOWNLOADING DOWNLOADING", "DOWNLOAD_SUCCESS SUCCESS", "DOWNLOAD_SUCCESS SUCCESS"}
	wantEqual(t, "statuses with their description", statuses, want)
	if n := c.Counts(); n.Calls["QueryDataTrackResultDownloadStatus"] != 6 || n.Orders["11/key-1"].StatusCalls != 6 {
		t.Errorf("got %+v", n)
	}
}

func TestOrdersFileIsTheZipAndHasFaults(t *testing.T) {
	body := Zip(ZipEntry{"b.sql", []byte("two")}, ZipEntry{"a.sql", []byte("one")})
	c, base := withOrder(t, Order{File: File{Body: body, Faults: Faults{Busy: 1, ExpireAfter: Expiry{Requests: 2}}}})
	given := func() string {
		var s orderAnswer
		callRPC(t, base, &s)
		return strings.TrimSpace(s.StatusResult.DownloadURL)
	}
	signed := given()
	if g := fetch(t, "GET", signed); g.status != 503 {
		t.Errorf("got %d", g.status)
	}
	g := fetch(t, "GET", signed)
	z, err := zip.NewReader(strings.NewReader(g.body), int64(len(g.body)))
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, f := range z.File {
		r, _ := f.Open()
		text, _ := io.ReadAll(r)
		files = append(files, f.Name+"="+string(text))
	}
	wantEqual(t, "files in the zip", files, []string{"b.sql=two", "a.sql=one"})
	if got := g.header.Get("Content-Type"); got != "application/zip" {
		t.Errorf("got Content-Type %s, want application/zip", got)
	}
	if g := fetch(t, "GET", signed, "Range", "bytes=0-1"); g.body != "PK" || g.status != 206 {
		t.Errorf("got %d %s", g.status, g.body)
	}
	if _, message := ossError(t, fetch(t, "GET", signed)); message != "Request has expired." {
		t.Errorf("got %q, want %q", message, "Request has expired.")
	}
	if g := fetch(t, "GET", given()); g.status != 200 {
		t.Errorf("a fresh URL: %d", g.status)
	}
	if n := c.Counts().Orders["11/key-1"]; n.StatusCalls != 2 || n.Requests != 4 || n.Bytes != int64(2*len(body)+2) {
		t.Errorf("got %+v", n)
	}
	c.RemoveOrder(11, "key-1")
	if code, _ := ossError(t, fetch(t, "GET", signed)); code != "NoSuchKey" {
		t.Errorf("got %q, want %q", code, "NoSuchKey")
	}
}

func TestOrderAnswerHasTheVendorsQuirksUnlessSetOtherwise(t *testing.T) {
	for name, row := range map[string]struct {
		order   Order
		url     string
		code    string
		success any
		total   string
	}{
		"vendor's": {Order{File: File{Rows: 3}}, "\n", "UnknownError", true, "3"},
		"plain":    {Order{NoNewline: true, NoUnknownError: true}, "", "", true, "0"},
		"text":     {Order{StringSuccess: true, Total: new(int64(69))}, "\n", "UnknownError", "true", "69"},
		"silent":   {Order{Total: new(int64(-1))}, "\n", "UnknownError", true, "none"},
		"own URL":  {Order{URL: "https://elsewhere/x"}, "\n", "UnknownError", true, "0"},
	} {
		_, base := withOrder(t, row.order)
		var s orderAnswer
		callRPC(t, base, &s)
		r := s.StatusResult
		total := "none"
		if r.TotalCount != nil {
			total = fmt.Sprint(*r.TotalCount)
		}
		if s.Success != row.success || s.ErrorCode != row.code || s.ErrorMessage != row.code || total != row.total {
			t.Errorf("%s: %+v, total %s", name, s, total)
		}
		if strings.HasSuffix(r.DownloadURL, "\n") != (row.url == "\n") || !strings.HasPrefix(r.DownloadURL, row.order.URL) {
			t.Errorf("%s: %q", name, r.DownloadURL)
		}
	}
}

func TestRefusedAndFailedCallsUseUpNoStatus(t *testing.T) {
	c, base := withOrder(t, Order{Unavailable: 1, Throttles: 2, Failure: Failure{"SystemError", "try again", 1}, Statuses: []string{OrderInit, OrderFailed}})
	ask := func() (*http.Response, orderAnswer) {
		var s orderAnswer
		return callRPC(t, base, &s), s
	}
	var got []string
	for range 5 {
		r, s := ask()
		status := "no status"
		if s.StatusResult != nil {
			status = s.StatusResult.DownloadStatus
		}
		got = append(got, fmt.Sprint(r.StatusCode, " ", s.Code+s.ErrorCode, " ", s.Success, " ", status, " ", r.Header.Get("x-ratelimit-user-api")))
		if isError := s.Code != ""; s.RequestID == "" || isError != (s.HostID != "") || isError != (s.Message != "") {
			t.Errorf("got %+v", s)
		}
	}
	wantEqual(t, "answers", got, []string{
		"503 ServiceUnavailable <nil> no status ",
		"400 Throttling.User <nil> no status Limit:1,Remain:0,TimeLeft:700,Reset:1",
		"400 Throttling.User <nil> no status Limit:1,Remain:0,TimeLeft:700,Reset:1",
		"200 SystemError false no status ",
		"200 UnknownError true INIT ",
	})
	wantEqual(t, "errors counted", c.Counts().Refused, map[string]int{"ServiceUnavailable": 1, "Throttling.User": 2, "SystemError": 1})
	if !c.UpdateOrder(11, "key-1", func(o *Order) { o.Throttles = 1; o.ID = 12 }) || c.UpdateOrder(12, "key-1", nil) {
		t.Error("the update of the order failed, or changed its ID")
	}
	if r, _ := ask(); r.StatusCode != 400 {
		t.Errorf("after the change: %d", r.StatusCode)
	}
	if _, s := ask(); s.StatusResult.DownloadStatus != OrderFailed || s.StatusResult.StatusDesc != "FAIL" {
		t.Errorf("got %+v", s.StatusResult)
	}
}

func TestOrderCallsInErrorGetTheVendorsErrors(t *testing.T) {
	_, base := withOrder(t, Order{Tenant: 3})
	for _, row := range []struct {
		parameters []string
		status     int
		code       string
	}{
		{nil, 200, "UnknownError"},
		{[]string{"Tid", "3"}, 200, "UnknownError"},
		{[]string{"Tid", "4"}, 200, "TenantNotExist"},
		{[]string{"OrderId", "12"}, 200, "OrderNotExist"},
		{[]string{"DownloadKeyId", "key-2"}, 200, "OrderNotExist"},
		{[]string{"OrderId", ""}, 400, "MissingOrderId"},
		{[]string{"OrderId", "x"}, 400, "InvalidOrderId"},
		{[]string{"DownloadKeyId", ""}, 400, "MissingDownloadKeyId"},
		{[]string{"Action", "Other"}, 404, "InvalidAction.NotFound"},
		{[]string{"Version", "2021-01-01"}, 400, "InvalidVersion"},
		{[]string{"AccessKeyId", "other", "OrderId", "12"}, 404, "InvalidAccessKeyId.NotFound"},
	} {
		var s orderAnswer
		r := callRPC(t, base, &s, row.parameters...)
		if r.StatusCode != row.status || s.Code+s.ErrorCode != row.code {
			t.Errorf("%v: %d %+v", row.parameters, r.StatusCode, s)
		}
	}
}

func TestV1AnswersXMLUnlessJSONIsAskedFor(t *testing.T) {
	_, base := withOrder(t, Order{File: File{Rows: 2}})
	for _, row := range []struct {
		parameters []string
		want       []string
	}{
		{[]string{"Format", ""}, []string{"<?xml ", "<QueryDataTrackResultDownloadStatusResponse><RequestId>", "<Success>true</Success>", "<TotalCount>2</TotalCount>", "<DownloadUrl>http://"}},
		{[]string{"Format", "XML"}, []string{"<DownloadStatus>DOWNLOAD_SUCCESS</DownloadStatus>"}},
		{[]string{"Format", "", "OrderId", "x"}, []string{"<Error><RequestId>", "<Code>InvalidOrderId</Code>", "<HostId>"}},
		{[]string{"Format", "json"}, []string{`{"RequestId":`}},
	} {
		var text raw
		callRPC(t, base, &text, row.parameters...)
		for _, want := range row.want {
			if !strings.Contains(string(text), want) {
				t.Errorf("%v: no %s in %s", row.parameters, want, text)
			}
		}
	}
}

func TestParametersMayComeInAForm(t *testing.T) {
	_, base := withOrder(t, Order{})
	form := "OrderId=11&DownloadKeyId=key-1"
	names := []string{"content-type", "host", "x-acs-action", "x-acs-content-sha256", "x-acs-date", "x-acs-signature-nonce", "x-acs-version"}
	for _, hashed := range []string{"another form", form} {
		good, hash := hashed == form, sha256Hex(hashed)
		r := newRequest(t, "POST", base+"/", form, "Content-Type", "application/x-www-form-urlencoded", "x-acs-action", "QueryDataTrackResultDownloadStatus", "x-acs-version", dmsVersion,
			"x-acs-date", now().Format(rpcTime), "x-acs-signature-nonce", hash, "x-acs-content-sha256", hash)
		signed := strings.Join(names, ";")
		canonical := "POST\n/\n\n" + headerLines(r, "content-type") + "host:" + r.Host + "\n" + headerLines(r, "x-acs-") + "\n" + signed + "\n" + hash
		signature := hmacOf(sha256.New, mockSecret, "ACS3-HMAC-SHA256\n"+sha256Hex(canonical))
		setHeaders(r, "Authorization", fmt.Sprintf("ACS3-HMAC-SHA256 Credential=%s, SignedHeaders=%s, Signature=%x", mockID, signed, signature))
		var s orderAnswer
		if resp := do(t, r, &s); (resp.StatusCode == 200) != good || good != (s.Success == true) {
			t.Errorf("got %d %+v", resp.StatusCode, s)
		}
	}
}

func TestZipOfTheSameEntriesIsTheSame(t *testing.T) {
	entries := []ZipEntry{{"../../evil", []byte("x")}, {"", nil}}
	if a, b := Zip(entries...), Zip(entries...); string(a) != string(b) {
		t.Error("two zips of the same entries differ")
	}
	if n := len(Zip()); n != 22 {
		t.Errorf("an empty zip has %d bytes", n)
	}
}

func TestNonceIsGoodOnce(t *testing.T) {
	_, base := withOrder(t, Order{})
	for _, want := range []string{"200 UnknownError", "400 SignatureNonceUsed"} {
		var s orderAnswer
		r := callRPC(t, base, &s, "SignatureNonce", "n")
		if got := fmt.Sprint(r.StatusCode, " ", s.Code+s.ErrorCode); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
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
		if got := c.useNonce("n"); got != step.good {
			t.Errorf("step %d: got %t, want %t", i, got, step.good)
		}
	}
}
