package obs

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/fetch/hostguard"
	"tallyman/fetch/sandbox"
)

func TestRecordedRefusals(t *testing.T) {
	all, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(all) == 0 {
		t.Fatal("no recorded answers", err)
	}
	for _, name := range all {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) { replay(t, name) })
	}
}

// A closeRecorder records whether it was closed.
type closeRecorder struct {
	io.ReadCloser
	closed bool
}

func (c *closeRecorder) Close() error {
	c.closed = true
	return c.ReadCloser.Close()
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
	var body *closeRecorder
	err = read(t, asking(func(req *http.Request) (*http.Response, error) {
		resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(files["answer"])), req)
		if err == nil {
			body = &closeRecorder{ReadCloser: resp.Body}
			resp.Body = body
		}
		return resp, err
	}), "a")
	var call *fetch.CallError
	if !errors.As(err, &call) {
		t.Fatalf("got %v, want a CallError", err)
	}
	got := fmt.Sprintf("%v\nkind: %v\nafter: %v\n", err, call.Kind, call.RetryAfter)
	if strings.Contains(got, "canary") {
		t.Errorf("a secret in\n%s", got)
	}
	if !body.closed {
		t.Error("the body was not closed")
	}
	if *fetchtest.Update {
		archive.Files = append(archive.Files[:1], txtar.File{Name: "want", Data: []byte(got)})
		if err := os.WriteFile(name, txtar.Format(archive), 0o666); err != nil {
			t.Fatal(err)
		}
	} else if got != files["want"] {
		t.Errorf("%sgot\n%s\nwant\n%s", archive.Comment, got, files["want"])
	}
}

func TestNoSecretInAnError(t *testing.T) {
	for name, said := range map[string]error{
		"of a connection": errors.New("read tcp: connection reset"),
		"with a URL":      errors.New(`proxy https://u:canary@h/?Signature=canary refused`),
	} {
		err := read(t, asking(func(*http.Request) (*http.Response, error) { return nil, said }), "a")
		if !errors.Is(err, fetch.ErrTemporary) || strings.Contains(err.Error(), "canary") || !strings.HasPrefix(err.Error(), "GetObject obs://"+bucket+"/a: ") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestARefusedHostIsErrHost(t *testing.T) {
	hosts := &hostguard.Policy{Domains: []string{"myhuaweicloud.com"}}
	store := &Store{Endpoint: "http://127.0.0.1:1", Keys: StaticKeys(keys), Client: hosts.Client()}
	if _, err := names(store.Objects(t.Context(), Selection{Bucket: bucket})); !errors.Is(err, hostguard.ErrHost) {
		t.Errorf("got %v, want ErrHost", err)
	}
}

// The SDK would read a refusal to its end.
func TestAnEndlessRefusalIsCut(t *testing.T) {
	endless := &closeRecorder{ReadCloser: io.NopCloser(endlessReader{})}
	_, err := names(asking(func(req *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 403, Header: http.Header{}, Body: endless, ContentLength: -1, Request: req}, nil
	}).Objects(t.Context(), Selection{Bucket: bucket}))
	if !errors.Is(err, fetch.ErrAuth) || !endless.closed {
		t.Errorf("got %v, closed: %t", err, endless.closed)
	}
}

type endlessReader struct{}

func (endlessReader) Read(p []byte) (int, error) { return len(p), nil }

func TestOnlyEndpointsOfTheVendorAreShown(t *testing.T) {
	for endpoint, want := range map[string]string{
		"obs.cn-east-3.myhuaweicloud.com":          "?region=cn-east-3 ",
		"bkt.obs.cn-east-3.myhuaweicloud.com":      "?region=cn-east-3 ",
		"b.obs.t.obs.cn-east-3.myhuaweicloud.com":  "?region=cn-east-3 ",
		"obs.cn-east-3.evil.myhuaweicloud.com":     "",
		"obs.\x1b[2J.myhuaweicloud.com":            "",
		"obs.cn-east-3.example":                    "",
		"ecs.cn-east-3.myhuaweicloud.com":          "",
		"obs.cn-east-3.myhuaweicloud.com.evil.com": "",
		"": "",
	} {
		if got := elsewhere(endpoint, ""); !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Errorf("%q: got %q, want %q in it", endpoint, got, want)
		}
	}
}

func TestABucketInAnotherRegionIsNamedWithTheHint(t *testing.T) {
	srv, store := serve(t, nil)
	srv.AddBucket(bucket, sandbox.Bucket{Endpoint: "obs.cn-east-3.myhuaweicloud.com"})
	for hint, want := range map[string]string{
		"":               "obs.cn-east-3.myhuaweicloud.com: add ?region=cn-east-3 to the reference",
		"look in REGION": "obs.cn-east-3.myhuaweicloud.com: look in cn-east-3",
	} {
		_, err := names(store.Objects(t.Context(), Selection{Bucket: bucket, Hint: hint}))
		if !errors.Is(err, fetch.ErrRefused) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestUnprintableKeysAreQuoted(t *testing.T) {
	_, store := serve(t, nil)
	err := read(t, store, "e/\x1b[2J\n.csv")
	if want := `GetObject obs://` + bucket + `/"e/\x1b[2J\n.csv": not found`; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}
