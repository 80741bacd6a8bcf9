package memory

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/zstd"
)

// taker takes bytes of a budget in goroutines, in a synctest bubble.
type taker struct {
	t       *testing.T
	account Account
}

// take takes so many bytes. The channel gets what gives them back once they are
// here, and synctest.Wait tells whether they wait.
func (k taker) take(bytes int64) chan func() {
	taken := make(chan func(), 1)
	go func() {
		give, err := k.account.Take(k.t.Context(), bytes)
		if err != nil {
			k.t.Error(err)
			return
		}
		taken <- give
	}()
	synctest.Wait()
	return taken
}

func (k taker) checkTaken(taken chan func(), want bool) {
	k.t.Helper()
	synctest.Wait()
	if got := len(taken) > 0; got != want {
		k.t.Errorf("taken: %t, want %t", got, want)
	}
}

func TestMoreThanTheBudgetWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		waits := 0
		k := taker{t, Account{Budget: &Budget{Limit: 100}, OnWait: func() { waits++ }}}
		first, second := k.take(60), k.take(40)
		k.checkTaken(first, true)
		k.checkTaken(second, true)
		if waits > 0 {
			t.Errorf("%d waits for what is free", waits)
		}
		third := k.take(50)
		k.checkTaken(third, false)
		(<-second)()
		k.checkTaken(third, false)
		(<-first)()
		k.checkTaken(third, true)
		if waits != 1 {
			t.Errorf("%d waits, want 1", waits)
		}
		all := k.take(1000) // gets all there is
		k.checkTaken(all, false)
		(<-third)()
		k.checkTaken(all, true)
		(<-all)()
	})
}

func TestASmallRequestPassesALargeOneWithoutDelayingIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := taker{t, Account{Budget: &Budget{Limit: 100}}}
		holder := k.take(50)
		large := k.take(70)
		k.checkTaken(large, false)
		small := k.take(20)
		k.checkTaken(small, true)
		more := k.take(20) // is free, but 20 and 20 leave too little for 70
		k.checkTaken(more, false)
		(<-holder)()
		k.checkTaken(large, true)
		k.checkTaken(more, false)
		(<-small)()
		k.checkTaken(more, true)
		(<-large)()
		(<-more)()
	})
}

func TestTheEndOfTheContextEndsAWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stopped := errors.New("stopped")
		k := taker{t, Account{Budget: &Budget{Limit: 100}}}
		holder := k.take(50)
		ctx, stop := context.WithTimeoutCause(t.Context(), time.Hour, stopped)
		defer stop()
		began := time.Now()
		waiting := make(chan chan func(), 1)
		time.AfterFunc(time.Minute, func() { waiting <- k.take(40) })
		if _, err := k.account.Take(ctx, 100); !errors.Is(err, stopped) || time.Since(began) != time.Hour {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		behind := <-waiting
		k.checkTaken(behind, true) // what waited behind it goes on
		(<-holder)()
		(<-behind)()
		all := k.take(100)
		k.checkTaken(all, true)
		(<-all)()
	})
}

// Many take and give back at random, with decoders and without, and some give up.
func TestTheBudgetIsNeverExceeded(t *testing.T) {
	const limit = 100 << 20
	b := &Budget{Limit: limit}
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			for range 100 {
				ctx, stop := context.WithTimeout(t.Context(), time.Duration(rand.Int64N(int64(5*time.Millisecond))))
				l, err := b.take(ctx, &request{bytes: 1 + rand.Int64N(limit), decoder: rand.IntN(2) > 0}, nil)
				stop()
				b.mu.Lock()
				if b.held > limit {
					t.Errorf("%d bytes are held", b.held)
				}
				b.mu.Unlock()
				if err == nil {
					if l.decoder == nil && rand.IntN(20) == 0 {
						l.decoder = new(zstd.Decoder)
					}
					b.give(l)
				}
			}
		})
	}
	group.Wait()
	if left := b.idleBytes + b.dropped; b.held != left || len(b.waiting) > 0 || b.idleBytes > maxIdle {
		t.Errorf("%d bytes are held, %d are idle or dropped; %d wait", b.held, left, len(b.waiting))
	}
}

// Who gives memory back while a collection is under way sees too little to collect:
// what that collection frees still counts as lent. Nobody may come back to it later.
func TestWhatIsGivenBackDuringACollectionIsCollectedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &Budget{Limit: 100}
		lend := func(bytes int64) chan *loan {
			lent := make(chan *loan, 1)
			go func() {
				if l, err := b.take(t.Context(), &request{bytes: bytes, decoder: true}, nil); err == nil {
					l.decoder = &zstd.Decoder{}
					lent <- l
				}
			}()
			synctest.Wait()
			return lent
		}
		unfit, small, smaller := <-lend(50), <-lend(30), <-lend(20)
		next, large := lend(20), lend(70) // which wait
		defer func() { collect = debug.FreeOSMemory }()
		collect = func() {
			collect = func() {}
			b.give(small) // and next gets it
			synctest.Wait()
			b.give(<-next)
			b.give(smaller)
		}
		b.give(unfit) // and next, for which it is too large, fits once it is collected
		synctest.Wait()
		if len(large) == 0 {
			t.Errorf("of %d bytes, %d are held and %d idle, and a request for 70 waits", b.Limit, b.held, b.idleBytes)
		}
	})
}
