package fetch

import (
	"cmp"
	"context"
	"errors"
	"io"
	"sync/atomic"
)

// drained returns ErrDrained once the soft context has ended.
func (f *Fetcher) drained() error {
	if f.Soft != nil && f.Soft.Err() != nil {
		return ErrDrained
	}
	return nil
}

// softly returns a context that ends with ctx, and with ErrDrained once the soft
// context ends: for work that costs nothing to repeat.
func (f *Fetcher) softly(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, end := context.WithCancelCause(ctx)
	stop := context.AfterFunc(cmp.Or(f.Soft, context.Background()), func() { end(ErrDrained) })
	return ctx, func() {
		stop()
		end(nil)
	}
}

// closeOnDrain closes an answer once the soft context ends, unless stop is
// called before: for the time in which none of its bytes can be kept.
func (f *Fetcher) closeOnDrain(answer io.Closer) (stop func() bool) {
	return context.AfterFunc(cmp.Or(f.Soft, context.Background()), func() { answer.Close() })
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
