package sls

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"tallyman/fetch"
)

var update = flag.Bool("update", false, "write what testdata should want")

const jobRef = "sls://cn-hangzhou/ali-test-project/download-123"

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
	return provider(func(*http.Request) (*http.Response, error) { return answered(status, body, headers...), nil })
}

func answered(status int, body string, headers ...string) *http.Response {
	resp := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
	for i := 0; i < len(headers); i += 2 {
		resp.Header.Set(headers[i], headers[i+1])
	}
	return resp
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

// describeExport writes down all of an export, or of an error, that a caller
// can see, but for the URL.
func describeExport(t testing.TB, export *fetch.Export, err error) string {
	t.Helper()
	if err != nil {
		return describeError(err)
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

func describeError(err error) string {
	var call *fetch.CallError
	if errors.As(err, &call) {
		return fmt.Sprintf("%v\nkind: %v\nafter: %v\n", err, call.Kind, call.After)
	}
	return fmt.Sprintf("%v\nunsupported: %t\n", err, errors.Is(err, errors.ErrUnsupported))
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
	export, err := p.Export(t.Context(), parseRef(t, jobRef))
	got := describeExport(t, export, err)
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

func TestErrorsBeforeAndAfterTheCall(t *testing.T) {
	refused := fmt.Errorf("h.example: %w", fetch.ErrHost)
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
