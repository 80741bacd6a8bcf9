// Package fetchtest has what the tests of several packages share.
//
//   - Suite is what every provider of export jobs passes. What a provider makes
//     of each answer of its service is recorded in its testdata, one txtar file
//     for each.
//   - Bucket is what every store of objects passes, against a server of its own
//     tests, and Rclone what it passes against rclone serve s3.
//   - FuzzObjects and FuzzJobs fuzz the answers to listings.
//   - Memory is a provider whose objects are in memory.
//   - Redis is a redis-server of its own.
package fetchtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"tallyman/fetch"
)

// A provider under test signs with these keys. The secret ones end in Canary,
// which must be in nothing that is shown or kept.
const (
	KeyID  = "LTAIid"
	Secret = "SECRET" + Canary
	Token  = "CAISTOKEN" + Canary + "=="
	Canary = "canary"
)

// ParseRef parses a reference, and ends the test if that fails.
func ParseRef(t testing.TB, s string) fetch.Ref {
	t.Helper()
	ref, err := fetch.ParseRef(s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// Opened is a Source that remembers the URL it was opened with, and reads
// nothing.
type Opened string

// ReadRange fails.
func (Opened) ReadRange(context.Context, int64, int64, string) (*fetch.Range, error) {
	return nil, errors.ErrUnsupported
}

// Open opens a URL as Opened.
func Open(rawURL string) (fetch.Source, error) { return Opened(rawURL), nil }

// A ProviderFunc is a provider that is one function.
type ProviderFunc func(context.Context, fetch.Ref) (*fetch.Export, error)

// Export implements fetch.Provider.
func (f ProviderFunc) Export(ctx context.Context, ref fetch.Ref) (*fetch.Export, error) {
	return f(ctx, ref)
}

// A Transport answers each request by itself.
type Transport func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f Transport) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// Answering answers each request alike. The headers are names and values in
// turn.
func Answering(status int, body string, headers ...string) Transport {
	return func(req *http.Request) (*http.Response, error) {
		resp := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: req}
		for i := 0; i < len(headers); i += 2 {
			resp.Header.Set(headers[i], headers[i+1])
		}
		return resp, nil
	}
}

// Object returns the object of an export that has exactly one.
func Object(t testing.TB, export *fetch.Export) fetch.Object {
	t.Helper()
	all, err := objects(export)
	if err != nil || len(all) != 1 {
		t.Fatalf("got %d objects and %v, want one", len(all), err)
	}
	return all[0]
}

func objects(export *fetch.Export) (all []fetch.Object, err error) {
	if export.Objects == nil {
		return nil, nil
	}
	for object, err := range export.Objects {
		if err != nil {
			return nil, err
		}
		all = append(all, object)
	}
	return all, nil
}

// Describe returns all that a caller sees of an export or of an error, as text.
// It leaves out the sources of objects.
func Describe(t testing.TB, export *fetch.Export, err error) string {
	t.Helper()
	if call, ok := errors.AsType[*fetch.CallError](err); ok {
		return fmt.Sprintf("%v\nkind: %v\nafter: %v\n", err, call.Kind, call.RetryAfter)
	}
	if err != nil {
		return err.Error() + "\n"
	}
	shown := struct {
		*fetch.Export
		Objects []fetch.Object
	}{Export: export}
	if shown.Objects, err = objects(export); err != nil {
		return Describe(t, nil, err)
	}
	for i := range shown.Objects {
		shown.Objects[i].Source = nil
	}
	b, err := json.MarshalIndent(shown, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b) + "\n"
}

// Recorded returns the body of the first recorded answer in each file that
// matches a pattern.
func Recorded(t testing.TB, pattern string) (bodies []string) {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		_, body, _ := strings.Cut(string(archive.Files[0].Data), "\n\n")
		bodies = append(bodies, body)
	}
	return bodies
}

// ReadAll reads n bytes of an object from off on, also where the answer begins
// before that.
func ReadAll(t testing.TB, o fetch.Object, off, n int64) string {
	t.Helper()
	answer, err := o.Source.ReadRange(t.Context(), off, n, "")
	if err != nil {
		t.Fatalf("%s: %v", o.Name, err)
	}
	defer answer.Close()
	b, err := io.ReadAll(answer)
	if err != nil || answer.Off > off {
		t.Fatalf("%s: %v, from %d on", o.Name, err, answer.Off)
	}
	return string(b[off-answer.Off:])
}
