package fetch

import (
	"context"
	"errors"
	"sync"
	"time"
)

// A StatusCache answers for jobs that are waited for. Where few are awaited in one
// place, each is asked for by itself. Where many are, a listing of the place
// answers for all of those that it names as Pending or Running; any other job
// is asked for by itself, since no listing tells what a job yielded or why it
// failed. Now and then a job is asked for all the same, in case the service's
// listings lag behind.
//
// What a listing tells stays good for longer the more it cost: two seconds at
// least, two minutes at most, and in between for so long that listing a place
// again and again costs no more than 100 calls a minute, nor more than asking
// each awaited job once a minute would. So it may be minutes until a job that
// has ended is seen to have: a caller that needs what a job yielded asks the
// Provider itself.
type StatusCache struct {
	provider Provider
	lister   Lister
	account  func(Ref) string

	mu     sync.Mutex
	places map[string]*pending // by the place's reference
	swept  time.Time
}

// StatusCaches puts a StatusCache before each provider that lists, by scheme. The others
// get none. A reference that is asked for as another account than its place is
// passes straight through.
func StatusCaches(providers map[string]Provider, account func(Ref) string) map[string]Provider {
	boards := map[string]Provider{}
	for scheme, provider := range providers {
		if lister, ok := provider.(Lister); ok {
			boards[scheme] = &StatusCache{provider: provider, lister: lister, account: account, places: map[string]*pending{}}
		}
	}
	return boards
}

// Export implements Provider. What a listing answers has a State and a Status,
// and no more.
func (b *StatusCache) Export(ctx context.Context, ref Ref) (*Export, error) {
	place, ok := ref.place()
	if !ok || b.account(ref) != b.account(place) {
		return b.provider.Export(ctx, ref)
	}
	export, err := b.told(ctx, place, ref.name())
	if export == nil && err == nil {
		export, err = b.provider.Export(ctx, ref)
	}
	b.learn(place, ref.name(), export, err)
	return export, err
}

// told is what a listing tells of a job, or nil. It waits for one that is being
// made to come to the job. A service that is too busy to list its jobs is too
// busy to be asked for each of them.
func (b *StatusCache) told(ctx context.Context, place Ref, name string) (*Export, error) {
	export, l, turn := b.look(ctx, place, name)
	if turn == nil {
		return export, nil
	}
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-turn:
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	note, named := l.note(name)
	if !named && errors.Is(l.failed, ErrThrottled) {
		return nil, l.failed
	}
	return note.export(), nil
}

// look is what the listings of a place tell of a job, or the one to wait for
// and what is closed once it has come to the job or has ended. If it is
// neither, the job is to be asked for.
func (b *StatusCache) look(ctx context.Context, place Ref, name string) (*Export, *listing, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.sweep(now)
	w := b.places[place.String()]
	if w == nil || !w.pays(name, now) {
		return nil, nil, nil
	}
	if w.making == nil && !w.last.fresh(name, len(w.awaited), now) {
		go b.list(context.WithoutCancel(ctx), w, w.begin(now)) // others will want it too
	}
	if note, named := w.note(name); named || w.making == nil {
		return w.answer(note), nil, nil
	}
	return nil, w.making, w.making.turn(name)
}

// learn takes in how a job was answered for.
func (b *StatusCache) learn(place Ref, name string, export *Export, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	w := b.places[place.String()]
	if w != nil && err == nil {
		w.compare(name, export.State)
	}
	switch {
	case retryable(err), err == nil && waits(export.State):
		if w == nil {
			w = &pending{place: place, awaited: map[string]time.Time{}, unlisted: map[string]time.Time{}}
			b.places[place.String()] = w
		}
		w.await(name, time.Now())
	case w != nil && (err == nil || errors.Is(err, ErrNotFound)):
		w.forget(name)
		b.tidy(w)
	}
}

// sweep forgets what nobody asks for any more, now and then.
func (b *StatusCache) sweep(now time.Time) {
	if now.Sub(b.swept) < time.Minute {
		return
	}
	b.swept = now
	for _, w := range b.places {
		w.sweep(now)
		b.tidy(w)
	}
}

// tidy forgets a place of which there is nothing to know.
func (b *StatusCache) tidy(w *pending) {
	if len(w.awaited)+len(w.unlisted) == 0 && w.making == nil {
		delete(b.places, w.place.String())
	}
}

// waits reports whether a job in that state has yet to end.
func waits(state State) bool { return state == Pending || state == Running }
