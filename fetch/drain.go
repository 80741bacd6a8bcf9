package fetch

import (
	"context"
	"errors"
	"io"
	"iter"
	"sync"
	"sync/atomic"
)

// drained is ErrDrained once f drains.
func (f *Fetcher) drained() error {
	select {
	case <-f.Drain:
		return ErrDrained
	default:
		return nil
	}
}

// onDrain calls do once f drains, unless cancel is called before. When cancel
// returns, do has ended or will not begin.
func (f *Fetcher) onDrain(do func()) (cancel func()) {
	drain := f.Drain
	if drain == nil {
		return func() {}
	}
	var once sync.Once
	over := make(chan struct{})
	go func() {
		select {
		case <-drain:
			once.Do(do)
		case <-over:
		}
	}()
	return func() {
		once.Do(func() {})
		close(over)
	}
}

// closeOnDrain is for an answer while none of what it brings can be kept.
func (f *Fetcher) closeOnDrain(answer io.Closer) (cancel func()) {
	return f.onDrain(func() { answer.Close() })
}

// softContext makes a context that ends with ErrDrained once f drains: for
// what costs nothing to do again.
func (f *Fetcher) softContext(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, end := context.WithCancelCause(ctx)
	cancel := f.onDrain(func() { end(ErrDrained) })
	return ctx, func() {
		cancel()
		end(nil)
	}
}

// listed yields objects until f drains: then ErrDrained in place of the next.
func (f *Fetcher) listed(objects iter.Seq2[Object, error]) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		for object, err := range objects {
			if drained := f.drained(); drained != nil {
				yield(Object{}, drained)
				return
			}
			if !yield(object, err) {
				return
			}
		}
	}
}

// A drainError defers ErrDrained until all workers have returned, so that a
// drain neither cancels the others nor hides why one of them failed.
type drainError struct{ drained atomic.Bool }

// hold takes the error of one worker, and returns it unless it is ErrDrained.
func (d *drainError) hold(err error) error {
	if !errors.Is(err, ErrDrained) {
		return err
	}
	d.drained.Store(true)
	return nil
}

// or returns the error of all workers, given that of those who did not drain.
func (d *drainError) or(err error) error {
	if err == nil && d.drained.Load() {
		return ErrDrained
	}
	return err
}
