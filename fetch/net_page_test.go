package fetch_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"tallyman/fetch"
)

func TestAnErrorInJSONIsReportedByItsCodeAndMessage(t *testing.T) {
	for name, tt := range map[string]struct {
		page string
		kind error
		says []string
	}{
		"of SLS":               {`{"errorCode":"ProjectNotExist","errorMessage":"The Project does not exist"}`, fetch.ErrCorrupt, []string{"ProjectNotExist", "does not exist", "HTTP 200"}},
		"of Alibaba's gateway": {`{"RequestId":"R1","HostId":"h","Code":"InvalidAccessKeyId","Message":"no such key","Recommend":"https://api.aliyun.com/troubleshoot?q=x"}`, fetch.ErrAuth, []string{"no such key", "request R1"}},
		"of Huawei's gateway":  {`{"error_msg":"The API does not exist","error_code":"APIGW.0101","request_id":"R2"}`, fetch.ErrCorrupt, []string{"APIGW.0101", "request R2"}},
		"of a store's code":    {"\n " + `{"code":"AccessDenied","message":"Request has expired."}` + "\n", fetch.ErrExpired, []string{"expired"}},
		"with a secret":        {`{"code":"SignatureDoesNotMatch","message":"GET https://h/a?Signature=CANARY"}`, fetch.ErrAuth, nil},
	} {
		s := serve(t, []byte(tt.page)) // its hashes are right
		f, _ := newFetcher(t, t.TempDir())
		ref := s.ref(t, "a.csv", "")
		_, err := f.Fetch(t.Context(), ref)
		if !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), "not the data but an error page") || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%s: %v, want %v", name, err, tt.kind)
		}
		for _, says := range tt.says {
			if !strings.Contains(fmt.Sprint(err), says) {
				t.Errorf("%s: %v does not say %q", name, err, says)
			}
		}
		checkAbsent(t, f, ref.Key())
	}
}

func TestDataThatLooksLikeAnErrorInJSONLands(t *testing.T) {
	refusal := `{"code":"AccessDenied","message":"Request has expired."}`
	for name, tt := range map[string]struct{ file, body string }{
		"a record without an error": {"a.json", `{"code":"US","message":"hello"}`},
		"a record with a status":    {"a.json", `{"id":7,"status":"failed","error":"timeout"}`},
		"rows of JSON":              {"a.jsonl", refusal + "\n" + refusal + "\n"},
		"several rows":              {"a.csv", refusal + "\n" + refusal + "\n"},
		"a row with a field more":   {"a.csv", `{"code":"a","message":"b","time":1}`},
		"an answer with its data":   {"a.json", `{"code":403,"message":"denied","data":[1]}`},
		"an answer of success":      {"a.json", `{"errcode":0,"errmsg":"ok"}`},
		"an empty error":            {"a.json", `{"error":null,"message":"hello"}`},
		"a line of a log":           {"a.log", "404 Not Found, 12 ms\n"},
		"lines of a log":            {"a.log", "Not Found\nNot Found\n"},
		"a header":                  {"a.csv", "error,count\n"},
		"a count":                   {"a.csv", "404\n"},
		"a header in Chinese":       {"a.csv", "订单,是否已过期\n"},
		"a cell of markup":          {"a.csv", "<p>1</p>,2\n"},
		"a cell that is a tag":      {"a.csv", "<html>,2\n3,4\n"},
		"a row without a message":   {"a.csv", `{"code":"a"}`},
		"a number for a code":       {"a.csv", `{"code":200,"message":"ok"}`},
		"no whole object":           {"a.csv", refusal[:40]},
	} {
		s := serve(t, []byte(tt.body))
		f, _ := newFetcher(t, t.TempDir())
		ref := s.ref(t, tt.file, "")
		if _, err := f.Fetch(t.Context(), ref); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		checkLanded(t, f, ref.Key(), []byte(tt.body))
	}
}

