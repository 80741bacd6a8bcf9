package fetch

import (
	"fmt"
	"sync"
	"time"
)

// A pace is how fast one object comes, over all of its requests. What counts is
// the time in which one waits for the store, and not while one waits for the
// limit, which is our own: then no store is to blame.
type pace struct {
	least int64 // bytes a second; negative: any will do

	mu        sync.Mutex
	waiting   int           // requests that wait for the store
	throttled int           // that wait for the limit
	since     time.Time     // what follows has not been counted
	waited    time.Duration // in this window
	came      int64         // bytes, in this window
	cuts      int           // windows that brought too little
	slow      *slowError    // of the last of those
}

// window is the time over which a pace is taken.
const window = time.Minute

// leastRate is the pace at which a store must send, in bytes a second. Several
// requests for one object share it, and a modem would do.
const leastRate = 1 << 10

// A slowError is a store that sends, but so little that no end is in sight.
type slowError struct{ rate, least int64 }

func (e *slowError) Error() string {
	return fmt.Sprintf("it came at %d bytes a second, and %d is the least (--min-rate allows less)", e.rate, e.least)
}

// wait tells that so many more requests wait for the store, and how many windows
// were slow until then.
func (p *pace) wait(requests int) (cuts int) { return p.move(&p.waiting, requests, 0) }

// take tells that one has what it waited for.
func (p *pace) take(bytes int) { p.move(&p.waiting, -1, bytes) }

// throttle tells that so many more wait for the limit.
func (p *pace) throttle(requests int) { p.move(&p.throttled, requests, 0) }

// move counts the time until now, and then changes who waits.
func (p *pace) move(who *int, by, bytes int) (cuts int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.waiting > 0 && p.throttled == 0 {
		p.waited += now.Sub(p.since)
	}
	p.since = now
	p.came += int64(bytes)
	*who += by
	if p.waited >= window {
		p.judge()
	}
	return p.cuts
}

// judge ends a window. Every request that is open ends by one that was slow, so
// that all of them are made anew.
func (p *pace) judge() {
	rate := int64(float64(p.came) / p.waited.Seconds())
	if rate < p.least {
		p.cuts++
		p.slow = &slowError{rate, p.least}
	}
	p.waited, p.came = 0, 0
}

// cut is the error of a request that was open during a slow window, and nil of
// one that knew so many when it was made.
func (p *pace) cut(known int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cuts > known {
		return &transferError{"the store is too slow", p.slow}
	}
	return nil
}
