// Package memory lends decoders the memory that they need from one budget, so
// that many of them together hold no more than one limit.
//
// Most of that memory is the window of a zstd frame: the content that the frame
// may refer back to. A frame may ask for 128 MiB though it has a few hundred
// bytes.
//
// Nobody waits for memory while it holds some. So there is no deadlock, however
// many frames one export has, and however many decoders it runs at once.
package memory

import (
	"cmp"
	"context"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"
)

const (
	// DefaultLimit is the limit of the budget that an Account without one uses.
	DefaultLimit = 512 << 20

	// maxIdle is how many bytes the decoders may hold that are kept for reuse.
	maxIdle = 64 << 20
)

var defaultBudget = &Budget{Limit: DefaultLimit}

// A Budget is a number of bytes that is lent. What does not fit waits until others
// have given back theirs. Many goroutines may use it at once.
type Budget struct {
	Limit int64 // of the bytes that are lent; it must not change

	mu        sync.Mutex
	held      int64      // bytes of all loans: those lent, idle and dropped
	idle      []*loan    // with a decoder that the next may use, oldest first
	idleBytes int64      // bytes of those
	dropped   int64      // bytes of loans that are garbage, and may not be collected yet
	waiting   []*request // in the order they came
}

// An Account takes loans for one object.
type Account struct {
	Budget *Budget // nil means one of DefaultLimit that all such accounts share
	OnWait func()  // called each time that a loan has to wait; may be nil
}

// A loan is memory that was lent.
type loan struct {
	bytes   int64
	decoder *zstd.Decoder // what holds the memory; nil if it was not made yet, or is of another codec
	passed  *request      // which it was lent before, though that came earlier; or nil
}

// A request is for a loan.
type request struct {
	bytes    int64
	decoder  bool  // whether a zstd decoder will hold the memory
	passedBy int64 // bytes of loans that passed it
	granted  chan *loan
}

// Take takes so many bytes, or all there are if the limit is less. It waits until
// they are free, or until ctx ends: then its cause is the error. give gives the
// bytes back, and must be called once.
func (a Account) Take(ctx context.Context, bytes int64) (give func(), err error) {
	b := cmp.Or(a.Budget, defaultBudget)
	l, err := b.take(ctx, &request{bytes: min(bytes, b.Limit)}, a.OnWait)
	if err != nil {
		return nil, err
	}
	return func() { b.give(l) }, nil
}

// take returns a loan for r once it is granted.
func (b *Budget) take(ctx context.Context, r *request, onWait func()) (*loan, error) {
	r.granted = make(chan *loan, 1)
	b.mu.Lock()
	b.waiting = append(b.waiting, r)
	b.grant()
	b.mu.Unlock()
	if len(r.granted) == 0 {
		b.reclaim()
	}
	select {
	case l := <-r.granted:
		return l, nil
	default:
	}
	if onWait != nil {
		onWait()
	}
	select {
	case l := <-r.granted:
		return l, nil
	case <-ctx.Done():
		b.withdraw(r)
		return nil, context.Cause(ctx)
	}
}

// withdraw takes back a request, which may have been granted meanwhile.
func (b *Budget) withdraw(r *request) {
	b.mu.Lock()
	b.waiting = slices.DeleteFunc(b.waiting, func(other *request) bool { return other == r })
	b.grant() // it may have been what the others waited behind
	b.mu.Unlock()
	select {
	case l := <-r.granted:
		b.give(l)
	default:
		b.reclaim()
	}
}

// give takes a loan back. Its decoder, if it has one, is kept for the next, or
// dropped if too much is idle.
func (b *Budget) give(l *loan) {
	b.mu.Lock()
	if l.passed != nil {
		l.passed.passedBy -= l.bytes
		l.passed = nil
	}
	if l.decoder == nil {
		b.held -= l.bytes
	} else {
		b.idle = append(b.idle, l)
		b.idleBytes += l.bytes
	}
	b.grant()
	for b.idleBytes > maxIdle {
		b.dropped += b.idle[0].bytes
		b.idleBytes -= b.idle[0].bytes
		b.idle = slices.Delete(b.idle, 0, 1)
	}
	isShort := len(b.waiting) > 0
	b.mu.Unlock()
	if isShort {
		b.reclaim()
	}
}

// grant grants the requests that wait, in their order, as far as there is memory:
// each gets the smallest idle loan that fits it, or a new one. One may pass the first
// that has to wait on if that would fit beside it, and beside all that passed before:
// then it delays nothing for ever. So small windows need not wait behind a large one.
func (b *Budget) grant() {
	var first *request // the first that has to wait on
	b.waiting = slices.DeleteFunc(b.waiting, func(r *request) bool {
		if first != nil && first.bytes+first.passedBy+r.bytes > b.Limit {
			return false
		}
		best := -1
		for i, l := range b.idle {
			if r.decoder && r.bytes <= l.bytes && l.bytes <= 2*r.bytes && (best < 0 || l.bytes < b.idle[best].bytes) {
				best = i
			}
		}
		var l *loan
		switch {
		case best >= 0:
			l = b.idle[best]
			b.idle = slices.Delete(b.idle, best, best+1)
			b.idleBytes -= l.bytes
		case b.held+r.bytes <= b.Limit:
			l = &loan{bytes: r.bytes}
			b.held += r.bytes
		default:
			first = cmp.Or(first, r)
			return false
		}
		if first != nil {
			l.passed = first
			first.passedBy += l.bytes
		}
		r.granted <- l
		return true
	})
}

// reclaim frees what is dropped and what is idle, if a request that waits fits then.
// It takes a garbage collection: until then the process would have the memory
// twice. What is given back meanwhile seems to be too little to those who give it, so
// reclaim looks again.
func (b *Budget) reclaim() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		unused := b.dropped + b.idleBytes
		fits := func(r *request) bool { return b.held-unused+r.bytes <= b.Limit }
		if unused == 0 || !slices.ContainsFunc(b.waiting, fits) {
			return
		}
		b.dropped, b.idle, b.idleBytes = 0, nil, 0
		b.mu.Unlock()
		collect()
		b.mu.Lock()
		b.held -= unused
		b.grant()
	}
}

// collect frees what nothing refers to. A test overwrites it.
var collect = debug.FreeOSMemory

// isShort reports whether someone waits.
func (b *Budget) isShort() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.waiting) > 0
}
