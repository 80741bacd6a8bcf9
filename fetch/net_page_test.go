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
		"a row of an export of JSON": {"a.json", refusal},
		"rows of JSON":               {"a.jsonl", refusal + "\n" + refusal + "\n"},
		"a log":                      {"a.log", refusal},
		"several rows":               {"a.csv", refusal + "\n" + refusal + "\n"},
		"a row with a field more":    {"a.csv", `{"code":"a","message":"b","time":1}`},
		"a row without a message":    {"a.csv", `{"code":"a"}`},
		"a number for a code":        {"a.csv", `{"code":200,"message":"ok"}`},
		"no whole object":            {"a.csv", refusal[:40]},
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

// The text of a proxy may be data. It breaks each promise; without a promise it
// lands with a doubt.
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
		receipt, err := f.Fetch(t.Context(), s.ref(t, "a.csv", promise))
		if promise != "" && !isMismatch(err) || promise == "" && (err != nil || !strings.Contains(strings.Join(receipt.Doubts, ""), "unproven")) {
			t.Errorf("promise %q: %v", promise, err)
		}
	}
}
