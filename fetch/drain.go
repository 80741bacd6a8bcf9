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

// untilDrained makes a context that ends with ErrDrained once f drains: for
// what costs nothing to do again.
func (f *Fetcher) untilDrained(ctx context.Context) (context.Context, context.CancelFunc) {
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

// A lastWord keeps ErrDrained back until all who work at one thing have ended:
// that one of them drains must not cut the others short, and what one of those
// fails with says more.
type lastWord struct{ drained atomic.Bool }

// hold takes the error of one, and gives it back unless it is ErrDrained.
func (l *lastWord) hold(err error) error {
	if !errors.Is(err, ErrDrained) {
		return err
	}
	l.drained.Store(true)
	return nil
}

// after is the error of all, given that of those who did not drain.
func (l *lastWord) after(err error) error {
	if err == nil && l.drained.Load() {
		return ErrDrained
	}
	return err
}
