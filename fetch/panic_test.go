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

const canarySecret = "see https://h.example/a?Signature=CANARY" // as what is panicked with

// A bomb is a provider, and a source, that panics where it is to.
type bomb struct {
	where string
	size  int64
}

func (b bomb) goesOff(where string) {
	if b.where == where {
		panic(errors.New(canarySecret))
	}
}

func (b bomb) Export(context.Context, fetch.Ref) (*fetch.Export, error) {
	objects := func(yield func(fetch.Object, error) bool) {
		b.goesOff("list")
		want := verify.NoPromise()
		want.Size = b.size
		yield(fetch.Object{Name: "a.csv", Want: want, Source: b}, nil)
	}
	return &fetch.Export{State: fetch.Ready, Records: verify.Unknown, Objects: iter.Seq2[fetch.Object, error](objects)}, nil
}

func (b bomb) ReadRange(_ context.Context, off, n int64, _ string) (*fetch.Range, error) {
	b.goesOff("ask")
	if off > 0 {
		b.goesOff("ask again")
	}
	want := verify.NoPromise()
	want.Size = b.size
	return &fetch.Range{ReadCloser: io.NopCloser(b), Off: off, Len: n, Want: want}, nil
}

func (b bomb) Read(p []byte) (int, error) {
	b.goesOff("read")
	clear(p)
	return len(p), nil
}

func TestAPanicInAnyGoroutineOfAnAttemptIsItsErrorAndTellsNoSecret(t *testing.T) {
	for _, where := range []string{"ask", "ask again", "read"} {
		t.Run(where, func(t *testing.T) {
			f, _ := newFetcher(t, t.TempDir())
			f.Providers = map[string]fetch.Provider{"sls": bomb{where, 1 << 20}}
			f.PartSize = 64 << 10
			_, err := f.Fetch(t.Context(), parseRef(t, "sls://cn-hangzhou/project/job"))
			defect, ok := errors.AsType[*fetch.PanicError](err)
			if !ok || strings.Contains(err.Error()+defect.Stack, "CANARY") {
				t.Fatalf("%v, want a defect without a secret", err)
			}
			if want := "panic: see https://h.example/a?Signature, in tallyman/fetch_test.bomb.goesOff, panic_test.go:"; !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %s", err, want)
			}
			if !strings.Contains(defect.Stack, "bomb") {
				t.Errorf("the stack does not show where: %s", defect.Stack)
			}
		})
	}
}

func TestAPanicIsRecoveredWhateverItIsAbout(t *testing.T) {
	var none *bomb
	for name, do := range map[string]func(){
		"an error":    func() { panic(io.EOF) },
		"nil":         func() { panic(nil) },
		"no memory":   func() { none.goesOff("nil") },
		"its own end": func() { panic(&fetch.PanicError{Value: "inner"}) },
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
