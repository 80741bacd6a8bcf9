package dbs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/fetch/hostguard"
	"tallyman/fetch/internal/acs"
)

const (
	taskRef  = "dbs://cn-hangzhou/rm-bp1imnmcjxdz7/dt-qxntlvgu"
	placeRef = "dbs://cn-hangzhou/rm-bp1imnmcjxdz7/"
)

var parseRef, open, object = fetchtest.ParseRef, fetchtest.Open, fetchtest.Object

type transport = fetchtest.Transport

func keys(context.Context) (acs.Keys, error) {
	return acs.Keys{AccessKeyID: fetchtest.KeyID, AccessKeySecret: fetchtest.Secret, SecurityToken: fetchtest.Token}, nil
}

// provider returns one whose calls the transport answers.
func provider(f transport) *Provider {
	return &Provider{Client: &http.Client{Transport: f}, Open: open, Keys: keys}
}

// answering returns a provider whose calls get those answers, one after the
// other, and the last one for all further calls.
func answering(bodies ...string) *Provider {
	made := 0
	return provider(func(req *http.Request) (*http.Response, error) {
		body := bodies[min(made, len(bodies)-1)]
		made++
		return fetchtest.Answering(200, body)(req)
	})
}

func TestProvider(t *testing.T) {
	fetchtest.Suite{Ref: taskRef, New: func(client *http.Client) fetch.Provider {
		return &Provider{Client: client, Open: open, Keys: keys}
	}}.Run(t)
}

func TestCallsGoToTheEndpointOfTheRegion(t *testing.T) {
	for _, c := range []struct {
		name         string
		network      hostguard.Network
		region, want string
	}{
		{"of Hangzhou", nil, "cn-hangzhou", "dbs-api.cn-hangzhou"},
		{"of a region that Hangzhou answers for", nil, "us-east-1", "dbs-api.cn-hangzhou"},
		{"of a region with an address of its own", nil, "eu-central-1", "dbs-api.eu-central-1"},
		{"of a region that no list has", nil, "cn-wulanchabu", "dbs.cn-wulanchabu"},
		{"inside", hostguard.InternalNetwork, "cn-shanghai", "dbs-api-vpc.cn-shanghai"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := provider(func(req *http.Request) (*http.Response, error) {
				if req.URL.Host != c.want+".aliyuncs.com" || req.URL.Scheme != "https" || req.Host != req.URL.Host || req.URL.Query().Get("RegionCode") != c.region {
					t.Errorf("got %s to %s, want %s", req.URL, req.Host, c.want)
				}
				return nil, io.ErrUnexpectedEOF
			})
			p.Network = c.network
			if _, err := p.Export(t.Context(), parseRef(t, "dbs://"+c.region+"/rm-1/dt-1")); !errors.Is(err, fetch.ErrTemporary) {
				t.Error(err)
			}
		})
	}
}

// The list of hosts is that of the vendor's SDK.
func TestEachRegionHasItsHost(t *testing.T) {
	host := func(region string) (asked string) {
		p := provider(func(req *http.Request) (*http.Response, error) {
			asked = req.URL.Host
			return nil, io.ErrUnexpectedEOF
		})
		if _, err := p.Export(t.Context(), parseRef(t, "dbs://"+region+"/rm-1/dt-1")); !errors.Is(err, fetch.ErrTemporary) {
			t.Error(err)
		}
		return asked
	}
	for region := range strings.FieldsSeq(`cn-hangzhou cn-beijing cn-qingdao cn-shanghai cn-shenzhen cn-zhangjiakou cn-hongkong
		us-west-1 us-east-1 cn-hangzhou-finance cn-shanghai-finance-1 cn-shenzhen-finance-1`) {
		if got := host(region); got != "dbs-api.cn-hangzhou.aliyuncs.com" {
			t.Errorf("%s is asked at %s", region, got)
		}
	}
	for region := range strings.FieldsSeq(`cn-chengdu cn-huhehaote ap-southeast-1 ap-southeast-2 ap-southeast-3 ap-southeast-5
		ap-northeast-1 ap-south-1 eu-central-1 eu-west-1 me-east-1`) {
		if got := host(region); got != "dbs-api."+region+".aliyuncs.com" {
			t.Errorf("%s is asked at %s", region, got)
		}
	}
}

