package dbs

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/fetch/hostguard"
	"tallyman/fetch/internal/api"
	"tallyman/fetch/internal/joblist"
	"tallyman/verify"
)

// finished returns a task that has finished, with some of its text replaced.
func finished(oldnew ...string) string {
	return strings.NewReplacer(oldnew...).Replace(`{"TaskId": "dt-qxntlvgu", "Format": "csv", "DownloadStatus": "finished",
		"TargetType": "URL", "TargetPath": "", "Progress": "12/12", "GmtCreate": "1663321957000"}`)
}

// listed returns an answer that lists those tasks.
func listed(tasks ...string) string {
	return `{"RequestId": "R1", "Success": "true", "Data": {"Content": {"List": [` + strings.Join(tasks, ",") + `]}}}`
}

const plainURL = "http://b.oss-cn-hangzhou.aliyuncs.com/dt/test_456?Signature=canary"

// located returns an answer that gives a URL, with some of its text replaced.
func located(oldnew ...string) string {
	return strings.NewReplacer(oldnew...).Replace(`{"RequestId": "R2", "Success": "true", "Data": {"PublicUrl": "` + plainURL + `",
		"PrivateUrl": "http://b.oss-cn-hangzhou-internal.aliyuncs.com/dt/test_456?Signature=canary", "ExpirationTime": 1661329050}}`)
}

func TestAFinishedTaskIsReadLeniently(t *testing.T) {
	const secure = fetchtest.Opened("https://b.oss-cn-hangzhou.aliyuncs.com/dt/test_456?Signature=canary")
	const inside = fetchtest.Opened("https://b.oss-cn-hangzhou-internal.aliyuncs.com/dt/test_456?Signature=canary")
	for _, c := range []struct {
		name      string
		task, url []string
		provider  func(*Provider)
		want      fetch.Object
	}{
		{"http becomes https", nil, nil, nil, fetch.Object{Name: "test_456", Content: "csv", Source: secure}},
		{"https stays", nil, []string{`"http://b.oss-cn-hangzhou.`, `"https://b.oss-cn-hangzhou.`}, nil, fetch.Object{Name: "test_456", Content: "csv", Source: secure}},
		{"the port of http goes with it", nil, []string{`aliyuncs.com/dt`, `aliyuncs.com:80/dt`}, nil, fetch.Object{Name: "test_456", Content: "csv", Source: secure}},
		{"another port stays", nil, []string{`aliyuncs.com/dt`, `aliyuncs.com:8080/dt`}, nil,
			fetch.Object{Name: "test_456", Content: "csv", Source: fetchtest.Opened("https://b.oss-cn-hangzhou.aliyuncs.com:8080/dt/test_456?Signature=canary")}},
		{"http stays for a host that may do without", nil, nil, func(p *Provider) {
			p.AllowHTTP = func(host string) bool { return host == "b.oss-cn-hangzhou.aliyuncs.com" }
		},
			fetch.Object{Name: "test_456", Content: "csv", Source: fetchtest.Opened(plainURL)}},
		{"http of another host does not", nil, nil, func(p *Provider) { p.AllowHTTP = func(host string) bool { return host == "127.0.0.1:80" } },
			fetch.Object{Name: "test_456", Content: "csv", Source: secure}},
		{"inside, the private URL is read", nil, nil, func(p *Provider) { p.Network = hostguard.InternalNetwork }, fetch.Object{Name: "test_456", Content: "csv", Source: inside}},
		{"inside, the public URL is read where there is no other", nil, []string{`PrivateUrl`, `Other`}, func(p *Provider) { p.Network = hostguard.InternalNetwork },
			fetch.Object{Name: "test_456", Content: "csv", Source: secure}},
		{"space around the URL is not of it", nil, []string{`"http://`, `" http://`, `canary"`, `canary\n"`}, nil, fetch.Object{Name: "test_456", Content: "csv", Source: secure}},
		{"the escapes of a path stay", nil, []string{`dt/test_456`, `dt%2Fa%20b%2Bc.tar.gz`}, nil,
			fetch.Object{Name: "a b+c.tar.gz", Content: "csv", Source: fetchtest.Opened("https://b.oss-cn-hangzhou.aliyuncs.com/dt%2Fa%20b%2Bc.tar.gz?Signature=canary")}},
		{"SQL has its extension by its content", []string{`"csv"`, `"SQL"`}, nil, nil, fetch.Object{Name: "test_456", Content: "sql", Source: secure}},
		{"so has Parquet", []string{`"csv"`, `"Parquet"`}, nil, nil, fetch.Object{Name: "test_456", Content: "parquet", Source: secure}},
		{"CSV may be in capitals", []string{`"csv"`, `"CSV"`}, nil, nil, fetch.Object{Name: "test_456", Content: "csv", Source: secure}},
		{"a format that we don't know says nothing", []string{`"csv"`, `"../ORC"`}, nil, nil, fetch.Object{Name: "test_456", Source: secure}},
		{"a name with an extension keeps it", []string{`"csv"`, `"SQL"`}, []string{`test_456`, `test_456.tar.zst`}, nil,
			fetch.Object{Name: "test_456.tar.zst", Content: "sql", Source: fetchtest.Opened("https://b.oss-cn-hangzhou.aliyuncs.com/dt/test_456.tar.zst?Signature=canary")}},
		{"a file without a name has the task's", nil, []string{`/dt/test_456`, `/`}, nil,
			fetch.Object{Name: "dt-qxntlvgu", Content: "csv", Source: fetchtest.Opened("https://b.oss-cn-hangzhou.aliyuncs.com/?Signature=canary")}},
		{"a target in small letters is one", []string{`"URL"`, `"url"`}, nil, nil, fetch.Object{Name: "test_456", Content: "csv", Source: secure}},
		{"no target is a URL", []string{`"URL"`, `null`}, nil, nil, fetch.Object{Name: "test_456", Content: "csv", Source: secure}},
		{"the status may be in any case, with space around it", []string{`"finished"`, `" FINISHED\n"`}, nil, nil, fetch.Object{Name: "test_456", Content: "csv", Source: secure}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := answering(listed(finished(c.task...)), located(c.url...))
			if c.provider != nil {
				c.provider(p)
			}
			export, err := p.Export(t.Context(), parseRef(t, taskRef))
			if err != nil {
				t.Fatal(err)
			}
			c.want.Want = verify.NoPromise()
			if diff := cmp.Diff(c.want, object(t, export)); diff != "" || export.Snapshot {
				t.Errorf("snapshot: %t, object (-want +got):\n%s", export.Snapshot, diff)
			}
		})
	}
}

