package dis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/verify"
)

// The file of the vendor's sample.
const (
	taskID   = "CDaRPdvKUfZrAhzTaYs"
	fileName = taskID + ".disMonitorTest.0.1756539753290"
	placeRef = "dis://cn-north-4/" + taskID + "/"
	fileRef  = placeRef + fileName
)

var (
	parseRef, object = fetchtest.ParseRef, fetchtest.Object

	testKeys = Keys{AccessKey: fetchtest.KeyID, SecretKey: fetchtest.Secret, SecurityToken: fetchtest.Token, ProjectID: "575ae927fc644f22b5c5af5209b7cf51"}
)

type transport = fetchtest.Transport

// A bucket is a fake one: the sizes of its objects by key, and the error of its
// listings, if any.
type bucket struct {
	objects map[string]int64
	err     error
	asked   []string // prefixes, in turn
}

func (b *bucket) list(_ context.Context, region, name, prefix string) iter.Seq2[fetch.Object, error] {
	return func(yield func(fetch.Object, error) bool) {
		b.asked = append(b.asked, prefix)
		if region != "cn-north-4" || name != "landing" {
			yield(fetch.Object{}, fmt.Errorf("asked for %s in %s", name, region))
			return
		}
		if b.err != nil {
			yield(fetch.Object{}, b.err)
			return
		}
		none := true
		for key, size := range b.objects {
			if !strings.HasPrefix(key, prefix) {
				continue
			}
			none = false
			below := key[strings.LastIndexByte(prefix, '/')+1:]
			if !yield(fetch.Object{Name: below, Want: verify.Want{Size: size, ETag: `W/"1"`}, Source: fetchtest.Opened("obs://landing/" + key)}, nil) {
				return
			}
		}
		if none {
			yield(fetch.Object{}, &fetch.CallError{Call: "ListObjects obs://landing/" + prefix, Kind: fetch.ErrNotFound})
		}
	}
}

// sampleBucket returns a bucket that has the file of the sample where its task
// delivers it.
func sampleBucket() *bucket {
	return &bucket{objects: map[string]int64{
		"logs/2025/08/30/15/" + fileName:                                30718683,
		"logs/2025/08/30/15/" + taskID + ".disMonitorTest.1.1756539753": 1,
	}}
}

// provider returns one whose calls the transport answers.
func provider(f transport) *Provider {
	return &Provider{Client: &http.Client{Transport: f}, Objects: sampleBucket().list, Keys: StaticKeys(testKeys)}
}

// answering returns a provider whose calls all get that answer.
func answering(status int, body string, headers ...string) *Provider {
	return provider(fetchtest.Answering(status, body, headers...))
}

// A service is a fake one: its answers by the beginning of the path.
type service map[string]string

// sample returns the service of the vendor's sample, with some of its text
// replaced.
func sample(oldnew ...string) service {
	change := strings.NewReplacer(oldnew...)
	answers := service{}
	for path, body := range map[string]string{
		"/v1/": `{"errorCode": -1, "totalNum": 1, "message": null, "transferTaskLogList": [{
			"transferTaskId": "CDaRPdvKUfZrAhzTaYs", "state": 0, "destinationType": "OBS",
			"startTime": 1756539753280, "endTime": 1756540056070, "transferBytes": 30718683, "transferRecordsNum": 32943,
			"transformRecordsNum": 0, "streamId": "hFKqKEhCZgNayyIS8Zv", "projectId": "575ae927fc644f22b5c5af5209b7cf51",
			"transferFileName": "CDaRPdvKUfZrAhzTaYs.disMonitorTest.0.1756539753290", "num": 0}]}`,
		"/v2/575ae927fc644f22b5c5af5209b7cf51/streams/disMonitorTest/transfer-tasks": `{"total_number": 2, "tasks": [
			{"task_id": "another", "task_name": "other", "state": "RUNNING"},
			{"task_id": "CDaRPdvKUfZrAhzTaYs", "task_name": "to_obs", "state": "RUNNING"}]}`,
		"/v2/575ae927fc644f22b5c5af5209b7cf51/streams/disMonitorTest/transfer-tasks/to_obs": `{
			"task_id": "CDaRPdvKUfZrAhzTaYs", "task_name": "to_obs", "obs_destination_description": {
			"obs_bucket_path": "landing", "file_prefix": "logs", "partition_format": "yyyy/MM/dd/HH",
			"destination_file_type": "text", "record_delimiter": "\n", "deliver_time_interval": 300}}`,
	} {
		answers[path] = change.Replace(body)
	}
	return answers
}

func (s service) RoundTrip(req *http.Request) (*http.Response, error) {
	body, ok := s[req.URL.Path]
	if !ok && strings.HasPrefix(req.URL.Path, "/v1/transfertasklog/") {
		body, ok = s["/v1/"]
	}
	if !ok {
		return fetchtest.Answering(404, `{"error_code":"APIGW.0101","error_msg":"no API `+req.URL.Path+`"}`)(req)
	}
	return fetchtest.Answering(200, body, "X-Request-Id", "R1")(req)
}

func TestProvider(t *testing.T) {
	fetchtest.Suite{Ref: fileRef, New: func(client *http.Client) fetch.Provider {
		return &Provider{Client: client, Objects: sampleBucket().list, Keys: StaticKeys(testKeys)}
	}}.Run(t)
}

