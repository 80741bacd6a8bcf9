// Package fetchtest is the suite that every provider of export jobs passes,
// and what their tests have in common. What a provider is to say to each
// answer of its service is recorded in its testdata, one txtar file each.
package fetchtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"tallyman/fetch"
)

// Keys that a provider under test signs with. Whatever is shown or kept must
// not hold Canary, which the secret ones end in.
const (
	KeyID  = "LTAIid"
	Secret = "SECRET" + Canary
	Token  = "CAISTOKEN" + Canary + "=="
	Canary = "canary"
)

// ParseRef reads a reference that is known to be good.
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

// A Transport answers each request by itself.
type Transport func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f Transport) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// Answering answers each request alike. The headers are names and values in
// turn.
func Answering(status int, body string, headers ...string) Transport {
	return func(req *http.Request) (*http.Response, error) {
		resp := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: req}
		for i := 0; i < len(headers); i += 2 {
			resp.Header.Set(headers[i], headers[i+1])
		}
		return resp, nil
	}
}

// Object is the one object of an export.
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

// Describe writes down all of an export, or of an error, that a caller can
// see, but for the sources.
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