func TestTablesBecomeAPercentageAndADoubt(t *testing.T) {
	for _, c := range []struct {
		progress string
		percent  int
		doubt    string
	}{
		{"12/12", 100, ""},
		{"11/12", 91, "the task finished with 11 of 12 tables"},
		{" 3 / 12 ", 25, "the task finished with 3 of 12 tables"},
		{"0/5", 0, "the task finished with 0 of 5 tables"},
		{"0/0", -1, ""},
		{"13/12", -1, ""},
		{"9223372036854775806/9223372036854775807", 100, "the task finished with 9223372036854775806 of 9223372036854775807 tables"},
		{"50%", -1, ""},
		{"-1/2", -1, ""},
		{"", -1, ""},
	} {
		export, err := answering(listed(finished(`12/12`, c.progress)), located()).Export(t.Context(), parseRef(t, taskRef))
		if err != nil || export.Percent != c.percent || strings.Join(export.Doubts, "; ") != c.doubt {
			t.Errorf("%q: got %+v, %v", c.progress, export, err)
		}
	}
}

func TestATaskThatHasNotFinishedHasNoDoubts(t *testing.T) {
	export, err := answering(listed(finished(`finished`, `running`, `12/12`, `1/12`))).Export(t.Context(), parseRef(t, taskRef))
	if err != nil || export.Doubts != nil || export.Objects != nil || export.Percent != 8 {
		t.Errorf("got %+v, %v", export, err)
	}
}

func TestTimesAreInSecondsOrMilliseconds(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"1661329050", "2022-08-24T08:17:30Z"},
		{"1661329050000", "2022-08-24T08:17:30Z"},
		{"1661329050123", "2022-08-24T08:17:30.123Z"},
		{"99999999999", "5138-11-16T09:46:39Z"},
		{"100000000000", "1973-03-03T09:46:40Z"},
		{"253402300799999", "9999-12-31T23:59:59.999Z"},
		{"253402300800000", ""}, {"0", ""}, {"-1", ""}, {"", ""}, {"soon", ""}, {"1661329050.5", ""}, {"9223372036854775808", ""},
	} {
		got := ""
		if when := timeOf(api.LenientString(c.text)); !when.IsZero() {
			got = when.Format(time.RFC3339Nano)
		}
		if got != c.want {
			t.Errorf("%s: got %s, want %s", c.text, got, c.want)
		}
	}
}

