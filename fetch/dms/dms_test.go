package dms

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"tallyman/fetch"
)

var update = flag.Bool("update", false, "write what testdata should want")

const downloadRef = "dms://cn-hangzhou/1234567/e23dd7ec-a19f-4a69-8eb3-8ffd26e60000?tid=42"

func parseRef(t testing.TB, s string) fetch.Ref {
	t.Helper()
	ref, err := fetch.ParseRef(s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// opened is a Source that remembers the URL it was opened with.
type opened string

func (opened) ReadRange(context.Context, int64, int64, string) (*fetch.Range, error) {
	return nil, errors.ErrUnsupported
}

func open(rawURL string) (fetch.Source, error) { return opened(rawURL), nil }

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// provider is one whose every call gets the answer of that transport.
func provider(f transport) *Provider {
	return &Provider{
		Client: &http.Client{Transport: f},
		Open:   open,
		Keys:   StaticKeys("LTAIid", "SECRETcanary", "CAISTOKENcanary=="),
	}
}

// answering is a provider whose service always says that.
func answering(status int, body string, headers ...string) *Provider {
	return provider(func(req *http.Request) (*http.Response, error) {
		resp := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: req}
		for i := 0; i < len(headers); i += 2 {
			resp.Header.Set(headers[i], headers[i+1])
		}
		return resp, nil
	})
}

// object is the one object of an export.
func object(t testing.TB, export *fetch.Export) fetch.Object {
	t.Helper()
	var all []fetch.Object
	for object, err := range export.Objects {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, object)
	}
	if len(all) != 1 {
		t.Fatalf("got %d objects, want one", len(all))
	}
	return all[0]
}

// describe writes down all of an export, or of an error, that a caller can
// see, but for the URL.
func describe(t testing.TB, export *fetch.Export, err error) string {
	t.Helper()
	var call *fetch.CallError
	if errors.As(err, &call) {
		return fmt.Sprintf("%v\nkind: %v\nafter: %v\n", err, call.Kind, call.After)
	} else if err != nil {
		return err.Error() + "\n"
	}
	var objects []fetch.Object
	if export.Objects != nil {
		o := object(t, export)
		o.Source = nil
		objects = []fetch.Object{o}
	}
	shown := struct {
		*fetch.Export
		Objects []fetch.Object
	}{export, objects}
	b, err := json.MarshalIndent(shown, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b) + "\n"
}

func TestRecordedAnswers(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatal("no recorded answers", err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) { replay(t, name) })
	}
}

func replay(t *testing.T, name string) {
	archive, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, f := range archive.Files {
		files[f.Name] = string(f.Data)
	}
	p := provider(func(req *http.Request) (*http.Response, error) {
		return http.ReadResponse(bufio.NewReader(strings.NewReader(files["answer"])), req)
	})
	export, err := p.Export(t.Context(), parseRef(t, downloadRef))
	got := describe(t, export, err)
	if strings.Contains(got, "canary") {
		t.Errorf("a secret in\n%s", got)
	}
	if *update {
		archive.Files = append(archive.Files[:1], txtar.File{Name: "want", Data: []byte(got)})
		if err := os.WriteFile(name, txtar.Format(archive), 0o666); err != nil {
			t.Fatal(err)
		}
	} else if got != files["want"] {
		t.Errorf("%sgot\n%s\nwant\n%s", archive.Comment, got, files["want"])
	}
}

func TestACallGoesToTheVendor(t *testing.T) {
	const withTenant = "?DownloadKeyId=e23dd7ec-a19f-4a69-8eb3-8ffd26e60000&OrderId=1234567&Tid=42"
	const without = "?DownloadKeyId=KEY.1_a&OrderId=7"
	for _, c := range []struct{ name, network, ref, want string }{
		{"in public", "", downloadRef, "https://dms-enterprise.cn-hangzhou.aliyuncs.com/" + withTenant},
		{"in public, by its name", "public", downloadRef, "https://dms-enterprise.cn-hangzhou.aliyuncs.com/" + withTenant},
		{"inside", "internal", downloadRef, "https://dms-enterprise-vpc.cn-hangzhou.aliyuncs.com/" + withTenant},
		{"in another region, without a tenant", "", "dms://ap-southeast-1/7/KEY.1_a", "https://dms-enterprise.ap-southeast-1.aliyuncs.com/" + without},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := provider(func(req *http.Request) (*http.Response, error) {
				var said []string
				for _, name := range []string{"x-acs-action", "x-acs-version", "x-acs-security-token"} {
					said = append(said, req.Header[name]...) // as the library spells it
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

func TestAnEndpointIsCalledInstead(t *testing.T) {
	for _, c := range []struct{ signature, name string }{{"", "Authorization"}, {"acs3", "Authorization"}, {"v1", "Signature"}} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if query := r.URL.Query(); r.Header.Get(c.name)+query.Get(c.name) == "" || query.Get("OrderId") != "1234567" || query.Get("Tid") != "42" {
				t.Errorf("signed by %q: got %s %v", c.signature, r.URL, r.Header)
			}
			w.Header().Set("x-acs-request-id", r.Host)
			io.WriteString(w, succeeded(`"RequestId": "R1", `, ""))
		}))
		defer server.Close()
		p := &Provider{Client: server.Client(), Open: open, Endpoint: server.URL + "/", Network: "internal", Signature: c.signature,
			Keys: StaticKeys("LTAIid", "SECRETcanary", "CAISTOKENcanary==")}
		export, err := p.Export(t.Context(), parseRef(t, downloadRef))
		if err != nil || "http://"+export.RequestID != server.URL {
			t.Errorf("signed by %q: got %+v, %v", c.signature, export, err)
		}
	}
}

func TestErrorsBeforeAndAfterTheCall(t *testing.T) {
	refused := fmt.Errorf("h.example: %w", fetch.ErrHost)
	for _, c := range []struct {
		name   string
		ref    string
		change func(*Provider)
		want   string
	}{
		{"a reference to something else", "oss://bucket/prefix", func(*Provider) {}, "export oss://bucket/prefix: not a reference to a DMS download"},
		{"an order that is no number", "dms://r/a1/k", func(*Provider) {}, `export dms://r/a1/k: ORDER_ID is "a1", want a number`},
		{"an order past all numbers", "dms://r/9223372036854775808/k", func(*Provider) {}, `export dms://r/9223372036854775808/k: ORDER_ID is "9223372036854775808", want a number`},
		{"a tenant that is no number", "dms://r/1/k?tid=x", func(*Provider) {}, `export dms://r/1/k?tid=x: option tid is "x", want a number`},
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

func TestTheCallersEndIsTheCallers(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p := provider(func(req *http.Request) (*http.Response, error) {
		cancel()
		<-req.Context().Done()
		return nil, req.Context().Err()
	})
	if _, err := p.Export(ctx, parseRef(t, downloadRef)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}
