package fetch_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"strings"
	"testing"

	"tallyman/fetch"
	"tallyman/verify"
)

const panicMessage = "see https://h.example/a?Signature=CANARY" // the value of the panic

// A panicProvider is a provider and a source of one object. It panics at one step:
// "ask", "ask again" or "read".
type panicProvider struct {
	where string
	size  int64
}

func (b panicProvider) panicAt(where string) {
	if b.where == where {
		panic(errors.New(panicMessage))
	}
}

func (b panicProvider) Export(context.Context, fetch.Ref) (*fetch.Export, error) {
	objects := func(yield func(fetch.Object, error) bool) {
		want := verify.NoPromise()
		want.Size = b.size
		yield(fetch.Object{Name: "a.csv", Want: want, Source: b}, nil)
	}
	return &fetch.Export{State: fetch.Ready, Records: verify.Unknown, Objects: iter.Seq2[fetch.Object, error](objects)}, nil
}

func (b panicProvider) ReadRange(_ context.Context, off, n int64, _ string) (*fetch.Range, error) {
	b.panicAt("ask")
	if off > 0 {
		b.panicAt("ask again")
	}
	want := verify.NoPromise()
	want.Size = b.size
	return &fetch.Range{ReadCloser: io.NopCloser(b), Off: off, Len: n, Want: want}, nil
}

func (b panicProvider) Read(p []byte) (int, error) {
	b.panicAt("read")
	clear(p)
	return len(p), nil
}

func TestAPanicInAnyGoroutineFailsTheAttemptWithoutASecret(t *testing.T) {
	for _, where := range []string{"ask", "ask again", "read"} {
		t.Run(where, func(t *testing.T) {
			f, _ := newFetcher(t, t.TempDir())
			f.Providers = map[string]fetch.Provider{"sls": panicProvider{where, 1 << 20}}
			f.PartSize = 64 << 10
			_, err := f.Fetch(t.Context(), parseRef(t, "sls://cn-hangzhou/project/job"))
			defect, ok := errors.AsType[*fetch.PanicError](err)
			if !ok || strings.Contains(err.Error()+defect.Stack, "CANARY") {
				t.Fatalf("%v, want a PanicError without a secret", err)
			}
			if want := "panic: see https://h.example/a?Signature, in tallyman/fetch_test.panicProvider.panicAt, panic_test.go:"; !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %s", err, want)
			}
			if !strings.Contains(defect.Stack, "panicProvider") {
				t.Errorf("the stack has no frame of the panic: %s", defect.Stack)
			}
		})
	}
}

func TestRecoverCatchesAPanicWithAnyValue(t *testing.T) {
	var none *panicProvider
	for name, do := range map[string]func(){
		"an error":     func() { panic(io.EOF) },
		"nil":          func() { panic(nil) },
		"no memory":    func() { none.panicAt("nil") },
		"a PanicError": func() { panic(&fetch.PanicError{Value: "inner"}) },
	} {
		err := func() (err error) {
			defer fetch.Recover(&err)
			do()
			return nil
		}()
		if defect, ok := errors.AsType[*fetch.PanicError](err); !ok || !strings.Contains(defect.Where, "tallyman/fetch_test.") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