func TestRefusals(t *testing.T) {
	fail := func(code string) string {
		return `{"RequestId":"R1","Success":"false","ErrCode":"` + code + `","ErrMessage":"why"}`
	}
	for _, c := range []struct {
		name   string
		answer string
		want   error
	}{
		{"an unknown task is not found", fail("DBS.TaskNotExist"), fetch.ErrNotFound},
		{"a bad parameter is refused", fail("DBS.ParamIsInValid"), fetch.ErrRefused},
		{"an internal error may pass", fail("DBS.InternalError"), fetch.ErrTemporary},
		{"a throttle is one", fail("Throttling.User"), fetch.ErrThrottled},
		{"no permission is no access", fail("Request.Forbidden"), fetch.ErrAuth},
		{"a failure without a code is refused", fail(""), fetch.ErrRefused},
		{"Success may be a bool", `{"RequestId":"R1","Success":false,"ErrCode":"DBS.TaskNotExist"}`, fetch.ErrNotFound},
		{"Success may be in capitals", `{"RequestId":"R1","Success":"False","ErrCode":"DBS.TaskNotExist"}`, fetch.ErrNotFound},
		{"a code may be in Code alone", `{"RequestId":"R1","Success":"false","Code":"DBS.TaskNotExist"}`, fetch.ErrNotFound},
		{"a failure with tasks is one", strings.Replace(listed(finished()), `"true"`, `"false"`, 1), fetch.ErrRefused},
		{"an answer without Success may pass", strings.Replace(listed(finished()), `"Success"`, `"New"`, 1), fetch.ErrTemporary},
		{"a success without Data may pass", `{"RequestId":"R1","Success":"true"}`, fetch.ErrTemporary},
		{"a success with Data of null may pass", `{"RequestId":"R1","Success":"true","Data":null}`, fetch.ErrTemporary},
		{"a success with a list for Data may pass", `{"RequestId":"R1","Success":"true","Data":[]}`, fetch.ErrTemporary},
		{"a success without Content may pass", `{"RequestId":"R1","Success":"true","Data":{"TotalElements":1}}`, fetch.ErrTemporary},
		{"text for Content may pass", `{"RequestId":"R1","Success":"true","Data":{"Content":"x"}}`, fetch.ErrTemporary},
		{"a task of another instance is not this one", listed(finished(`dt-qxntlvgu`, `dt-QXNTLVGU`)), fetch.ErrNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := answering(c.answer, listed()).Export(t.Context(), parseRef(t, taskRef))
			var call *fetch.CallError
			if !errors.As(err, &call) || !errors.Is(err, c.want) || call.RequestID != "R1" || call.Call != tasksCall {
				t.Fatalf("got %v, want a CallError of kind %v", err, c.want)
			}
			if text := err.Error(); strings.Contains(text, "canary") || len(text) > 300 {
				t.Errorf("got %s", text)
			}
		})
	}
}

func TestRefusalsOfTheURL(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer string
		want   error
	}{
		{"no URL is not found", located(`PublicUrl`, `New`), fetch.ErrNotFound},
		{"a URL of null is not found", located(`"`+plainURL+`"`, `null`), fetch.ErrNotFound},
		{"a URL of nowhere is not found", located(`http://b.oss-cn-hangzhou.aliyuncs.com`, `http://`), fetch.ErrNotFound},
		{"a URL that can't be read is not found", located(`/dt/`, `/%zz/`), fetch.ErrNotFound},
		{"a URL of another kind is not found", located(`http:`, `file:`), fetch.ErrNotFound},
		{"a failure is one", strings.Replace(located(), `"true"`, `"false", "Code": "DBS.ParamIsInValid"`, 1), fetch.ErrRefused},
		{"a success without Data is not found", `{"RequestId":"R2","Success":"true"}`, fetch.ErrNotFound},
		{"a page may pass", "<html>please log in</html>", fetch.ErrTemporary},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := answering(listed(finished()), c.answer).Export(t.Context(), parseRef(t, taskRef))
			var call *fetch.CallError
			if !errors.As(err, &call) || !errors.Is(err, c.want) || call.Call != urlCall || strings.Contains(err.Error(), "canary") {
				t.Fatalf("got %v, want a CallError of kind %v", err, c.want)
			}
		})
	}
}

