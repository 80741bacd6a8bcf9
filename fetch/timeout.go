package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// errIdle ends a request whose store sends nothing any more.
var errIdle error = &subkind{"the store has stalled", ErrUnreachable}

// An idleTimeout ends a request whose store sends nothing for too long while it
// is waited for, or sends too slowly. Time in which nobody reads does not count.
type idleTimeout struct {
	limit time.Duration
	timer *time.Timer
	ctx   context.Context
	end   context.CancelCauseFunc

	speed *minSpeed
	slow  int // slow windows before the request: another one ends it, so that all of the object's are made anew
}

// cause is the timeout if that ended the request, or else err.
func (t *idleTimeout) cause(err error) error {
	if cause := context.Cause(t.ctx); err != nil && errors.Is(cause, errIdle) {
		return cause
	}
	return err
}

// A timedBody is the body of an answer under a timeout.
type timedBody struct {
	io.ReadCloser
	idle    *idleTimeout
	release func() // called when it is closed
}

func (b *timedBody) Read(p []byte) (int, error) {
	b.idle.timer.Reset(b.idle.limit)
	b.idle.speed.update(+1, 0, 0)
	n, err := b.ReadCloser.Read(p)
	slow, tooSlow := b.idle.speed.update(-1, 0, n)
	b.idle.timer.Stop()
	switch {
	case err == nil && slow > b.idle.slow:
		err = &transferError{"the store is too slow", tooSlow}
	case err != nil && !errors.Is(err, io.EOF):
		err = b.idle.cause(err)
	}
	return n, err
}

func (b *timedBody) Close() error {
	defer b.release()
	b.idle.timer.Stop()
	b.idle.end(nil)
	return b.ReadCloser.Close()
}

// A throttledBody is the body of an answer, slowed down to a limit.
type throttledBody struct {
	io.ReadCloser
	ctx   context.Context
	limit *rate.Limiter
	speed *minSpeed
}

// Read reads at most one burst, so that no connection waits for long, and then
// waits for the limit, even if ctx will end before its turn.
func (b *throttledBody) Read(p []byte) (int, error) {
	if b.limit.Limit() != rate.Inf {
		p = p[:min(len(p), max(1, b.limit.Burst()))]
	}
	n, err := b.ReadCloser.Read(p)
	b.speed.update(0, +1, 0)
	defer b.speed.update(0, -1, 0)
	if ended := Sleep(b.ctx, b.limit.ReserveN(time.Now(), n).Delay()); ended != nil {
		return n, ended
	}
	return n, err
}

// A minSpeed measures how fast one object comes, over all of its requests, and
// ends those that were open during a slow window. Only the time in which a
// request waits for the store counts, and none while one waits for the limit:
// then no store is to blame.
type minSpeed struct {
	least int64 // bytes a second; negative: any will do

	mu        sync.Mutex
	waiting   int           // requests that wait for the store
	throttled int           // requests that wait for the limit
	updated   time.Time     // until then the time was counted
	waited    time.Duration // in this window
	received  int64         // bytes, in this window
	slow      int           // windows
	err       *SlowError    // of the last of those
}

// speedWindow is how long a window is, in time waited for the store.
const speedWindow = time.Minute

// defaultMinRate is in bytes a second. Several requests for one object share it,
// and a modem would do.
const defaultMinRate = 1 << 10

// A SlowError says that a store sends so little that no end is in sight.
type SlowError struct {
	Rate, Least int64 // bytes a second, as received and as required
}

// Error tells both rates.
func (e *SlowError) Error() string {
	return fmt.Sprintf("%d bytes a second were received, and %d are the least", e.Rate, e.Least)
}

// update counts the time until now, and then that so many more requests wait
// for the store or for the limit, and that so many bytes came. It returns how
// many windows were slow until now, and the error of the last of them.
func (s *minSpeed) update(waiting, throttled, bytes int) (slow int, last *SlowError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.waiting > 0 && s.throttled == 0 {
		s.waited += now.Sub(s.updated)
	}
	s.updated = now
	s.received += int64(bytes)
	s.waiting += waiting
	s.throttled += throttled
	if s.waited >= speedWindow {
		if rate := int64(float64(s.received) / s.waited.Seconds()); rate < s.least {
			s.slow++
			s.err = &SlowError{rate, s.least}
		}
		s.waited, s.received = 0, 0
	}
	return s.slow, s.err
}
