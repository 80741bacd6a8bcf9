package dms

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/verify"
)

// succeeded returns the answer of a download that succeeded, with some of its
// text replaced.
func succeeded(oldnew ...string) string {
	return strings.NewReplacer(oldnew...).Replace(`{
		"RequestId": "R1", "Success": true, "ErrorMessage": "", "ErrorCode": "",
		"StatusResult": {"DownloadStatus": "DOWNLOAD_SUCCESS", "StatusDesc": "SUCCESS", "TotalCount": 69,
			"DownloadUrl": "https://h.example/d/1_REDO_31201_207.zip?Signature=canary"}}`)
}

func TestADownloadThatSucceededIsReadLeniently(t *testing.T) {
	for _, c := range []struct {
		name   string
		oldnew []string
		change func(*fetch.Export, *fetch.Object) // of what the plain download yields
	}{
		{"a plain download promises nothing of its file", nil, nil},
		{"a newline behind the URL is not of it", []string{`canary"`, `canary\n"`}, nil},
		{"space before the URL is not of it", []string{`"https://`, `" \thttps://`}, nil},
		{"UnknownError says nothing on success", []string{`"ErrorCode": ""`, `"ErrorCode": "UnknownError"`, `"ErrorMessage": ""`, `"ErrorMessage": "UnknownError"`}, nil},
		{"no other code does either", []string{`"ErrorCode": ""`, `"ErrorCode": "TenantNotExist", "Code": "403", "Message": "why"`}, nil},
		{"error fields may be null", []string{`"ErrorCode": ""`, `"ErrorCode": null`, `"ErrorMessage": ""`, `"ErrorMessage": null`}, nil},
		{"Success may be a string", []string{`"Success": true`, `"Success": "true"`}, nil},
		{"Success may be a string in capitals", []string{`"Success": true`, `"Success": "True"`}, nil},
		{"the status may be in any case, with space around it", []string{`"DOWNLOAD_SUCCESS"`, `" download_Success\n"`}, func(e *fetch.Export, _ *fetch.Object) { e.Status = "download_Success" }},
		{"TotalCount may be a string", []string{`69`, `"69"`}, nil},
		{"a TotalCount past float64 keeps its digits", []string{`69`, `9007199254740993`}, func(e *fetch.Export, _ *fetch.Object) { e.Records = 9007199254740993 }},
		{"a TotalCount of 0 promises none", []string{`69`, `0`}, func(e *fetch.Export, _ *fetch.Object) { e.Records = 0 }},
		{"no TotalCount promises no records", []string{`"TotalCount": 69,`, ``}, func(e *fetch.Export, _ *fetch.Object) { e.Records = verify.Unknown }},
		{"a TotalCount of null promises no records", []string{`69`, `null`}, func(e *fetch.Export, _ *fetch.Object) { e.Records = verify.Unknown }},
		{"an empty TotalCount promises no records", []string{`69`, `""`}, func(e *fetch.Export, _ *fetch.Object) { e.Records = verify.Unknown }},
		{"a negative TotalCount promises no records", []string{`69`, `-1`}, func(e *fetch.Export, _ *fetch.Object) { e.Records = verify.Unknown }},
		{"an array for a TotalCount promises no records", []string{`69`, `[69]`}, func(e *fetch.Export, _ *fetch.Object) { e.Records = verify.Unknown }},
		{"StatusDesc is no message of a success", []string{`"SUCCESS"`, `"all is well"`}, nil},
		{"StatusDesc may be missing", []string{`"StatusDesc": "SUCCESS",`, ``}, nil},
		{"RequestId may be missing", []string{`"RequestId": "R1",`, ``}, func(e *fetch.Export, _ *fetch.Object) { e.RequestID = "H1" }},
		{"fields that we don't know are no matter", []string{`"Success"`, `"New": [{"a": 1}], "Success"`}, nil},
		{"the URL may be http", []string{`https:`, `http:`}, func(_ *fetch.Export, o *fetch.Object) {
			o.Source = fetchtest.Opened("http://h.example/d/1_REDO_31201_207.zip?Signature=canary")
		}},
		{"an ampersand may be escaped", []string{`Signature=canary`, `Expires=1\u0026Signature=canary`}, func(_ *fetch.Export, o *fetch.Object) {
			o.Source = fetchtest.Opened("https://h.example/d/1_REDO_31201_207.zip?Expires=1&Signature=canary")
		}},
		{"the name is unescaped, and the URL kept as it came", []string{`/d/1_REDO_31201_207.zip`, `/d%2Fa%20b%2Bc.zip`}, func(_ *fetch.Export, o *fetch.Object) {
			o.Name, o.Source = "a b+c.zip", fetchtest.Opened("https://h.example/d%2Fa%20b%2Bc.zip?Signature=canary")
		}},
		{"stars in the name stay", []string{`1_REDO`, `****_REDO`}, func(_ *fetch.Export, o *fetch.Object) {
			o.Name, o.Source = "****_REDO_31201_207.zip", fetchtest.Opened("https://h.example/d/****_REDO_31201_207.zip?Signature=canary")
		}},
		{"a URL without a path has the key's name", []string{`/d/1_REDO_31201_207.zip`, ``}, func(_ *fetch.Export, o *fetch.Object) {
			o.Name, o.Source = "e23dd7ec-a19f-4a69-8eb3-8ffd26e60000", fetchtest.Opened("https://h.example?Signature=canary")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := fetch.Export{State: fetch.Ready, Status: "DOWNLOAD_SUCCESS", Percent: -1, Records: 69, RequestID: "R1", Endpoint: "dms-enterprise.cn-hangzhou.aliyuncs.com"}
			wantObject := fetch.Object{
				Name: "1_REDO_31201_207.zip", Want: verify.NoPromise(),
				Source: fetchtest.Opened("https://h.example/d/1_REDO_31201_207.zip?Signature=canary"),
			}
			if c.change != nil {
				c.change(&want, &wantObject)
			}
			got, err := answering(200, succeeded(c.oldnew...), "x-acs-request-id", "H1").Export(t.Context(), parseRef(t, downloadRef))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(wantObject, object(t, got)); diff != "" {
				t.Errorf("object (-want +got):\n%s", diff)
			}
			if answer, err := json.Marshal(got.Answer); err != nil || strings.Contains(string(answer), "canary") {
				t.Errorf("answer %s, %v", answer, err)
			}
			got.Objects, got.Answer = nil, nil
			if diff := cmp.Diff(want, *got); diff != "" {
				t.Errorf("export (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStatusesBecomeStates(t *testing.T) {
	for _, c := range []struct {
		name, result string
		want         fetch.Export
	}{
		{"INIT is pending", `{"DownloadStatus":"INIT"}`, fetch.Export{State: fetch.Pending, Status: "INIT"}},
		{"LISTING is running", `{"DownloadStatus":"LISTING"}`, fetch.Export{State: fetch.Running, Status: "LISTING"}},
		{"DOWNLOADING is running", `{"DownloadStatus":"Downloading","StatusDesc":"going on"}`, fetch.Export{State: fetch.Running, Status: "Downloading"}},
		{"DOWNLOAD_FAIL is failed, for the reason given", `{"DownloadStatus":"DOWNLOAD_FAIL","StatusDesc":"no binlog\n"}`,
			fetch.Export{State: fetch.Failed, Status: "DOWNLOAD_FAIL", Message: "no binlog"}},
		{"DOWNLOAD_FAIL is failed, for no reason", `{"DownloadStatus":"DOWNLOAD_FAIL","StatusDesc":null,"DownloadUrl":"https://h/p"}`, fetch.Export{State: fetch.Failed, Status: "DOWNLOAD_FAIL"}},
		{"another word is kept, and is no state", `{"DownloadStatus":"LIST_SUCCESS"}`, fetch.Export{Status: "LIST_SUCCESS"}},
		{"the words of the page are no state", `{"DownloadStatus":"INIT,LISTING,DOWNLOADING"}`, fetch.Export{Status: "INIT,LISTING,DOWNLOADING"}},
		{"a word cannot steer a terminal", `{"DownloadStatus":"\u001b[2J"}`, fetch.Export{Status: " [2J"}},
		{"a number is kept, and is no state", `{"DownloadStatus":3}`, fetch.Export{Status: "3"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := answering(200, `{"Success":true,"StatusResult":`+c.result+`}`).Export(t.Context(), parseRef(t, downloadRef))
			if err != nil {
				t.Fatal(err)
			}
			if got.Objects != nil {
				t.Error("there are objects")
			}
			c.want.Records, c.want.Percent, got.Answer = verify.Unknown, -1, nil
			c.want.Endpoint = "dms-enterprise.cn-hangzhou.aliyuncs.com"
			if diff := cmp.Diff(c.want, *got); diff != "" {
				t.Errorf("export (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	fail := func(code string) string {
		return `{"RequestId":"R1","Success":false,"ErrorCode":"` + code + `","ErrorMessage":"why"}`
	}
	for _, c := range []struct {
		name   string
		status int
		body   string
		want   error
	}{
		{"an unknown tenant is not found", 200, fail("TenantNotExist"), fetch.ErrNotFound},
		{"an unknown order is not found", 200, fail("Order.NotFound"), fetch.ErrNotFound},
		{"an unknown key is not found", 200, fail("DOWNLOAD_KEY_NOT_EXIST"), fetch.ErrNotFound},
		{"an unknown order is not found, with 400", 400, fail("InvalidOrderId.NotExist"), fetch.ErrNotFound},
		{"no permission is no access", 200, fail("NoPermission"), fetch.ErrAuth},
		{"a permission denied is no access", 200, fail("UserPermissionDenied"), fetch.ErrAuth},
		{"what is forbidden is no access", 200, fail("InstanceForbidden"), fetch.ErrAuth},
		{"a throttle is one", 200, fail("Throttling.User"), fetch.ErrThrottled},
		{"too many requests are a throttle", 200, fail("TooManyRequests"), fetch.ErrThrottled},
		{"an internal error may pass", 200, fail("InternalError"), fetch.ErrTemporary},
		{"an internal error may pass, in another word", 200, fail("Server.Internal"), fetch.ErrTemporary},
		{"a system's error may pass", 200, fail("SYSTEM_ERROR"), fetch.ErrTemporary},
		{"a bad parameter is refused", 200, fail("InvalidParameter"), fetch.ErrRefused},
		{"an unknown error is refused", 200, fail("UnknownError"), fetch.ErrRefused},
		{"an unknown error with 500 may pass", 500, fail("UnknownError"), fetch.ErrTemporary},
		{"a failure without a code is refused", 200, fail(""), fetch.ErrRefused},
		{"a failure without a word is refused", 200, `{"RequestId":"R1","Success":false}`, fetch.ErrRefused},
		{"Success may be a string", 200, `{"RequestId":"R1","Success":"False","ErrorCode":"TenantNotExist"}`, fetch.ErrNotFound},
		{"a failure with a status is one", 200, succeeded(`true`, `false`), fetch.ErrRefused},
		{"a 1 is no success", 200, succeeded(`true`, `1`), fetch.ErrRefused},
		{"an error of the gateway is one, with any status", 200, `{"RequestId":"R1","Code":"Throttling.Api"}`, fetch.ErrThrottled},
		{"a forbidden call is no access", 403, `{"RequestId":"R1","Code":"Forbidden.RAM","Message":"why"}`, fetch.ErrAuth},
		{"a status without a Success may pass", 200, succeeded(`"Success": true,`, ``), fetch.ErrTemporary},
		{"Success of null may pass", 200, succeeded(`true`, `null`), fetch.ErrTemporary},
		{"a success without a result may pass", 200, `{"RequestId":"R1","Success":true}`, fetch.ErrTemporary},
		{"a success with a result of null may pass", 200, `{"RequestId":"R1","Success":true,"StatusResult":null}`, fetch.ErrTemporary},
		{"a success with a list for a result may pass", 200, `{"RequestId":"R1","Success":true,"StatusResult":[]}`, fetch.ErrTemporary},
		{"a success without a status may pass", 200, succeeded(`"DOWNLOAD_SUCCESS"`, `""`), fetch.ErrTemporary},
		{"a page may pass", 200, "<html>please log in</html>", fetch.ErrTemporary},
		{"an empty answer may pass", 200, "", fetch.ErrTemporary},
		{"an answer cut short may pass", 200, succeeded()[:len(succeeded())-3], fetch.ErrTemporary},
		{"null may pass", 200, `null`, fetch.ErrTemporary},
		{"a list may pass", 200, `[]`, fetch.ErrTemporary},
		{"a download without a URL is not found", 200, succeeded(`"DownloadUrl"`, `"New"`), fetch.ErrNotFound},
		{"a download with an empty URL is not found", 200, succeeded(`https://h.example/d/1_REDO_31201_207.zip?Signature=canary`, `\n`), fetch.ErrNotFound},
		{"a URL of null is not found", 200, succeeded(`"https://h.example/d/1_REDO_31201_207.zip?Signature=canary"`, `null`), fetch.ErrNotFound},
		{"a URL of nowhere is not found", 200, succeeded(`https://h.example`, `https://`), fetch.ErrNotFound},
		{"a URL that can't be read is not found", 200, succeeded(`/d/`, `/%zz/`), fetch.ErrNotFound},
		{"a URL of another kind is not found", 200, succeeded(`https:`, `file:`), fetch.ErrNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := answering(c.status, c.body, "x-acs-request-id", "R1").Export(t.Context(), parseRef(t, downloadRef))
			var call *fetch.CallError
			if !errors.As(err, &call) || !errors.Is(err, c.want) || call.RequestID != "R1" || call.Call != action {
				t.Fatalf("got %v, want a CallError of kind %v", err, c.want)
			}
			if text := err.Error(); strings.Contains(text, "canary") || len(text) > 300 {
				t.Errorf("got %s", text)
			}
		})
	}
}

func TestNoSecretInWhatTheServiceSays(t *testing.T) {
	const said = `key SECRETcanary token CAISTOKENcanary\u003d\u003d and https://h/p?Expires=1\u0026Signature=canary`
	for _, c := range []struct {
		name   string
		status int
		body   string
	}{
		{"of an error", 400, `{"Code":"SignatureDoesNotMatch","Message":"` + said + `"}`},
		{"of an error in its code", 400, `{"Code":"` + said + `"}`},
		{"of a failure", 200, `{"Success":false,"ErrorMessage":"` + said + `"}`},
		{"of a download that failed", 200, `{"Success":true,"StatusResult":{"DownloadStatus":"DOWNLOAD_FAIL","StatusDesc":"` + said + `"}}`},
		{"of a status", 200, `{"Success":true,"StatusResult":{"DownloadStatus":"` + said + `"}}`},
		{"of a success", 200, succeeded(`"SUCCESS"`, `"`+said+`"`)},
		{"of a success in a field that we don't know", 200, succeeded(`"StatusDesc"`, `"`+said+`"`)},
		{"as the name of an answer", 200, succeeded(`"R1"`, `"`+said+`"`)},
		{"on a page", 500, "<p>" + said + "</p>"},
		{"of a file with slashes escaped, cut short", 200, `{"StatusResult":{"DownloadUrl":"https:\/\/h\/p?a=1\u0026Signature=canary`},
	} {
		t.Run(c.name, func(t *testing.T) {
			export, err := answering(c.status, c.body).Export(t.Context(), parseRef(t, downloadRef))
			if got := fetchtest.Describe(t, export, err); strings.Contains(got, "canary") {
				t.Errorf("got %s", got)
			}
		})
	}
}

func FuzzAnswer(f *testing.F) {
	names, _ := filepath.Glob("testdata/*.txtar")
	for _, name := range names {
		if archive, err := txtar.ParseFile(name); err == nil {
			_, body, _ := strings.Cut(string(archive.Files[0].Data), "\n\n")
			f.Add(200, []byte(body), "https://h.example/d/f.zip", "Signature=x")
		}
	}
	f.Add(400, []byte(succeeded()), " https://u:p@h/%zz", "a=b#c")
	ref := parseRef(f, downloadRef)
	f.Fuzz(func(t *testing.T, status int, body []byte, path, query string) {
		export, err := answering(100+(status%500+500)%500, string(body)).Export(t.Context(), ref)
		if export == nil && err == nil {
			t.Fatal("neither an export nor an error")
		}
		fetchtest.Describe(t, export, err)
		secret := "canary" + hex.EncodeToString([]byte(query))
		if strings.Contains(path, secret) {
			t.Skip("no secret: it is in the path too")
		}
		answer, _ := json.Marshal(map[string]any{
			"Success":      true,
			"StatusResult": map[string]any{"DownloadStatus": "DOWNLOAD_SUCCESS", "DownloadUrl": path + "?" + query + secret},
		})
		export, err = answering(200, string(answer)).Export(t.Context(), ref)
		if got := fetchtest.Describe(t, export, err); strings.Contains(got, secret) {
			t.Errorf("%s in %s", secret, got)
		}
	})
}
