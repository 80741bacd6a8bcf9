package sls

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
	"tallyman/fetch/redact"
	"tallyman/verify"
	"tallyman/verify/archive/ledger"
)

// succeeded returns the answer of a job that succeeded, with some of its text
// replaced.
func succeeded(oldnew ...string) string {
	return strings.NewReplacer(oldnew...).Replace(`{
		"status": "SUCCEEDED", "createTime": "1722411060",
		"configuration": {"allowInComplete": false, "sink": {"contentType": "csv", "bucket": "", "prefix": ""}},
		"executionDetails": {"progress": 100, "filePath": "https://h.example/d/download-123.csv.zst?Signature=canary",
			"fileSize": 123456, "logCount": 123, "errorMessage": "", "checkSum": "EXSFGSDASDASDG123ASD", "notice": ""}}`)
}

func TestAJobThatSucceededIsReadLeniently(t *testing.T) {
	for _, c := range []struct {
		name   string
		oldnew []string
		change func(*fetch.Export, *fetch.Object) // of what the plain job yields
	}{
		{"a plain job has no doubts", nil, nil},
		{"the status may be in any case, with space around it", []string{`"SUCCEEDED"`, `" Succeeded\n"`}, func(e *fetch.Export, _ *fetch.Object) { e.Status = "Succeeded" }},
		{"createTime may be a number", []string{`"1722411060"`, `1722411060`}, nil},
		{"allowInComplete may be a string", []string{`"allowInComplete": false`, `"allowInComplete": "false"`}, nil},
		{"allowInComplete as a bool is a doubt", []string{`"allowInComplete": false`, `"allowInComplete": true`},
			doubt("the job allows incomplete data")},
		{"allowInComplete as a string is a doubt", []string{`"allowInComplete": false`, `"allowInComplete": "True"`},
			doubt("the job allows incomplete data")},
		{"allowInComplete may be null", []string{`"allowInComplete": false`, `"allowInComplete": null`}, nil},
		{"a notice is a doubt", []string{`"notice": ""`, `"notice": "partial result"`}, doubt("notice: partial result")},
		{"a signed URL in a notice is redacted", []string{`"notice": ""`, `"notice": "see https://h/p?Signature=canary"`},
			doubt("notice: see https://h/p?Signature")},
		{"progress below 100 is a doubt", []string{`"progress": 100`, `"progress": "99"`}, func(e *fetch.Export, _ *fetch.Object) {
			e.Percent, e.Doubts = 99, []string{"the job succeeded at 99%"}
		}},
		{"progress may be missing", []string{`"progress": 100,`, ``}, func(e *fetch.Export, _ *fetch.Object) { e.Percent = -1 }},
		{"exactly a million logs are a doubt", []string{`"logCount": 123`, `"logCount": 1000000`}, func(e *fetch.Export, _ *fetch.Object) {
			e.Records, e.Doubts = 1000000, []string{"logCount is exactly 1000000, as if cut there"}
		}},
		{"numbers may be strings", []string{`123456`, `"123456"`, `"logCount": 123`, `"logCount": "123"`, `100`, `"100"`}, nil},
		{"a number past float64 keeps its digits", []string{`123456`, `9007199254740993`}, func(_ *fetch.Export, o *fetch.Object) { o.Want.Size = 9007199254740993 }},
		{"no logCount promises no records", []string{`"logCount": 123,`, ``}, func(e *fetch.Export, _ *fetch.Object) { e.Records = verify.Unknown }},
		{"a logCount of null promises no records", []string{`"logCount": 123`, `"logCount": null`}, func(e *fetch.Export, _ *fetch.Object) { e.Records = verify.Unknown }},
		{"an empty logCount promises no records", []string{`"logCount": 123`, `"logCount": ""`}, func(e *fetch.Export, _ *fetch.Object) { e.Records = verify.Unknown }},
		{"a logCount of 0 promises none", []string{`"logCount": 123`, `"logCount": 0`}, func(e *fetch.Export, _ *fetch.Object) { e.Records = 0 }},
		{"a fileSize of 0 promises nothing", []string{`123456`, `0`}, func(_ *fetch.Export, o *fetch.Object) { o.Want.Size = verify.Unknown }},
		{"a negative fileSize promises nothing", []string{`123456`, `-1`}, func(_ *fetch.Export, o *fetch.Object) { o.Want.Size = verify.Unknown }},
		{"an array for a number promises nothing", []string{`123456`, `[]`}, func(_ *fetch.Export, o *fetch.Object) { o.Want.Size = verify.Unknown }},
		{"the checkSum is kept as it came, trimmed", []string{`EXSFGSDASDASDG123ASD`, ` \"9e10-2\"\n`}, func(_ *fetch.Export, o *fetch.Object) { o.Want.ETag = `"9e10-2"` }},
		{"no checkSum promises none", []string{`"EXSFGSDASDASDG123ASD"`, `null`}, func(_ *fetch.Export, o *fetch.Object) { o.Want.ETag = "" }},
		{"the content type may be in capitals", []string{`"csv"`, `"JSON"`}, func(_ *fetch.Export, o *fetch.Object) { o.Content = "json" }},
		{"an unknown content type is none", []string{`"csv"`, `"parquet"`}, func(_ *fetch.Export, o *fetch.Object) { o.Content = "" }},
		{"a sink of another type is no sink", []string{`{"contentType": "csv", "bucket": "", "prefix": ""}`, `[]`}, func(_ *fetch.Export, o *fetch.Object) { o.Content = "" }},
		{"space around filePath is not of the URL", []string{`"https://`, `" https://`, `canary"`, `canary\n"`}, nil},
		{"filePath may be http", []string{`https:`, `http:`}, func(_ *fetch.Export, o *fetch.Object) {
			o.Source = fetchtest.Opened("http://h.example/d/download-123.csv.zst?Signature=canary")
		}},
		{"the name is unescaped, and the URL kept as it came", []string{`/d/download-123.csv.zst`, `/d%2Fa%20b%2Bc.csv.gzip`}, func(_ *fetch.Export, o *fetch.Object) {
			o.Name, o.Source = "a b+c.csv.gzip", fetchtest.Opened("https://h.example/d%2Fa%20b%2Bc.csv.gzip?Signature=canary")
		}},
		{"a URL without a path has the job's name", []string{`/d/download-123.csv.zst`, ``}, func(_ *fetch.Export, o *fetch.Object) {
			o.Name, o.Source = "download-123", fetchtest.Opened("https://h.example?Signature=canary")
		}},
		{"a URL that ends in dots has the job's name", []string{`download-123.csv.zst`, `%2E.`}, func(_ *fetch.Export, o *fetch.Object) {
			o.Name, o.Source = "download-123", fetchtest.Opened("https://h.example/d/%2E.?Signature=canary")
		}},
		{"a URL is used even if there is a bucket", []string{`"bucket": ""`, `"bucket": "b"`}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := fetch.Export{State: fetch.Ready, Status: "SUCCEEDED", Percent: 100, Endpoint: "ali-test-project.cn-hangzhou.log.aliyuncs.com", Records: 123}
			wantObject := fetch.Object{
				Name: "download-123.csv.zst", Content: "csv",
				Want:   verify.Want{Size: 123456, ETag: "EXSFGSDASDASDG123ASD"},
				Source: fetchtest.Opened("https://h.example/d/download-123.csv.zst?Signature=canary"),
			}
			if c.change != nil {
				c.change(&want, &wantObject)
			}
			got, err := answering(200, succeeded(c.oldnew...)).Export(t.Context(), parseRef(t, jobRef))
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

func TestTheWindowOfAJobIsThatOfItsLogStoreAndQuery(t *testing.T) {
	type window struct {
		Place, Group string
		From, To     int64
	}
	for _, c := range []struct {
		name, configuration string
		want                *window
	}{
		{"numbers", `"logstore": "access", "fromTime": 1722409860, "toTime": 1722411060, "query": "status: 500"`,
			&window{"sls://cn-hangzhou/ali-test-project/", "access status: 500", 1722409860, 1722411060}},
		{"strings", `"logstore": "access", "fromTime": "1722409860", "toTime": "1722411060", "query": " status: 500\n"`,
			&window{"sls://cn-hangzhou/ali-test-project/", "access status: 500", 1722409860, 1722411060}},
		{"an empty query asks for all", `"logstore": "access", "fromTime": 1, "toTime": 2, "query": ""`, &window{"sls://cn-hangzhou/ali-test-project/", "access *", 1, 2}},
		{"so does none", `"logstore": "access", "fromTime": 1, "toTime": 2`, &window{"sls://cn-hangzhou/ali-test-project/", "access *", 1, 2}},
		{"a secret in a query is left out", `"logstore": "access", "fromTime": 1, "toTime": 2, "query": "https://h/p?Signature=canary"`,
			&window{"sls://cn-hangzhou/ali-test-project/", "access " + redact.Text("https://h/p?Signature=canary"), 1, 2}},
		{"a long query is hashed", `"logstore": "access", "fromTime": 1, "toTime": 2, "query": "` + strings.Repeat("a", 2000) + `"`,
			&window{"sls://cn-hangzhou/ali-test-project/", "access query c6872e1a3c79211adcc265425203122c0a4cf9e473d479c8f08b264aafa1ed78", 1, 2}},
		{"no log store", `"fromTime": 1722409860, "toTime": 1722411060`, nil},
		{"no end", `"logstore": "access", "fromTime": 1722409860`, nil},
		{"no beginning", `"logstore": "access", "toTime": 1722409860`, nil},
		{"no time between them", `"logstore": "access", "fromTime": 1722409860, "toTime": 1722409860`, nil},
		{"the end before the beginning", `"logstore": "access", "fromTime": 1722411060, "toTime": 1722409860`, nil},
		{"milliseconds", `"logstore": "access", "fromTime": 1722409860000, "toTime": 1722411060000`, nil},
		{"other types", `"logstore": {}, "fromTime": [], "toTime": true`, nil},
	} {
		export, err := answering(200, succeeded(`"configuration": {`, `"configuration": {`+c.configuration+`, `)).Export(t.Context(), parseRef(t, jobRef))
		if err != nil {
			t.Fatal(err)
		}
		var got *window
		if w := export.Window; w != nil {
			got = &window{w.Place.String(), w.Group, w.From.Unix(), w.To.Unix()}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", c.name, diff)
		}
		var recorded *ledger.Window
		if c.want != nil {
			recorded = &ledger.Window{Group: c.want.Group, From: c.want.From, To: c.want.To}
		}
		if diff := cmp.Diff(recorded, fetch.WindowOf(jobRef, func() any { return export.Answer })); diff != "" {
			t.Errorf("%s, by the answer that a receipt keeps: (-want +got)\n%s", c.name, diff)
		}
	}
	for _, answer := range []any{nil, "text", func() {}} {
		if got := fetch.WindowOf(jobRef, func() any { return answer }); got != nil {
			t.Errorf("%T is no answer of the service, and has the window %+v", answer, got)
		}
	}
}

func doubt(texts ...string) func(*fetch.Export, *fetch.Object) {
	return func(e *fetch.Export, _ *fetch.Object) { e.Doubts = texts }
}

func TestStatusesBecomeStates(t *testing.T) {
	for _, c := range []struct {
		name, body string
		want       fetch.Export
	}{
		{"STARTING is pending", `{"status":"STARTING"}`, fetch.Export{State: fetch.Pending, Status: "STARTING", Percent: -1}},
		{"RUNNING is running", `{"status":"running","executionDetails":{"progress":7}}`, fetch.Export{State: fetch.Running, Status: "running", Percent: 7}},
		{"details may be null", `{"status":"RUNNING","executionDetails":null}`, fetch.Export{State: fetch.Running, Status: "RUNNING", Percent: -1}},
		{"details may be a list", `{"status":"RUNNING","executionDetails":[],"configuration":""}`, fetch.Export{State: fetch.Running, Status: "RUNNING", Percent: -1}},
		{"ERROR is failed, for the reason given", `{"status":"ERROR","executionDetails":{"errorMessage":"timeout"}}`,
			fetch.Export{State: fetch.Failed, Status: "ERROR", Message: "timeout", Percent: -1}},
		{"a job that failed is not doubted", `{"status":"ERROR","configuration":{"allowInComplete":true}}`, fetch.Export{State: fetch.Failed, Status: "ERROR", Percent: -1}},
		{"another word is kept, and is no state", `{"status":"PAUSED"}`, fetch.Export{Status: "PAUSED", Percent: -1}},
		{"a word in another language too", `{"status":"STARTING、RUNNING"}`, fetch.Export{Status: "STARTING、RUNNING", Percent: -1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := answering(200, c.body).Export(t.Context(), parseRef(t, jobRef))
			if err != nil {
				t.Fatal(err)
			}
			if got.Objects != nil {
				t.Error("there are objects")
			}
			c.want.Records, c.want.Endpoint, got.Answer = verify.Unknown, "ali-test-project.cn-hangzhou.log.aliyuncs.com", nil
			if diff := cmp.Diff(c.want, *got); diff != "" {
				t.Errorf("export (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAnswerIsKeptWithItsUnknownFields(t *testing.T) {
	export, err := answering(200, succeeded(`"createTime"`, `"new": [{"filepath": "https://u:canary@h/p?x=canary#canary", "n": 9007199254740993}], "createTime"`)).
		Export(t.Context(), parseRef(t, jobRef))
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(export.Answer)
	if err != nil {
		t.Fatal(err)
	}
	if want := `"new":[{"filepath":"https://h/p","n":9007199254740993}]`; !strings.Contains(string(b), want) || strings.Contains(string(b), "canary") {
		t.Errorf("got %s, want %s", b, want)
	}
}

func TestAFilePathThatIsNoURLIsNoFile(t *testing.T) {
	for _, filePath := range []string{"https://h/%zz?Signature=canary", "oss://bucket/key?canary", "?canary", "https:///p?canary"} {
		_, err := answering(200, succeeded("https://h.example/d/download-123.csv.zst?Signature=canary", filePath)).
			Export(t.Context(), parseRef(t, jobRef))
		if !errors.Is(err, fetch.ErrNotFound) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: got %v", filePath, err)
		}
	}
}

func FuzzJob(f *testing.F) {
	names, _ := filepath.Glob("testdata/*.txtar")
	for _, name := range names {
		if archive, err := txtar.ParseFile(name); err == nil {
			_, body, _ := strings.Cut(string(archive.Files[0].Data), "\n\n")
			f.Add([]byte(body), "https://h.example/d/f.csv.zst", "Signature=x")
		}
	}
	f.Add([]byte(succeeded()), " https://u:p@h/%zz", "a=b#c")
	ref := parseRef(f, jobRef)
	f.Fuzz(func(t *testing.T, body []byte, path, query string) {
		if export, err := answering(200, string(body)).Export(t.Context(), ref); err == nil {
			fetchtest.Describe(t, export, nil)
		}
		secret := "canary" + hex.EncodeToString([]byte(query))
		if strings.Contains(path, secret) {
			t.Skip("no secret: it is in the path too")
		}
		job, _ := json.Marshal(map[string]any{
			"status":           "SUCCEEDED",
			"executionDetails": map[string]any{"filePath": path + "?" + query + secret},
		})
		export, err := answering(200, string(job)).Export(t.Context(), ref)
		if got := fetchtest.Describe(t, export, err); strings.Contains(got, secret) {
			t.Errorf("%s in %s", secret, got)
		}
	})
}