func TestCallsGoToTheEndpointOfTheRegion(t *testing.T) {
	var got []string
	p := provider(func(req *http.Request) (*http.Response, error) {
		var body []byte
		if req.Body != nil {
			body, _ = io.ReadAll(req.Body)
		}
		got = append(got, req.Method+" "+req.URL.String()+" "+string(body))
		if req.Header.Get("X-Project-Id") != testKeys.ProjectID || req.Header.Get("X-Security-Token") != fetchtest.Token || req.Host != req.URL.Host {
			t.Errorf("got %v to %s", req.Header, req.Host)
		}
		return sample().RoundTrip(req)
	})
	if _, err := p.Export(t.Context(), parseRef(t, fileRef)); err != nil {
		t.Fatal(err)
	}
	const host, tasks = "https://dis.cn-north-4.myhuaweicloud.com", "/v2/575ae927fc644f22b5c5af5209b7cf51/streams/disMonitorTest/transfer-tasks"
	want := []string{
		"POST " + host + "/v1/transfertasklog/" + taskID + ` {"order":"desc","sortBy":"createTimeStr","pageInfo":{"pageIndex":1,"pageTotal":100}}`,
		"GET " + host + tasks + " ", "GET " + host + tasks + "/to_obs ",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestCallsGoToTheEndpointThatIsSet(t *testing.T) {
	p := provider(func(req *http.Request) (*http.Response, error) {
		if req.URL.Scheme+"://"+req.URL.Host != "http://127.0.0.1:8080" {
			t.Errorf("got %s", req.URL)
		}
		return sample().RoundTrip(req)
	})
	p.Endpoint = "http://127.0.0.1:8080/"
	if _, err := p.Export(t.Context(), parseRef(t, fileRef)); err != nil {
		t.Error(err)
	}
}

func TestATokenIsUsedBeforeTheKeys(t *testing.T) {
	p := provider(func(req *http.Request) (*http.Response, error) {
		if req.Header.Get("X-Auth-Token") != "TOKENcanary" || req.Header.Get("Authorization") != "" || req.Header.Get("X-Security-Token") != "" {
			t.Errorf("got %v", req.Header)
		}
		return sample().RoundTrip(req)
	})
	keys := testKeys
	keys.Token = "TOKENcanary"
	p.Keys = StaticKeys(keys)
	if _, err := p.Export(t.Context(), parseRef(t, fileRef)); err != nil {
		t.Error(err)
	}
}

func TestARowThatHasEndedIsNotAskedForAgain(t *testing.T) {
	for _, c := range []struct {
		name, end   string
		first, then int // calls
	}{
		{"one that has", "1756540056070", 3, 0},
		{"one that has not", "0", 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				p := provider(func(req *http.Request) (*http.Response, error) {
					calls++
					return sample("1756540056070", c.end).RoundTrip(req)
				})
				for i, want := range []int{c.first, c.then} {
					calls = 0
					export, err := p.Export(t.Context(), parseRef(t, fileRef))
					if err != nil || calls != want {
						t.Errorf("attempt %d: got %+v, %v after %d calls, want %d", i, export, err, calls, want)
					}
				}
			})
		})
	}
}

func TestErrorsBeforeTheCallNameTheirCause(t *testing.T) {
	for _, c := range []struct {
		name   string
		ref    string
		change func(*Provider)
		want   string
		kind   error
	}{
		{"a reference to something else", "foreign://region/place/job", func(*Provider) {}, "export foreign://region/place/job: not a reference to a file of a DIS dump task", nil},
		{"no store", fileRef, func(p *Provider) { p.Objects = nil }, "export " + fileRef + ": no store for its bucket: ", errors.ErrUnsupported},
		{"no keys", fileRef, func(p *Provider) { p.Keys = nil }, "find Huawei Cloud credentials: access denied", fetch.ErrAuth},
		{"a signature that we don't know", fileRef, func(p *Provider) { p.Signature = "v9" }, logCall + `: unknown signature form "v9", want derived or plain`, nil},
		{"an endpoint with a path", fileRef, func(p *Provider) { p.Endpoint = "http://u:canary@h/p" }, logCall + ": endpoint http://h/p: want http://HOST:PORT", nil},
		{"a server that isn't there", fileRef, func(p *Provider) { p.Client, p.Endpoint = nil, "http://127.0.0.1:1" }, logCall + ": temporary failure at the source: dial tcp 127.0.0.1:1: connect", fetch.ErrTemporary},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("HUAWEICLOUD_SDK_AK", "")
			t.Setenv("HUAWEICLOUD_SDK_TOKEN", "")
			p := answering(200, sample()["/v1/"])
			c.change(p)
			_, err := p.Export(t.Context(), parseRef(t, c.ref))
			if err == nil || !strings.HasPrefix(err.Error(), c.want) || c.kind != nil && !errors.Is(err, c.kind) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestAWaitForAnotherCallEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := provider(func(req *http.Request) (*http.Response, error) {
			<-req.Context().Done()
			return nil, req.Context().Err()
		})
		first, stop := context.WithCancel(t.Context())
		go p.Export(first, parseRef(t, fileRef))
		synctest.Wait()
		second, cancel := context.WithCancelCause(t.Context())
		why := errors.New("why")
		cancel(why)
		if _, err := p.Export(second, parseRef(t, fileRef)); !errors.Is(err, why) {
			t.Errorf("got %v", err)
		}
		stop()
		synctest.Wait()
	})
}
