package oss

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
	"time"

	"github.com/aliyun/aliyun-oss-go-sdk/oss"
	"github.com/rogpeppe/go-internal/txtar"

	"tallyman/fetch"
	"tallyman/fetch/fetchtest"
	"tallyman/fetch/hostguard"
	"tallyman/fetch/internal/acs"
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
	store := &Store{Region: "cn-hangzhou", Keys: acs.Static(sts).Keys, Client: &http.Client{Transport: transport(func(req *http.Request) (*http.Response, error) {
		resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(files["answer"])), req)
		if err == nil {
			body = &closeRecorder{ReadCloser: resp.Body}
			resp.Body = body
		}
		return resp, err
	})}}
	at, err := store.address("", bucket)
	if err != nil {
		t.Fatal(err)
	}
	_, err = store.source(at, "a", "").ReadRange(t.Context(), 4, 4, `"etag"`)
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
		store := &Store{Region: "cn-hangzhou", Keys: acs.Static(sts).Keys, Client: &http.Client{Transport: transport(func(*http.Request) (*http.Response, error) {
			return nil, said
		})}}
		at, _ := store.address("", bucket)
		_, err := store.source(at, "a", "").ReadRange(t.Context(), 0, 4, "")
		if !errors.Is(err, fetch.ErrTemporary) || strings.Contains(err.Error(), "canary") || !strings.HasPrefix(err.Error(), "GetObject oss://"+bucket+"/a: ") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestARefusedHostIsErrHost(t *testing.T) {
	hosts := &hostguard.Policy{Domains: []string{"aliyuncs.com"}}
	store := &Store{Endpoint: "http://127.0.0.1:1", Keys: acs.Static(keys).Keys, Client: hosts.Client()}
	if _, err := names(store.Objects(t.Context(), Selection{Bucket: bucket})); !errors.Is(err, hostguard.ErrHost) {
		t.Errorf("got %v, want ErrHost", err)
	}
}

func TestAnEndlessRefusalIsCut(t *testing.T) {
	endless := &closeRecorder{ReadCloser: io.NopCloser(endlessReader{})}
	store := &Store{Region: "cn-hangzhou", Keys: acs.Static(sts).Keys, Client: &http.Client{Transport: transport(func(req *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 403, Header: http.Header{}, Body: endless, ContentLength: -1, Request: req}, nil
	})}}
	begun := time.Now()
	_, err := names(store.Objects(t.Context(), Selection{Bucket: bucket}))
	if !errors.Is(err, fetch.ErrAuth) || !endless.closed || time.Since(begun) > 10*time.Second {
		t.Errorf("got %v, closed: %t, in %v", err, endless.closed, time.Since(begun))
	}
}

type endlessReader struct{}

func (endlessReader) Read(p []byte) (int, error) { return len(p), nil }

func TestOnlyEndpointsOfTheVendorAreShown(t *testing.T) {
	for endpoint, want := range map[string]string{
		"oss-cn-shanghai.aliyuncs.com":          "?region=cn-shanghai ",
		"oss-cn-shanghai-internal.aliyuncs.com": "?region=cn-shanghai ",
		"oss-cn-shanghai.evil.aliyuncs.com":     "",
		"oss-\x1b[2J.aliyuncs.com":              "",
		"oss-cn-shanghai.example":               "",
		"s3.aliyuncs.com":                       "",
		"":                                      "",
	} {
		if got := elsewhere(endpoint, ""); !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Errorf("%q: got %q, want %q in it", endpoint, got, want)
		}
	}
}

// At its most verbose, the SDK's log has every header.
func TestTheSDKLogsNothing(t *testing.T) {
	store := &Store{Region: "cn-hangzhou"}
	at, err := store.address("", bucket)
	if err != nil {
		t.Fatal(err)
	}
	b, err := store.bucket(at, sts)
	if err != nil || b.GetConfig().LogLevel != oss.LogOff {
		t.Errorf("log level %d, %v", b.GetConfig().LogLevel, err)
	}
}

func TestUnprintableKeysAreQuoted(t *testing.T) {
	_, store := serve(t, nil)
	at, _ := store.address("", bucket)
	_, err := store.source(at, "e/\x1b[2J\n.csv", "").ReadRange(t.Context(), 0, 4, "")
	if want := `GetObject oss://` + bucket + `/"e/\x1b[2J\n.csv": not found`; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}
