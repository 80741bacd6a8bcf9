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

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"tallyman/fetch"
)

// Update says whether what testdata wants is to be written anew.
var Update = flag.Bool("update", false, "write what testdata should want")

// A Suite tests one provider for what all of them promise.
type Suite struct {
	Ref string // a reference that it answers for
	Dir string // of the recorded answers; "" means testdata

	// New makes the provider: its calls go through that client, it opens URLs
	// by Open, and signs with the keys of this package.
	New func(*http.Client) fetch.Provider
}

// Run runs the suite. The recorded answers are in Dir/*.txtar of the package
// under test. Each of these files has a comment, then the answers to the
// provider's calls in turn, as they came over the wire (the last one answers all
// further calls too), and then what Describe has to say of the outcome. The flag
// -update writes the latter anew.
func (s Suite) Run(t *testing.T) {
	t.Run("recorded answers", s.recorded)
	t.Run("a reference of another service is refused without a call", s.foreign)
	t.Run("an unreadable answer is a temporary failure without a secret", func(t *testing.T) { synctest.Test(t, s.unreadable) })
	t.Run("a cancelled context ends the call", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := s.export(ctx, t, func(req *http.Request) (*http.Response, error) {
			cancel()
			<-req.Context().Done()
			return nil, req.Context().Err()
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
	})
	t.Run("a service that can't be reached is a temporary failure", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, err := s.export(t.Context(), t, func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF })
			if !errors.Is(err, fetch.ErrTemporary) {
				t.Errorf("got %v, want ErrTemporary", err)
			}
		})
	})
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
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			want, answers := "", archive.Files
			if last := len(answers) - 1; last >= 0 && answers[last].Name == "want" {
				want, answers = string(answers[last].Data), answers[:last:last]
			}
			if len(answers) == 0 {
				t.Fatalf("%s has no recorded answer", name)
			}
			calls := 0
			export, err := s.export(t.Context(), t, func(req *http.Request) (*http.Response, error) {
				answer := answers[min(calls, len(answers)-1)]
				calls++
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
			} else if diff := gocmp.Diff(want, got); diff != "" {
				t.Errorf("%s(-want +got)\n%s", archive.Comment, diff)
			}
		})
	}
}

func (s Suite) foreign(t *testing.T) {
	provider := s.New(&http.Client{Transport: Transport(func(*http.Request) (*http.Response, error) {
		t.Error("the service was called")
		return nil, io.ErrUnexpectedEOF
	})})
	for _, other := range []string{
		"sls://r/project/job", "dms://r/1/k", "dbs://r/instance/task", "dis://r/task/file", "oss://bucket/prefix", "obs://bucket/prefix", "https://h.example/f",
		"foreign://region/place/job",
	} {
		ref, err := fetch.ParseRef(other)
		if ref.Scheme() == ParseRef(t, s.Ref).Scheme() || err != nil {
			continue // its own, or of a provider that is not in this program
		}
		if _, err := provider.Export(t.Context(), ref); err == nil || !strings.Contains(err.Error(), other) {
			t.Errorf("%s: got %v, want an error that names it", other, err)
		}
	}
}

// A scheme that no provider answers for.
func init() {
	fetch.RegisterScheme(fetch.Scheme{Name: "foreign", Segments: []fetch.Segment{{Name: "REGION"}, {Name: "PLACE"}, {Name: "JOB"}}})
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
		if testing.Short() && len(body) > 1<<20 {
			continue
		}
		for _, status := range []int{http.StatusOK, http.StatusBadGateway} {
			_, err := s.export(t.Context(), t, Answering(status, body))
			if !errors.Is(err, fetch.ErrTemporary) || strings.Contains(err.Error(), Canary) {
				t.Errorf("%s with %d: got %v, want ErrTemporary without a secret", name, status, err)
			}
		}
	}
}
