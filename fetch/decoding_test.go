package fetch

import (
	"bytes"
	"context"
	"io"

	"tallyman/verify"
)

// decoded is what a decoding found out.
type decoded struct {
	codec  string
	summed bool
}

// decode decodes an object whose size was promised if it is all in memory.
func decode(wire io.Reader, object named, create func(name, declared string) (io.WriteCloser, error)) (decoded, error) {
	size := int64(verify.Unknown)
	whole, ok := wire.(*bytes.Reader)
	if ok {
		size = whole.Size()
	}
	d := &decoding{object: object, size: size, whole: func() (io.ReaderAt, int64, error) { return whole, size, nil }, create: create, stop: func() {}, spoil: func() {}, workers: 1}
	err := d.decode(context.Background(), wire)
	if err != nil {
		return decoded{}, err
	}
	return decoded{d.codec, d.summed}, nil
}