// What looks like an error lands if the job or a person promised it. The headers
// of the answer prove an error as well as the data.
func TestWhatLooksLikeAnErrorLandsOnlyIfItWasPromised(t *testing.T) {
	if testing.Short() {
		t.Skip("one export after another")
	}
	const login = `<html><head><title>Portal</title></head><form><input name=p type="password"></form></html>`
	for _, tt := range []struct{ name, body string }{
		{"a.csv", `{"code":40301,"message":"link expired","data":null}`},
		{"a.json", `{"errcode":42001,"errmsg":"access_token expired"}`},
		{"a.json", `{"error":"not found"}`},
		{"a.json", `{"error":{"code":"E1","message":"m"},"request_id":"R1"}`},
		{"a.jsonl", `{"errors":[{"message":"m"}]}` + "\n"},
		{"a.csv", `{"success":false,"message":"m"}`},
		{"a.csv", `{"timestamp":1,"status":403,"error":"Forbidden","message":"","path":"/a"}`},
		{"a.csv", `{"message":"Forbidden"}`},
		{"a.csv", `{"type":"about:blank","title":"Gone","status":410}`},
		{"a.csv", "\ufeff" + ` {"Code":"AccessDenied","Message":"m"}`},
		{"a.xml", "\ufeff" + xmlError("AccessDenied", "m")},
		{"a.xml", `<?xml version="1.0"?><!-- c --><ErrorResponse xmlns="x"><Error><Code>A</Code></Error></ErrorResponse>`},
		{"a.csv", `<s:Envelope><s:Body><s:Fault><faultstring>m</faultstring></s:Fault></s:Body></s:Envelope>`},
		{"a.csv", "Access Denied\n"},
		{"a.txt", "404 page not found\n"},
		{"a.csv", "RBAC: access denied"},
		{"a.csv", "error code: 1020"},
		{"a", "503 Service Unavailable"},
		{"a.csv", "upstream connect error or disconnect/reset before headers. reset reason: connection failure, transport failure reason: closed"},
		{"report.html", login},
		{"report.html", "<html><head><title>403 Forbidden</title></head><body>nginx</body></html>"},
		{"report.html", "<html><title>Example</title><h1>Error 404</h1></html>"},
		{"report.xls", "<html><body>Request has expired.</body></html>"},
		{"report.html", `<html><script>window.location.href = "/login?next=a"</script></html>`},
		{"report.html", "<html><title>登录</title></html>"},
		{"a.csv", "<html><table><tr><td>1</td></tr></table></html>"},
		{"a.csv", "<h1>It works!</h1>"},
		{"a.xlsx", "<!-- c --><html><body>hello</body></html>"},
	} {
		sum := strings.ToLower(strings.Trim(etagOf([]byte(tt.body)), `"`))
		for _, codec := range []string{"", "gzip"} {
			s := serve(t, encode(t, codec, []byte(tt.body)))
			f, _ := newFetcher(t, t.TempDir())
			name := tt.name + map[string]string{"gzip": ".gz"}[codec]
			if _, err := f.Fetch(t.Context(), s.ref(t, name, "")); err == nil || !strings.Contains(err.Error(), "an error page") {
				t.Errorf("%s of %q: %v, want it refused", name, tt.body, err)
			}
			checkAbsent(t, f, s.ref(t, name, "").Key())
		}
		for _, promise := range []string{"#md5=" + sum, fmt.Sprintf("#size=%d", len(tt.body))} {
			s := serve(t, []byte(tt.body))
			f, _ := newFetcher(t, t.TempDir())
			if _, err := f.Fetch(t.Context(), s.ref(t, tt.name, promise)); err != nil {
				t.Errorf("%s of %q, promised by %s: %v", tt.name, tt.body, promise, err)
				continue
			}
			checkLanded(t, f, s.ref(t, tt.name, "").Key(), []byte(tt.body))
		}
	}
}

// HTML is data where the name says so, and it does not say that it is an error.
// Where no name tells, it lands with a doubt.
func TestHTMLLandsWhereTheNameDoesNotSayOtherwise(t *testing.T) {
	const table = "<html><head><meta charset=gbk><title>Orders of 2026</title></head><body><table><tr><td>404</td></tr></table></body></html>"
	for name, isDoubted := range map[string]bool{
		"report.html": false, "report.HTM": false, "report.xls": false, "report.doc": false, "report.html.gz": false, "report": true, "export.php": true,
	} {
		body := []byte(table)
		if strings.HasSuffix(name, ".gz") {
			body = encode(t, "gzip", body)
		}
		s := serve(t, body)
		f, _ := newFetcher(t, t.TempDir())
		receipt, err := f.Fetch(t.Context(), s.ref(t, name, ""))
		if err != nil || (len(receipt.Doubts) > 0) != isDoubted || isDoubted && !strings.HasPrefix(receipt.Doubts[0], "unexpected: ") {
			t.Errorf("%s: %+v, %v", name, receipt, err)
			continue
		}
		checkLanded(t, f, s.ref(t, name, "").Key(), []byte(table))
	}
}

// A job that promised one record knows that it exported one. If it promised more,
// an error is no data that lacks records.
func TestOneRecordThatLooksLikeAnErrorLandsIfTheJobCountedIt(t *testing.T) {
	const record = `{"code":"AccessDenied","message":"Request has expired."}`
	for promise, lands := range map[string]bool{"": false, "#records=1": true, "#records=2": false} {
		s := serve(t, []byte(record+"\n"))
		f, _ := newFetcher(t, t.TempDir())
		if receipt, err := f.Fetch(t.Context(), s.ref(t, "a.json", promise)); (err == nil) != lands {
			t.Errorf("promise %q: %+v, %v", promise, receipt, err)
		}
	}
}

// An error in plain text breaks each promise.
func TestATextOfAProxyIsNeverProven(t *testing.T) {
	const text = "upstream connect error or disconnect/reset before headers. reset reason: connection timeout"
	for _, promise := range []string{"", "#size=%d", "#md5=" + strings.ToLower(strings.Trim(etagOf(rows), `"`)), "#crc64=" + crcOf(rows)} {
		s := serve(t, rows)
		s.respond = func(_ *store, w http.ResponseWriter, _ *http.Request, _ int) bool {
			clear(w.Header())
			w.Write([]byte(text))
			return true
		}
		f, _ := newFetcher(t, t.TempDir())
		if strings.Contains(promise, "%d") {
			promise = fmt.Sprintf(promise, len(rows))
		}
		_, err := f.Fetch(t.Context(), s.ref(t, "a.csv", promise))
		if promise != "" && !isMismatch(err) || promise == "" && !errors.Is(err, fetch.ErrCorrupt) {
			t.Errorf("promise %q: %v", promise, err)
		}
	}
}
