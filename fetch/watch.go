package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/time/rate"
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

// over makes a body reset the watch as it is read, and end it when closed;
// then leave is called.
func (w *watch) over(body io.ReadCloser, leave func()) io.ReadCloser { return &watched{w, body, leave} }

type watched struct {
	watch *watch
	body  io.ReadCloser
	leave func()
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
	defer b.leave()
	b.watch.stop()
	return b.body.Close()
}

// throttle slows a body down to the Fetcher's limit, in pieces so small that
// no connection waits for long.
func (f *Fetcher) throttle(ctx context.Context, body io.ReadCloser) io.ReadCloser {
	if f.Limit == nil {
		return body
	}
	return &throttled{body, ctx, f.Limit}
}

type throttled struct {
	io.ReadCloser
	ctx   context.Context
	limit *rate.Limiter
}

func (t *throttled) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p[:min(len(p), t.limit.Burst())])
	if wait := t.limit.WaitN(t.ctx, n); wait != nil && err == nil {
		err = context.Cause(t.ctx)
	}
	return n, err
}
