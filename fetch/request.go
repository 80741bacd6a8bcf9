package fetch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"tallyman/verify"
)

// acquireSlot waits for a slot, without which no request is made. The caller
// calls release once the answer is closed.
func (a *attempt) acquireSlot(ctx context.Context) (release func(), err error) {
	select {
	case a.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	release = sync.OnceFunc(func() { <-a.slots })
	if err := cmp.Or(a.drained(), context.Cause(ctx)); err != nil { // it may have ended during the wait, too
		release()
		return nil, err
	}
	return release, nil
}

// request asks the store for a range of the version that is being received, and
// holds what the store says of the object to what was promised before.
func (t *transfer) request(ctx context.Context, off, n int64) (*Range, error) {
	release, err := t.acquireSlot(ctx)
	if err != nil {
		return nil, err
	}
	bounded, end := context.WithCancelCause(ctx)
	limit := cmp.Or(t.IdleTimeout, 30*time.Second)
	timer := time.AfterFunc(limit, func() {
		end(&transferError{fmt.Sprintf("nothing came for %v", limit), errIdle})
	})
	slow, _ := t.speed.update(+1, 0, 0)
	idle := &idleTimeout{limit, timer, bounded, end, t.speed, slow}
	answer, err := t.source.ReadRange(bounded, off, n, t.partial.Version())
	timer.Stop()
	t.speed.update(-1, 0, 0)
	if err != nil {
		defer release()
		defer end(nil)
		if errors.Is(err, ErrChanged) {
			t.partial.Discard()
		}
		return nil, idle.cause(err)
	}
	answer.ReadCloser = &timedBody{answer.ReadCloser, idle, release}
	if t.Limit != nil {
		answer.ReadCloser = &throttledBody{answer.ReadCloser, bounded, t.Limit, t.speed}
	}
	unsized := answer.Len != verify.Unknown && answer.Want.Size == verify.Unknown && t.partial.Want().Size == verify.Unknown
	if unsized && n != 0 { // a range of nobody knows how much: an answer without one may tell
		answer.Close()
		return t.request(ctx, off, 0)
	}
	err = cmp.Or(t.partial.AddPromise(answer.Want), t.checkSize(t.partial.Want().Size))
	switch {
	case err != nil:
	case unsized:
		err = &CallError{Call: "read " + t.object.Name, Message: "the store does not say how large the file is", Kind: ErrRefused}
	case answer.Off > off:
		err = &transferError{fmt.Sprintf("read at %d", off), fmt.Errorf("the store answered from %d on", answer.Off)}
	case answer.Off < off: // it has ignored the range
		t.ignored.Add(1)
		err = t.skip(answer, off-answer.Off)
	}
	if err != nil {
		answer.Close()
		return nil, err
	}
	return answer, nil
}

// skip drops the next n bytes of an answer. None of them can be kept, so a
// drain closes it. It never fails with io.EOF, which to the reader of a wire is
// no failure.
func (t *transfer) skip(answer *Range, n int64) error {
	defer t.closeOnDrain(answer)()
	_, err := io.CopyN(io.Discard, answer, n)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return &transferError{fmt.Sprintf("skip %d bytes", n), err}
	}
	return nil
}

// How often a request is made again while it brings nothing, and how long the
// first wait is. The wait doubles.
const (
	maxTries         = 4
	defaultRetryWait = 200 * time.Millisecond
	maxRetryAfter    = 10 * time.Second // a store that asks for more ends the attempt
)

// retry calls do again after a failure that may pass, until it has failed
// maxTries times in a row without receiving anything. What comes too slowly does
// not count as received, or retry would never end.
func (t *transfer) retry(ctx context.Context, received func() int64, do func() error) error {
	first := cmp.Or(t.retryWait, defaultRetryWait)
	failures, wait := 0, first
	for {
		before := received()
		err := do()
		if err == nil || !retryable(err) {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := t.drained(); err != nil {
			return err
		}
		if _, slow := errors.AsType[*SlowError](err); !slow && received() > before {
			failures, wait = 0, first
		}
		asked := RetryAfter(err)
		if failures++; failures == maxTries || asked > maxRetryAfter {
			return err
		}
		t.report(Progress{Note: fmt.Sprintf("%v: trying again", err)})
		soft, stop := t.softly(ctx)
		ended := Sleep(soft, max(wait, asked))
		stop()
		if ended != nil {
			return ended
		}
		wait *= 2
	}
}
