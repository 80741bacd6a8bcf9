package sls

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/fetch/hostguard"
)

const jobRef = "sls://cn-hangzhou/ali-test-project/download-123"

var (
	parseRef, open, object = fetchtest.ParseRef, fetchtest.Open, fetchtest.Object

	keys = StaticKeys(fetchtest.KeyID, fetchtest.Secret, fetchtest.Token)
)

type transport = fetchtest.Transport

// provider returns one whose calls the transport answers.
func provider(f transport) *Provider {
	return &Provider{Client: &http.Client{Transport: f}, Open: open, Keys: keys}
}

// answering returns a provider whose calls all get that answer.
func answering(status int, body string, headers ...string) *Provider {
	return provider(fetchtest.Answering(status, body, headers...))
}

func answered(status int, body string, headers ...string) *http.Response {
	resp, _ := fetchtest.Answering(status, body, headers...)(nil)
	return resp
}

func TestProvider(t *testing.T) {
	fetchtest.Suite{Ref: jobRef, New: func(client *http.Client) fetch.Provider {
		return &Provider{Client: client, Open: open, Keys: keys}
	}}.Run(t)
}

func TestErrorsBeforeAndAfterTheCallNameTheirCause(t *testing.T) {
	refused := fmt.Errorf("h.example: %w", hostguard.ErrHost)
	for _, c := range []struct {
		name   string
		ref    string
		change func(*Provider)
		want   string
	}{
		{"a reference to something else", "oss://bucket/prefix", func(*Provider) {}, "export oss://bucket/prefix: not a reference to an SLS job"},
		{"no keys", jobRef, func(p *Provider) { p.Keys = nil }, "find Alibaba Cloud credentials: access denied"},
		{"a signature that we don't know", jobRef, func(p *Provider) { p.Signature = "v9" }, `GetDownloadJob: unknown signature version "v9"`},
		{"an endpoint without a scheme", jobRef, func(p *Provider) { p.Endpoint = "127.0.0.1:80" }, "GetDownloadJob: endpoint 127.0.0.1:80: want http://HOST:PORT"},
		{"an endpoint with a path", jobRef, func(p *Provider) { p.Endpoint = "http://u:canary@h/p" }, "GetDownloadJob: endpoint http://h/p: want http://HOST:PORT"},
		{"a server that isn't there", jobRef, func(p *Provider) { p.Client, p.Endpoint = nil, "http://127.0.0.1:1" }, "GetDownloadJob: temporary failure at the source: dial tcp 127.0.0.1:1: connect"},
		{"a host that is refused", jobRef, func(p *Provider) { p.Open = func(string) (fetch.Source, error) { return nil, refused } },
			"open the file of " + jobRef + ": h.example: host refused"},
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
