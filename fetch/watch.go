package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// errStalled ends a request whose store sends nothing any more.
var errStalled = errors.New("the store has stalled")

// A watch ends a request that brings no byte for too long.
type watch struct {
	limit time.Duration
	timer *time.Timer
	ctx   context.Context
	end   context.CancelCauseFunc
}

func newWatch(ctx context.Context, limit time.Duration) (context.Context, *watch) {
	ctx, end := context.WithCancelCause(ctx)
	w := &watch{limit: limit, ctx: ctx, end: end}
	w.timer = time.AfterFunc(limit, func() {
		end(&transferError{fmt.Sprintf("nothing came for %v", limit), errStalled})
	})
	return ctx, w
}

// cause is why an error came about, if the watch knows better.
func (w *watch) cause(err error) error {
	if cause := context.Cause(w.ctx); err != nil && errors.Is(cause, errStalled) {
		return cause
	}
	return err
}

func (w *watch) stop() {
	w.timer.Stop()
	w.end(nil)
}

// over makes a body reset the watch as it is read, and end it when closed.
func (w *watch) over(body io.ReadCloser) io.ReadCloser { return &watched{w, body} }

type watched struct {
	watch *watch
	body  io.ReadCloser
}

func (b *watched) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	if n > 0 {
		b.watch.timer.Reset(b.watch.limit)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = b.watch.cause(err)
	}
	return n, err
}

func (b *watched) Close() error {
	b.watch.stop()
	return b.body.Close()
}