func TestTheParametersOfTheTwoCalls(t *testing.T) {
	var asked []string
	answers := answering(listed(finished()), located())
	inner := answers.Client.Transport
	answers.Client = &http.Client{Transport: transport(func(req *http.Request) (*http.Response, error) {
		var said []string
		for _, name := range []string{"x-acs-action", "x-acs-version", "x-acs-security-token"} {
			said = append(said, req.Header.Values(name)...)
		}
		asked = append(asked, fmt.Sprint(req.Method, " ", req.URL.RawQuery, " ", strings.Join(said, " ")))
		return inner.RoundTrip(req)
	})}
	if _, err := answers.Export(t.Context(), parseRef(t, taskRef)); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"POST CurrentPage=1&InstanceName=rm-bp1imnmcjxdz7&OrderColumn=gmt_create&OrderDirect=desc&PageSize=50&RegionCode=cn-hangzhou DescribeDownloadTask 2021-01-01 CAISTOKENcanary==",
		"POST Duration=86400&RegionCode=cn-hangzhou&TaskId=dt-qxntlvgu DescribeDownloadBackupSetStorageInfo 2021-01-01 CAISTOKENcanary==",
	}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Errorf("calls (-want +got)\n%s", diff)
	}
}

func TestCallsGoToTheEndpointThatIsSet(t *testing.T) {
	for _, c := range []struct{ signature, name string }{{"", "Authorization"}, {"acs3", "Authorization"}, {"v1", "Signature"}} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if query := r.URL.Query(); r.Header.Get(c.name)+query.Get(c.name) == "" || query.Get("InstanceName") != "rm-bp1imnmcjxdz7" {
				t.Errorf("signed by %q: got %s %v", c.signature, r.URL, r.Header)
			}
			w.Header().Set("x-acs-request-id", r.Host)
			io.WriteString(w, strings.Replace(listed(finished(`finished`, `running`)), `"RequestId": "R1",`, "", 1))
		}))
		defer server.Close()
		p := &Provider{Client: server.Client(), Open: open, Endpoint: server.URL + "/", Network: hostguard.InternalNetwork, Signature: c.signature, Keys: keys}
		export, err := p.Export(t.Context(), parseRef(t, taskRef))
		if err != nil || "http://"+export.RequestID != server.URL {
			t.Errorf("signed by %q: got %+v, %v", c.signature, export, err)
		}
	}
}

func TestErrorsBeforeAndAfterTheCallsNameTheirCause(t *testing.T) {
	refused := fmt.Errorf("h.example: %w", hostguard.ErrHost)
	for _, c := range []struct {
		name   string
		ref    string
		change func(*Provider)
		want   string
	}{
		{"a reference to something else", "oss://bucket/prefix", func(*Provider) {}, "export oss://bucket/prefix: not a reference to a DBS download task"},
		{"no keys", taskRef, func(p *Provider) { p.Keys = nil }, "find Alibaba Cloud credentials: access denied"},
		{"a signature that we don't know", taskRef, func(p *Provider) { p.Signature = "v9" }, tasksCall + `: unknown signature version "v9", want acs3 or v1`},
		{"an endpoint without a scheme", taskRef, func(p *Provider) { p.Endpoint = "127.0.0.1:80" }, tasksCall + ": endpoint 127.0.0.1:80: want http://HOST:PORT"},
		{"an endpoint with a path", taskRef, func(p *Provider) { p.Endpoint = "http://u:canary@h/p" }, tasksCall + ": endpoint http://h/p: want http://HOST:PORT"},
		{"a server that isn't there", taskRef, func(p *Provider) { p.Client, p.Endpoint = nil, "http://127.0.0.1:1" },
			tasksCall + ": temporary failure at the source: dial tcp 127.0.0.1:1: connect"},
		{"a host that is refused", taskRef, func(p *Provider) { p.Open = func(string) (fetch.Source, error) { return nil, refused } },
			"open the file of " + taskRef + ": h.example: host refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("HOME", t.TempDir())
			t.Setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")
			t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "")
			p := answering(listed(finished()), located())
			c.change(p)
			_, err := p.Export(t.Context(), parseRef(t, c.ref))
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}
