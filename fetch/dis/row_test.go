package dis

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/fetch/internal/api"
	"tallyman/verify"
)

func TestARowThatSucceededIsReadLeniently(t *testing.T) {
	for _, c := range []struct {
		name   string
		oldnew []string
		change func(*fetch.Export, *fetch.Object) // of what the plain row yields
	}{
		{"a plain row promises the size and the records of its file", nil, nil},
		{"the list may be one row as it is", []string{`"transferTaskLogList": [`, `"transferTaskLogList": `, `"num": 0}]`, `"num": 0}`}, nil},
		{"errorCode may be text", []string{`"errorCode": -1`, `"errorCode": "-1"`}, nil},
		{"errorCode may be 0", []string{`"errorCode": -1`, `"errorCode": 0`}, nil},
		{"errorCode may be null", []string{`"errorCode": -1`, `"errorCode": null`}, nil},
		{"errorCode may be missing", []string{`"errorCode": -1,`, ``}, nil},
		{"rows prove a success whatever the errorCode", []string{`"errorCode": -1`, `"errorCode": "DIS.200"`, `"message": null`, `"message": "ok"`}, nil},
		{"totalNum may be missing", []string{`"totalNum": 1,`, ``}, nil},
		{"totalNum may be text", []string{`"totalNum": 1`, `"totalNum": "1"`}, nil},
		{"a null among the rows is none", []string{`"transferTaskLogList": [`, `"transferTaskLogList": [null, {}, 7, `}, nil},
		{"the page does not tell of the state", []string{`"state": 0, "destinationType"`, `"destinationType"`}, func(e *fetch.Export, _ *fetch.Object) { e.Status = "state" }},
		{"the state may be text", []string{`"state": 0, "destinationType"`, `"state": "0", "destinationType"`}, nil},
		{"the destination may be missing", []string{`"destinationType": "OBS",`, ``}, nil},
		{"numbers may be text", []string{`1756540056070`, `"1756540056070"`, `30718683`, `"30718683"`, `32943`, `"32943"`}, nil},
		{"no transferRecordsNum promises no records", []string{`"transferRecordsNum": 32943,`, ``}, func(e *fetch.Export, _ *fetch.Object) { e.Records = verify.Unknown }},
		{"a null for a number promises nothing", []string{`32943`, `null`, `30718683`, `null`}, func(e *fetch.Export, _ *fetch.Object) { e.Records = verify.Unknown }},
		{"a size of 0 is none", []string{`30718683`, `0`}, nil},
		{"a size that is not the object's is a doubt", []string{`30718683`, `30718600`}, func(e *fetch.Export, _ *fetch.Object) {
			e.Doubts = []string{"transferBytes is 30718600, but the object has 30718683 bytes"}
		}},
		{"a size without the delimiters is the object's", []string{`30718683`, fmt.Sprint(30718683 - 32943)}, nil},
		{"a size without the delimiters between is the object's", []string{`30718683`, fmt.Sprint(30718683 - 32942)}, nil},
		{"the start may be missing: the name tells it", []string{`"startTime": 1756539753280,`, ``}, nil},
		{"fields that we don't know are no matter", []string{`"num": 0`, `"new": [{"a": 1}]`}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := fetch.Export{State: fetch.Ready, Status: "state 0", Percent: -1, Records: 32943, RequestID: "R1", Endpoint: "dis.cn-north-4.myhuaweicloud.com"}
			wantObject := fetch.Object{
				Name: fileName, Content: verify.Text("\n"), Want: verify.Want{Size: 30718683, ETag: `W/"1"`},
				Source: fetchtest.Opened("obs://landing/logs/2025/08/30/15/" + fileName),
			}
			if c.change != nil {
				c.change(&want, &wantObject)
			}
			got, err := provider(sample(c.oldnew...).RoundTrip).Export(t.Context(), parseRef(t, fileRef))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(wantObject, object(t, got)); diff != "" {
				t.Errorf("object (-want +got):\n%s", diff)
			}
			got.Objects, got.Answer = nil, nil
			if diff := cmp.Diff(want, *got); diff != "" {
				t.Errorf("export (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStatesOfDeliveries(t *testing.T) {
	for _, c := range []struct {
		name, state, end string
		want             fetch.State
	}{
		{"0 is a success once it has ended", `0`, `1756540056070`, fetch.Ready},
		{"0 goes on until it has an end", `0`, `0`, fetch.Running},
		{"an end of null is none", `0`, `null`, fetch.Running},
		{"an end below zero is none", `0`, `-1`, fetch.Running},
		{"no state and no end is one that goes on", `null`, `null`, fetch.Running},
		{"1 is a failure once it has ended", `1`, `1756540056070`, fetch.Failed},
		{"2 is a failure once it has ended", `"2"`, `"1756540056070"`, fetch.Failed},
		{"a word is a failure once it has ended", `"ABNORMAL"`, `1756540056070`, fetch.Failed},
		{"another is no state until it has ended", `1`, `0`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := provider(sample(`"state": 0`, `"state": `+c.state, `1756540056070`, c.end).RoundTrip)
			got, err := p.Export(t.Context(), parseRef(t, fileRef))
			if err != nil || got.State != c.want || (got.Objects != nil) != (c.want == fetch.Ready) || !strings.HasPrefix(got.Status, "state") {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestTheStreamIsInTheNameOfTheFile(t *testing.T) {
	for _, c := range []struct{ file, want string }{
		{"T.disMonitorTest.0.1756539753290", "disMonitorTest"},
		{"T.a-b_c.12.1", "a-b_c"},
		{"T.a.b.0.1", "a.b"},
		{"T.a.0", "the-id"},
		{"other.a.0.1", "the-id"},
		{"", "the-id"},
	} {
		r := &row{File: api.LenientString(c.file), Stream: "the-id"}
		if got := r.stream("T"); got != c.want {
			t.Errorf("%s: got %s, want %s", c.file, got, c.want)
		}
	}
}

func TestTheTimeOfADelivery(t *testing.T) {
	at := time.UnixMilli(1756539753290).UTC()
	for _, c := range []struct {
		start, file string
		want        time.Time
	}{
		{"1756539753290", "", at},
		{"0", fileName, at},
		{"253402300800000", fileName, at},
		{"", "T.s.0.x", time.Time{}},
		{"", "1756539753290", at},
	} {
		r := &row{File: api.LenientString(c.file), StartTime: api.LenientString(c.start)}
		if got := r.created(); !got.Equal(c.want) {
			t.Errorf("%+v: got %v", c, got)
		}
	}
}

func TestRefusals(t *testing.T) {
	fail := func(code string) string { return `{"errorCode":"` + code + `","message":"why"}` }
	gateway := func(code string) string {
		return `{"error_code":"` + code + `","error_msg":"why","request_id":"R1"}`
	}
	for _, c := range []struct {
		name   string
		status int
		body   string
		want   error
	}{
		{"a wrong signature is no access", 441, fail("DIS.4100"), fetch.ErrAuth},
		{"no signature is no access", 441, fail("DIS.4101"), fetch.ErrAuth},
		{"a signature that can't be read is no access", 441, fail("DIS.4102"), fetch.ErrAuth},
		{"no date is no access", 441, fail("DIS.4103"), fetch.ErrAuth},
		{"a date that can't be read is no access", 441, fail("DIS.4104"), fetch.ErrAuth},
		{"a date that is past is no access", 441, fail("DIS.4105"), fetch.ErrAuth},
		{"no key is no access", 441, fail("DIS.4106"), fetch.ErrAuth},
		{"an unknown key is no access", 441, fail("DIS.4107"), fetch.ErrAuth},
		{"a signature of no service is no access", 441, fail("DIS.4108"), fetch.ErrAuth},
		{"a signature that is left out is no access", 441, fail("DIS.4110"), fetch.ErrAuth},
		{"a request that no one signs so is no access", 441, fail("DIS.4112"), fetch.ErrAuth},
		{"an empty token is no access", 441, fail("DIS.4113"), fetch.ErrAuth},
		{"a form of signature that is not the service's is no access", 441, fail("DIS.4109"), fetch.ErrAuth},
		{"another region is no access", 441, fail("DIS.4111"), fetch.ErrAuth},
		{"a bad token is no access, whatever the status", 400, fail("DIS.4114"), fetch.ErrAuth},
		{"441 is no access, whatever the code", 441, fail("New"), fetch.ErrAuth},
		{"441 is no access, without a body", 441, "", fetch.ErrAuth},
		{"a role that does not fit is no access", 403, fail("DIS.4116"), fetch.ErrAuth},
		{"a wrong project is refused", 400, fail("DIS.4117"), fetch.ErrRefused},
		{"a bad request is refused", 400, fail("DIS.4200"), fetch.ErrRefused},
		{"a request of another kind is refused", 400, fail("DIS.4300"), fetch.ErrRefused},
		{"a missing bucket is refused", 400, fail("DIS.4306"), fetch.ErrRefused},
		{"a bucket that may not be reached is refused", 400, fail("DIS.4310"), fetch.ErrRefused},
		{"a missing agency is refused", 400, fail("DIS.4335"), fetch.ErrRefused},
		{"an unknown stream is not found", 400, fail("DIS.4301"), fetch.ErrNotFound},
		{"an unknown dump task is not found", 400, fail("DIS.4354"), fetch.ErrNotFound},
		{"a traffic limit is a throttle", 400, fail("DIS.4303"), fetch.ErrThrottled},
		{"too many requests are a throttle", 400, fail("DIS.4305"), fetch.ErrThrottled},
		{"too many failures are a throttle", 400, fail("DIS.4309"), fetch.ErrThrottled},
		{"a server's error may pass", 500, fail("DIS.5000"), fetch.ErrTemporary},
		{"a server's error may pass, whatever the status", 400, fail("DIS.5106"), fetch.ErrTemporary},
		{"the gateway's wrong key is no access", 401, gateway("APIGW.0301"), fetch.ErrAuth},
		{"the gateway's expired date is no access", 401, gateway("APIGW.0303"), fetch.ErrAuth},
		{"the gateway's throttle is one", 429, gateway("APIGW.0308"), fetch.ErrThrottled},
		{"an unknown API is refused", 404, gateway("APIGW.0101"), fetch.ErrRefused},
		{"a token that must be renewed is no access", 401, `{"message":"The token must be updated"}`, fetch.ErrAuth},
		{"a plain 403 is no access", 403, "Forbidden", fetch.ErrAuth},
		{"429 without a code is a throttle", 429, "", fetch.ErrThrottled},
		{"503 without a code may pass", 503, "<html>", fetch.ErrTemporary},
		{"a redirect is refused", 302, "", fetch.ErrRefused},
		{"a code with a status of success is a refusal", 200, fail("DIS.4354"), fetch.ErrNotFound},
		{"an unknown code with a status of success is refused", 200, fail("DIS.9"), fetch.ErrRefused},
		{"the gateway's code with a status of success is a refusal", 200, gateway("APIGW.0301"), fetch.ErrAuth},
		{"a page for a log may pass", 200, "<html>please log in</html>", fetch.ErrTemporary},
		{"an empty answer may pass", 200, "", fetch.ErrTemporary},
		{"an answer cut short may pass", 200, sample()["/v1/"][:200], fetch.ErrTemporary},
		{"an answer without a log may pass", 200, `{"errorCode":-1}`, fetch.ErrTemporary},
		{"a word for a log may pass", 200, `{"errorCode":-1,"transferTaskLogList":"none"}`, fetch.ErrTemporary},
		{"null for a log has no file", 200, `{"errorCode":-1,"totalNum":0,"transferTaskLogList":null}`, fetch.ErrNotFound},
		{"null for a log has no file, nor is 0 an error", 200, `{"errorCode":0,"transferTaskLogList":null}`, fetch.ErrNotFound},
		{"nor 0 as text", 200, `{"errorCode":"0","transferTaskLogList":null}`, fetch.ErrNotFound},
		{"nor -1 as text", 200, `{"errorCode":"-1","transferTaskLogList":null}`, fetch.ErrNotFound},
		{"nor null", 200, `{"errorCode":null,"transferTaskLogList":null}`, fetch.ErrNotFound},
		{"nor null as text", 200, `{"errorCode":"null","transferTaskLogList":null}`, fetch.ErrNotFound},
		{"no log of 0 rows has no file", 200, `{"totalNum":0}`, fetch.ErrNotFound},
		{"an empty log has no file", 200, `{"errorCode":-1,"totalNum":0,"transferTaskLogList":[]}`, fetch.ErrNotFound},
		{"a destination that is not OBS is refused", 200, strings.Replace(sample()["/v1/"], `"OBS"`, `"DLI"`, 1), fetch.ErrRefused},
		{"a row without a project is refused", 200, strings.Replace(sample()["/v1/"], `"projectId"`, `"x"`, 1), fetch.ErrRefused},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := answering(c.status, c.body).Export(t.Context(), parseRef(t, fileRef))
			var call *fetch.CallError
			if !errors.As(err, &call) || !errors.Is(err, c.want) || call.Call != logCall {
				t.Fatalf("got %v, want a CallError of kind %v", err, c.want)
			}
			if text := err.Error(); strings.Contains(text, "canary") || len(text) > 300 {
				t.Errorf("got %s", text)
			}
		})
	}
}

func TestASkewedClockIsNamedWithItsError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, body := range []string{`{"errorCode":"DIS.4105","message":"bad date"}`, `{"error_code":"APIGW.0303","error_msg":"expired"}`} {
			date := time.Now().Add(-20 * time.Minute).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")
			_, err := answering(441, body, "Date", date).Export(t.Context(), parseRef(t, fileRef))
			if !errors.Is(err, fetch.ErrAuth) || !strings.HasSuffix(err.Error(), "it is 20m0s ahead of the service's") {
				t.Errorf("got %v", err)
			}
		}
	})
}

func TestNoSecretInWhatTheServiceSays(t *testing.T) {
	const said = `key SECRETcanary token CAISTOKENcanary\u003d\u003d and https://h/p?Expires=1\u0026Signature=canary`
	for _, c := range []struct {
		name   string
		status int
		body   string
	}{
		{"of an error", 441, `{"errorCode":"DIS.4100","message":"` + said + `"}`},
		{"of an error of the gateway", 401, `{"error_code":"` + said + `","error_msg":"` + said + `","request_id":"` + said + `"}`},
		{"of a state", 200, strings.Replace(sample()["/v1/"], `"state": 0`, `"state": "`+said+`"`, 1)},
		{"of a destination", 200, strings.Replace(sample()["/v1/"], `OBS`, said, 1)},
		{"in a row, in a field that we don't know", 200, strings.Replace(sample()["/v1/"], `"num": 0`, `"new": "`+said+`"`, 1)},
		{"on a page", 500, "<p>" + said + "</p>"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := provider(func(req *http.Request) (*http.Response, error) {
				if strings.HasPrefix(req.URL.Path, "/v1/") {
					return fetchtest.Answering(c.status, c.body)(req)
				}
				return sample().RoundTrip(req)
			})
			export, err := p.Export(t.Context(), parseRef(t, fileRef))
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
			f.Add(200, []byte(body), []byte(sample()["/v2/575ae927fc644f22b5c5af5209b7cf51/streams/disMonitorTest/transfer-tasks/to_obs"]), "x")
		}
	}
	ref := parseRef(f, fileRef)
	f.Fuzz(func(t *testing.T, status int, log, task []byte, word string) {
		secret := "canary+CANARY/" + hex.EncodeToString([]byte(word)) // a shorter one may be a word that is in any answer
		said := strings.NewReplacer("hFKqKEhCZgNayyIS8Zv", secret, "null", `"`+secret+`"`, "yyyy", secret)
		synctest.Test(t, func(t *testing.T) {
			p := provider(func(req *http.Request) (*http.Response, error) {
				if strings.HasPrefix(req.URL.Path, "/v1/") {
					return fetchtest.Answering(100+(status%500+500)%500, said.Replace(string(log)))(req)
				}
				return fetchtest.Answering(200, said.Replace(string(task)))(req)
			})
			p.Keys = StaticKeys(Keys{AccessKey: "id", SecretKey: secret})
			export, err := p.Export(t.Context(), ref)
			if export == nil && err == nil {
				t.Fatal("neither an export nor an error")
			}
			if got := fetchtest.Describe(t, export, err); strings.Contains(got, secret) {
				t.Errorf("%s in %s", secret, got)
			}
		})
	})
}
