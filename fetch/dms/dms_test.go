package dms

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/fetch/hostguard"
)

const downloadRef = "dms://cn-hangzhou/1234567/e23dd7ec-a19f-4a69-8eb3-8ffd26e60000?tid=42"

var parseRef, open, object = fetchtest.ParseRef, fetchtest.Open, fetchtest.Object

type transport = fetchtest.Transport

// provider returns one whose calls the transport answers.
func provider(f transport) *Provider {
	return &Provider{
		Client: &http.Client{Transport: f},
		Open:   open,
		Keys:   StaticKeys(fetchtest.KeyID, fetchtest.Secret, fetchtest.Token),
	}
}

// answering returns a provider whose calls all get that answer.
func answering(status int, body string, headers ...string) *Provider {
	return provider(fetchtest.Answering(status, body, headers...))
}

func TestProvider(t *testing.T) {
	fetchtest.Suite{Ref: downloadRef, New: func(client *http.Client) fetch.Provider {
		return &Provider{Client: client, Open: open, Keys: StaticKeys(fetchtest.KeyID, fetchtest.Secret, fetchtest.Token)}
	}}.Run(t)
}

func TestCallsGoToTheEndpointOfTheRegion(t *testing.T) {
	const withTenant = "?DownloadKeyId=e23dd7ec-a19f-4a69-8eb3-8ffd26e60000&OrderId=1234567&Tid=42"
	const without = "?DownloadKeyId=KEY.1_a&OrderId=7"
	for _, c := range []struct {
		name      string
		network   hostguard.Network
		ref, want string
	}{
		{"in public", nil, downloadRef, "https://dms-enterprise.cn-hangzhou.aliyuncs.com/" + withTenant},
		{"inside", hostguard.InternalNetwork, downloadRef, "https://dms-enterprise-vpc.cn-hangzhou.aliyuncs.com/" + withTenant},
		{"in another region, without a tenant", nil, "dms://ap-southeast-1/7/KEY.1_a", "https://dms-enterprise.ap-southeast-1.aliyuncs.com/" + without},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := provider(func(req *http.Request) (*http.Response, error) {
				var said []string
				for _, name := range []string{"x-acs-action", "x-acs-version", "x-acs-security-token"} {
					said = append(said, req.Header.Values(name)...)
				}
				if req.URL.String() != c.want || req.Host != req.URL.Host || req.Method != "POST" ||
					!slices.Equal(said, []string{"QueryDataTrackResultDownloadStatus", "2018-11-01", "CAISTOKENcanary=="}) {
					t.Errorf("got %s %s to %s of %s, want %s", req.Method, req.URL, req.Host, said, c.want)
				}
				return nil, io.ErrUnexpectedEOF
			})
			p.Network = c.network
			if _, err := p.Export(t.Context(), parseRef(t, c.ref)); !errors.Is(err, fetch.ErrTemporary) {
				t.Error(err)
			}
		})
	}
}

func TestCallsGoToTheEndpointThatIsSet(t *testing.T) {
	for _, c := range []struct{ signature, name string }{{"", "Authorization"}, {"acs3", "Authorization"}, {"v1", "Signature"}} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if query := r.URL.Query(); r.Header.Get(c.name)+query.Get(c.name) == "" || query.Get("OrderId") != "1234567" || query.Get("Tid") != "42" {
				t.Errorf("signed by %q: got %s %v", c.signature, r.URL, r.Header)
			}
			w.Header().Set("x-acs-request-id", r.Host)
			io.WriteString(w, succeeded(`"RequestId": "R1", `, ""))
		}))
		defer server.Close()
		p := &Provider{Client: server.Client(), Open: open, Endpoint: server.URL + "/", Network: hostguard.InternalNetwork, Signature: c.signature,
			Keys: StaticKeys("LTAIid", "SECRETcanary", "CAISTOKENcanary==")}
		export, err := p.Export(t.Context(), parseRef(t, downloadRef))
		if err != nil || "http://"+export.RequestID != server.URL {
			t.Errorf("signed by %q: got %+v, %v", c.signature, export, err)
		}
	}
}

func TestErrorsBeforeAndAfterTheCallNameTheirCause(t *testing.T) {
	refused := fmt.Errorf("h.example: %w", hostguard.ErrHost)
	for _, c := range []struct {
		name   string
		ref    string
		change func(*Provider)
		want   string
	}{
		{"a reference to something else", "foreign://region/place/job", func(*Provider) {}, "export foreign://region/place/job: not a reference to a DMS download"},
		{"no keys", downloadRef, func(p *Provider) { p.Keys = nil }, "find Alibaba Cloud credentials: access denied"},
		{"a signature that we don't know", downloadRef, func(p *Provider) { p.Signature = "v9" }, action + `: unknown signature version "v9", want acs3 or v1`},
		{"an endpoint without a scheme", downloadRef, func(p *Provider) { p.Endpoint = "127.0.0.1:80" }, action + ": endpoint 127.0.0.1:80: want http://HOST:PORT"},
		{"an endpoint with a path", downloadRef, func(p *Provider) { p.Endpoint = "http://u:canary@h/p" }, action + ": endpoint http://h/p: want http://HOST:PORT"},
		{"a server that isn't there", downloadRef, func(p *Provider) { p.Client, p.Endpoint = nil, "http://127.0.0.1:1" },
			action + ": temporary failure at the source: dial tcp 127.0.0.1:1: connect"},
		{"a host that is refused", downloadRef, func(p *Provider) { p.Open = func(string) (fetch.Source, error) { return nil, refused } },
			"open the file of " + downloadRef + ": h.example: host refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("HOME", t.TempDir())
			t.Setenv("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true")
			t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "")
			p := answering(200, succeeded())
			c.change(p)
			_, err := p.Export(t.Context(), parseRef(t, c.ref))
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}
