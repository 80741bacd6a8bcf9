package fetchtest

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/rogpeppe/go-internal/txtar"

	"tallyman/fetch"
)

// Update is whether recorded answers are to be written anew.
var Update = flag.Bool("update", false, "write what testdata should want")

// A Suite holds one provider to what all of them promise.
type Suite struct {
	Ref string // a reference that it answers for
	Dir string // of the recorded answers; "" means testdata

	// New makes the provider: its calls go through that client, it opens URLs
	// by Open, and signs with the keys of this package.
	New func(*http.Client) fetch.Provider
}

// Run runs the suite. The recorded answers are Dir/*.txtar of the
// package under test: a comment, the answers to its calls in turn as they came
// over the wire, of which the last is to all further calls too, and what
// Describe is to say of what the provider makes of them. The flag -update
// writes the latter.
func (s Suite) Run(t *testing.T) {
	t.Run("recorded answers", s.recorded)
	t.Run("a reference of another service is refused unasked", s.foreign)
	t.Run("an answer that is none may pass, and tells no secret", timeless(s.unreadable))
	t.Run("what ends the caller's context ends the call", s.cancelled)
	t.Run("a service that can't be reached is a temporary failure", timeless(s.unreachable))
}

// timeless runs a test in a time of its own, in which no wait takes long.
func timeless(test func(*testing.T)) func(*testing.T) {
	return func(t *testing.T) { synctest.Test(t, test) }
}

// export asks a provider for an export and its objects, which some list only
// as they are ranged over.
func (s Suite) export(ctx context.Context, t testing.TB, transport Transport) (*fetch.Export, error) {
	export, err := s.New(&http.Client{Transport: transport}).Export(ctx, ParseRef(t, s.Ref))
	if err != nil {
		return nil, err
	}
	_, err = objects(export)
	return export, err
}

func (s Suite) recorded(t *testing.T) {
	names, err := filepath.Glob(filepath.Join(cmp.Or(s.Dir, "testdata"), "*.txtar"))
	if err != nil || len(names) == 0 {
		t.Fatal("no recorded answers", err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) { s.replay(t, name) })
	}
}

func (s Suite) replay(t *testing.T, name string) {
	archive, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	want, answers := "", archive.Files
	if last := len(answers) - 1; answers[last].Name == "want" {
		want, answers = string(answers[last].Data), answers[:last:last]
	}
	made := 0
	export, err := s.export(t.Context(), t, func(req *http.Request) (*http.Response, error) {
		answer := answers[min(made, len(answers)-1)]
		made++
		return http.ReadResponse(bufio.NewReader(bytes.NewReader(answer.Data)), req)
	})
	got := Describe(t, export, err)
	if strings.Contains(got, Canary) {
		t.Errorf("a secret in\n%s", got)
	}
	if *Update {
		archive.Files = append(answers, txtar.File{Name: "want", Data: []byte(got)})
		if err := os.WriteFile(name, txtar.Format(archive), 0o666); err != nil {
			t.Fatal(err)
		}
	} else if got != want {
		t.Errorf("%sgot\n%s\nwant\n%s", archive.Comment, got, want)
	}
}

func (s Suite) foreign(t *testing.T) {
	provider := s.New(&http.Client{Transport: Transport(func(*http.Request) (*http.Response, error) {
		t.Error("it was asked for")
		return nil, io.ErrUnexpectedEOF
	})})
	for _, ref := range []string{"sls://r/project/job", "dms://r/1/k", "oss://bucket/prefix", "https://h.example/f"} {
		if strings.HasPrefix(ref, s.Ref[:4]) {
			continue
		}
		if _, err := provider.Export(t.Context(), ParseRef(t, ref)); err == nil || !strings.Contains(err.Error(), ref) {
			t.Errorf("%s: got %v", ref, err)
		}
	}
}

func (s Suite) unreadable(t *testing.T) {
	for name, body := range map[string]string{
		"nothing":        "",
		"a page":         "<html><title>busy</title> https://h/f?Signature=" + Canary,
		"cut short":      `{"status":"SUCC`,
		"the wrong kind": `["` + Secret + `"]`,
		"a null":         "null",
		"too long":       strings.Repeat(" ", 2<<20),
	} {
		for _, status := range []int{http.StatusOK, http.StatusBadGateway} {
			_, err := s.export(t.Context(), t, Answering(status, body))
			if !errors.Is(err, fetch.ErrTemporary) || strings.Contains(err.Error(), Canary) {
				t.Errorf("%s with %d: got %v", name, status, err)
			}
		}
	}
}

func (s Suite) cancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	_, err := s.export(ctx, t, func(req *http.Request) (*http.Response, error) {
		cancel()
		<-req.Context().Done()
		return nil, req.Context().Err()
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func (s Suite) unreachable(t *testing.T) {
	_, err := s.export(t.Context(), t, func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF })
	if !errors.Is(err, fetch.ErrTemporary) {
		t.Errorf("got %v, want ErrTemporary", err)
	}
}
