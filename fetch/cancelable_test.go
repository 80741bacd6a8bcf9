package fetch

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestReadingEndsWithItsContextThoughThereIsMore(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	r := cancelable{ctx, strings.NewReader("here all along")}
	if _, err := io.ReadFull(r, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	cancel(ErrDrained)
	if rest, err := io.ReadAll(r); len(rest) > 0 || !errors.Is(err, ErrDrained) {
		t.Errorf("%q, %v", rest, err)
	}
}
