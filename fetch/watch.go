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

// A watch ends a request that brings no byte for too long while one waits for
// it, or that comes at too slow a pace. What is done with the bytes may take its
// time.
type watch struct {
	limit time.Duration
	timer *time.Timer
	ctx   context.Context
	end   context.CancelCauseFunc

	pace *pace
	cuts int // of the pace, before the request
}

func newWatch(ctx context.Context, limit time.Duration, pace *pace) (context.Context, *watch) {
	ctx, end := context.WithCancelCause(ctx)
	w := &watch{limit: limit, ctx: ctx, end: end, pace: pace, cuts: pace.wait(+1)}
	w.timer = time.AfterFunc(limit, func() {
		end(&transferError{fmt.Sprintf("nothing came for %v", limit), errStalled})
	})
	return ctx, w
}

// answered tells that the answer has come, or that none will.
func (w *watch) answered() {
	w.timer.Stop()
	w.pace.take(0)
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

// over makes a body that has come be watched as it is read, until it is closed;
// then leave is called.
func (w *watch) over(body io.ReadCloser, leave func()) io.ReadCloser {
	return &watched{w, body, leave}
}

type watched struct {
	watch *watch
	body  io.ReadCloser
	leave func()
}

func (b *watched) Read(p []byte) (int, error) {
	b.watch.timer.Reset(b.watch.limit)
	b.watch.pace.wait(+1)
	n, err := b.body.Read(p)
	b.watch.pace.take(n)
	b.watch.timer.Stop()
	switch {
	case err == nil:
		err = b.watch.pace.cut(b.watch.cuts)
	case !errors.Is(err, io.EOF):
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
func (f *Fetcher) throttle(ctx context.Context, body io.ReadCloser, pace *pace) io.ReadCloser {
	if f.Limit == nil {
		return body
	}
	return &throttled{body, ctx, f.Limit, pace}
}

type throttled struct {
	io.ReadCloser
	ctx   context.Context
	limit *rate.Limiter
	pace  *pace
}

// Read pays for what it has read. It waits even where ctx will end before it
// is its turn.
func (t *throttled) Read(p []byte) (int, error) {
	if t.limit.Limit() != rate.Inf {
		p = p[:min(len(p), max(1, t.limit.Burst()))]
	}
	n, err := t.ReadCloser.Read(p)
	t.pace.throttle(+1)
	defer t.pace.throttle(-1)
	if ended := Sleep(t.ctx, t.limit.ReserveN(time.Now(), n).Delay()); ended != nil {
		return n, ended
	}
	return n, err
}
