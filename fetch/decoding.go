package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"tallyman/fetch/internal/decode"
	"tallyman/verify/archive"
)

// Keep says what of an object goes into the bag. What is not kept is decoded
// all the same, to check and to count it.
type Keep string

// What may be kept.
const (
	KeepContent Keep = "content"
	KeepWire    Keep = "wire" // the bytes as transferred
	KeepBoth    Keep = "both"
)

// decode decodes what wire transfers of an object into the files of partial. It
// reads wire to its end, unless it returns a local error. stop ends the
// transfer.
func (a *attempt) decode(ctx context.Context, object target, partial *archive.Partial, wire io.Reader, stop func()) (decode.Result, error) {
	result, err := decode.Run(ctx, stoppableWire{wire, stop}, decode.Target{
		Names:      object.names,
		Size:       partial.Want().Size,
		Coded:      object.Encoding,
		Hashed:     object.Want.MD5 != "" || object.Want.CRC64 != "" || object.Want.ETag != "",
		KeepWire:   a.Keep == KeepWire,
		Workers:    a.parallel(),
		Limits:     a.Limits,
		MaxDecoded: a.MaxDecoded,
		Output:     output{a, object, partial},
		Recover:    Recover,
	})
	if page, ok := errors.AsType[*decode.PageError](err); ok {
		partial.Discard()
		err = fmt.Errorf("decode %s: not the data but an error page: %w", object.Name, pageError(object.Name, page))
	}
	return result, err
}

// A stoppableWire is a wire whose transfer can be stopped.
type stoppableWire struct {
	io.Reader
	stop func()
}

func (w stoppableWire) Close() error {
	w.stop()
	return nil
}

// An output is where the content of an object goes.
type output struct {
	attempt *attempt
	object  target
	*archive.Partial
}

// Create makes a content file, or only counts its records if the content is not
// kept.
func (o output) Create(name, declared string) (io.WriteCloser, error) {
	create := o.Partial.Create
	if o.attempt.Keep == KeepWire {
		create = o.CreateCounted
	}
	file, err := create(name, declared)
	return file, nameError(err)
}

// Reserve waits for disk space for content of so many bytes.
func (o output) Reserve(ctx context.Context, content int64) error {
	return nameError(o.attempt.reserveContent(ctx, o.object, o.Partial, content))
}

// nameError makes ErrUnsafeName of a name that the archive can't hold. The
// archive's own error is not wrapped, since that would be a failure of the disk.
func nameError(err error) error {
	if errors.Is(err, archive.ErrName) {
		return fmt.Errorf("%w: %s", ErrUnsafeName, err.Error())
	}
	return err
}

// pageError makes a *CallError of an error page that came in place of an object.
func pageError(object string, page *decode.PageError) error {
	refused := &CallError{Call: "read " + object, Status: http.StatusOK, Kind: ErrCorrupt}
	said := StoreError{Code: printableText(page.Code), Message: printableText(page.Message), RequestID: printableText(page.RequestID)}
	if page.Format != "JSON" {
		said = ParseStoreError(page.Body)
	}
	if said.Code != "" || page.Format == "XML" {
		refused.Code, refused.Message, refused.RequestID = said.Code, said.Message, said.RequestID
		if kind := said.Kind(); kind != nil {
			refused.Kind = kind
		}
		return refused
	}
	refused.Message = "a page of HTML"
	if page.Title != "" {
		refused.Message += fmt.Sprintf(", %q", printableText(strings.ToValidUTF8(page.Title, "?")))
	}
	return refused
}
