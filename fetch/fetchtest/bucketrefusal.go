package fetchtest

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"tallyman/fetch"
	"tallyman/fetch/hostguard"
)

// read reads a range of an object that was not listed, and returns the error.
func (s BucketStore) read(t *testing.T, key string) error {
	t.Helper()
	answer, err := s.Source(key).ReadRange(t.Context(), 4, 4, "")
	if err == nil {
		answer.Close()
	}
	return err
}

// recorded compares what the answers in testdata/*.txtar become with what the
// files want. The flag -update writes that anew.
func (b Bucket) recorded(t *testing.T) {
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatal("no recorded answers", err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) { b.replay(t, name) })
	}
}

func (b Bucket) replay(t *testing.T, name string) {
	archive, err := txtar.ParseFile(name)
	if err != nil || len(archive.Files) == 0 || archive.Files[0].Name != "answer" {
		t.Fatalf("%s: %v, want an answer first", name, err)
	}
	want := ""
	if len(archive.Files) > 1 {
		want = string(archive.Files[1].Data)
	}
	var body *closeRecorder
	err = b.New("", &http.Client{Transport: Transport(func(req *http.Request) (*http.Response, error) {
		resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(string(archive.Files[0].Data))), req)
		if err == nil {
			body = &closeRecorder{ReadCloser: resp.Body}
			resp.Body = body
		}
		return resp, err
	})}).read(t, "a")
	if _, ok := errors.AsType[*fetch.CallError](err); !ok {
		t.Fatalf("got %v, want a CallError", err)
	}
	got := Describe(t, nil, err)
	if strings.Contains(got, Canary) {
		t.Errorf("a secret in\n%s", got)
	}
	if !body.closed {
		t.Error("the body was not closed")
	}
	if *Update {
		archive.Files = append(archive.Files[:1], txtar.File{Name: "want", Data: []byte(got)})
		if err := os.WriteFile(name, txtar.Format(archive), 0o666); err != nil {
			t.Fatal(err)
		}
	} else if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("%s(-want +got)\n%s", archive.Comment, diff)
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

func (b Bucket) secrets(t *testing.T) {
	for name, failure := range map[string]error{
		"of a connection": errors.New("read tcp: connection reset"),
		"with a URL":      errors.New(`proxy https://u:` + Canary + `@h/?Signature=` + Canary + ` refused`),
	} {
		err := b.New("", &http.Client{Transport: Transport(func(*http.Request) (*http.Response, error) { return nil, failure })}).read(t, "a")
		if !errors.Is(err, fetch.ErrTemporary) || strings.Contains(err.Error(), Canary) || !strings.HasPrefix(err.Error(), "GetObject "+b.location()+"a: ") {
			t.Errorf("%s: got %v, want ErrTemporary without a secret", name, err)
		}
	}
}

func (b Bucket) hosts(t *testing.T) {
	hosts := &hostguard.Policy{Domains: []string{"example.com"}}
	if _, err := Names(b.New("http://127.0.0.1:1", hosts.Client()).List(t.Context(), "")); !errors.Is(err, hostguard.ErrHost) {
		t.Errorf("got %v, want ErrHost", err)
	}
}

// The SDKs would read a refusal to its end.
func (b Bucket) endlessRefusal(t *testing.T) {
	endless := &closeRecorder{ReadCloser: io.NopCloser(endlessReader{})}
	store := b.New("", &http.Client{Transport: Transport(func(req *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: http.StatusForbidden, Header: http.Header{}, Body: endless, ContentLength: -1, Request: req}, nil
	})})
	began := time.Now()
	_, err := Names(store.List(t.Context(), ""))
	if took := time.Since(began); !errors.Is(err, fetch.ErrAuth) || !endless.closed || took > 10*time.Second {
		t.Errorf("got %v, closed: %t, in %v, want ErrAuth", err, endless.closed, took)
	}
}

type endlessReader struct{}

func (endlessReader) Read(p []byte) (int, error) { return len(p), nil }

func (b Bucket) unprintable(t *testing.T) {
	err := b.Serve(t, nil).Open(0).read(t, "e/\x1b[2J\n.csv")
	if want := "GetObject " + b.location() + `"e/\x1b[2J\n.csv": not found`; !errors.Is(err, fetch.ErrNotFound) || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}