func TestNoSecretInWhatTheServiceSays(t *testing.T) {
	const said = `key SECRETcanary token CAISTOKENcanary\u003d\u003d and https://h/p?Expires=1\u0026Signature=canary`
	plain := listed(finished())
	for _, c := range []struct {
		name    string
		answers []string
	}{
		{"of a failure", []string{`{"Success":"false","ErrMessage":"` + said + `"}`}},
		{"of a status", []string{listed(finished(`finished`, said))}},
		{"of a path", []string{listed(finished(`"TargetPath": ""`, `"TargetPath": "`+said+`"`)), located()}},
		{"of a target", []string{listed(finished(`"URL"`, `"`+said+`"`))}},
		{"of a task in a field that we don't know", []string{listed(finished(`"Format"`, `"`+said+`": "`+said+`", "Format"`)), located()}},
		{"of other tasks", []string{listed(`{"TaskId": "`+said+`"}`, finished()), located()}},
		{"as the name of an answer", []string{plain, located(`"R2"`, `"`+said+`"`)}},
		{"of a file in a field that we don't know", []string{plain, located(`"ExpirationTime"`, `"Other": "`+said+`", "ExpirationTime"`)}},
		{"of a file without a URL", []string{plain, located(`http://b`, said, `https://b`, said)}},
		{"with slashes escaped, cut short", []string{plain, `{"Data":{"PublicUrl":"https:\/\/h\/p?a=1\u0026Signature=canary`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			export, err := answering(c.answers...).Export(t.Context(), parseRef(t, taskRef))
			if got := fetchtest.Describe(t, export, err); strings.Contains(got, "canary") {
				t.Errorf("got %s", got)
			}
		})
	}
}

func TestOnlyTheTaskItselfIsKeptOfItsPage(t *testing.T) {
	export, err := answering(listed(finished(`dt-qxntlvgu`, `dt-other`), finished(`finished`, `running`))).Export(t.Context(), parseRef(t, taskRef))
	if got := fetchtest.Describe(t, export, err); err != nil || strings.Contains(got, "dt-other") || !strings.Contains(got, "dt-qxntlvgu") {
		t.Errorf("got %s", got)
	}
}

func FuzzAnswer(f *testing.F) {
	names, _ := filepath.Glob("testdata/*.txtar")
	for _, name := range names {
		if archive, err := txtar.ParseFile(name); err == nil {
			_, body, _ := strings.Cut(string(archive.Files[0].Data), "\n\n")
			f.Add([]byte(body), "https://h.example/d/f.tar.gz", "Signature=x")
		}
	}
	f.Add([]byte(listed(finished())), " http://u:p@h/%zz", "a=b#c")
	ref, place := parseRef(f, taskRef), parsePlace(f, placeRef)
	f.Fuzz(func(t *testing.T, body []byte, path, query string) {
		export, err := answering(string(body), located(`"PublicUrl"`, `"Content": [], "PublicUrl"`)).Export(t.Context(), ref)
		if export == nil && err == nil {
			t.Fatal("neither an export nor an error")
		}
		fetchtest.Describe(t, export, err)
		p := answering(string(body), listed())
		for range joblist.Jobs(joblist.Listing{Form: "dbs://REGION/INSTANCE/", Place: place}, p.pages(t.Context(), place, false), (*page).jobs) {
		}
		secret := "canary" + hex.EncodeToString([]byte(query))
		if strings.Contains(path, secret) {
			t.Skip("no secret: it is in the path too")
		}
		answer, _ := json.Marshal(map[string]any{"Success": true, "Data": map[string]any{"PublicUrl": path + "?" + query + secret}})
		export, err = answering(listed(finished()), string(answer)).Export(t.Context(), ref)
		if got := fetchtest.Describe(t, export, err); strings.Contains(got, secret) {
			t.Errorf("%s in %s", secret, got)
		}
	})
}

// The service keeps the file of a task for three days from when that has finished; what lies
// in a bucket of its owner stays there.
func TestHowLongAResultIsThere(t *testing.T) {
	created := time.UnixMilli(1663321957000).UTC()
	for _, c := range []struct {
		name, task string
		want       fetch.Lifetime
	}{
		{"in milliseconds", finished(), fetch.Lifetime{Ended: created, Lasts: 72 * time.Hour}},
		{"in seconds", finished(`1663321957000`, `1663321957`), fetch.Lifetime{Ended: created, Lasts: 72 * time.Hour}},
		{"without a target", finished(`"TargetType": "URL", `, ``), fetch.Lifetime{Ended: created, Lasts: 72 * time.Hour}},
		{"created nobody knows when", finished(`1663321957000`, `long ago`), fetch.Lifetime{Lasts: 72 * time.Hour}},
		{"in a bucket", finished(`"URL"`, `"OSS"`), fetch.Lifetime{}},
		{"running", finished(`finished`, `running`), fetch.Lifetime{}},
	} {
		for job, err := range answering(listed(c.task)).List(t.Context(), parsePlace(t, placeRef), time.Time{}) {
			if diff := cmp.Diff(c.want, job.Life); err != nil || diff != "" {
				t.Errorf("%s: %v, -want +got:\n%s", c.name, err, diff)
			}
		}
	}
}
