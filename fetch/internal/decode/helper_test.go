package decode

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"tallyman/verify"
)

// A file is an Output with one content file, in memory.
type file struct {
	bytes.Buffer
	name, declared string
	closed         bool
	createErr, err error // of Create and Write
	max            int   // bytes that it takes, or 0 for all
	wire           *bytes.Reader
}

var errFull = errors.New("the file is full")

func (f *file) Create(name, declared string, _ bool) (io.WriteCloser, error) {
	f.name, f.declared = name, declared
	return f, f.createErr
}

func (f *file) ReaderAt() (io.ReaderAt, int64, error) {
	if f.wire == nil {
		return nil, 0, errors.New("the wire is not in memory")
	}
	return f.wire, f.wire.Size(), nil
}

func (f *file) Reserve(context.Context, int64) error { return nil }

func (f *file) Write(p []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	if f.max > 0 && f.Len()+len(p) > f.max {
		return 0, errFull
	}
	return f.Buffer.Write(p)
}

func (f *file) Close() error {
	f.closed = true
	return nil
}

// An outcome is the part of a Result that tests compare.
type outcome struct {
	codec   string
	checked bool
}

// decode decodes an object into out. Its size is known if all of it is in
// memory.
func decode(wire io.Reader, names Names, out *file) (outcome, error) {
	t := Target{Names: names, Size: verify.Unknown, Workers: 1, Output: out, Recover: recoverPanic}
	if b, ok := wire.(*bytes.Reader); ok {
		t.Size, out.wire = b.Size(), b
	}
	result, err := Run(context.Background(), io.NopCloser(wire), t)
	if err != nil {
		return outcome{}, err
	}
	return outcome{result.Codec, result.Checked}, nil
}

// decodeAll decodes an object with the name a.csv.
func decodeAll(wire io.Reader) (outcome, *file, error) {
	f := &file{}
	d, err := decode(wire, Names{Object: "a.csv", Base: "a.csv", Content: "csv"}, f)
	return d, f, err
}

// decodeAs decodes an object with the given name.
func decodeAs(name string, encoded []byte) (outcome, []byte, error) {
	f := &file{}
	d, err := decode(bytes.NewReader(encoded), Names{Object: name, Base: name}, f)
	return d, f.Bytes(), err
}

var errPanicked = errors.New("panicked")

func recoverPanic(err *error) {
	if x := recover(); x != nil {
		*err = fmt.Errorf("%w: %v", errPanicked, x)
	}
}

func isOneOf(err error, kinds []error) bool {
	return slices.ContainsFunc(kinds, func(kind error) bool { return errors.Is(err, kind) })
}
