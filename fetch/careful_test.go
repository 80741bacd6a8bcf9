package fetch

import (
	"errors"
	"io"
	"testing"
)

type panicking struct{}

func (panicking) Read([]byte) (int, error) { panic("a decoder that nobody foresaw") }

func TestADecoderThatPanicsAheadOfItsReaderIsOurFault(t *testing.T) {
	ahead := readAhead(panicking{}, 2*small)
	defer ahead.Close()
	_, err := io.ReadAll(ahead)
	if _, ok := errors.AsType[*PanicError](err); !ok || !isOwn(err) {
		t.Errorf("%v, want a defect of our own", err)
	}
}
