package fetch

import (
	"context"
	"io"

	"tallyman/verify"
)

// decoded is what a decoding found out.
type decoded struct {
	codec  string
	summed bool
}

// decode decodes an object whose size was not promised.
func decode(wire io.Reader, object named, create func(name, declared string) (io.WriteCloser, error)) (decoded, error) {
	d := &decoding{object: object, size: verify.Unknown, create: create, stop: func() {}, workers: 1}
	err := d.decode(context.Background(), wire)
	if err != nil {
		return decoded{}, err
	}
	return decoded{d.codec, d.summed}, nil
}
