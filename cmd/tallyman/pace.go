package main

import (
	"cmp"
	"context"
	"iter"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"tallyman/fetch"
)

// pace keeps what is asked of each service to --api-rate, for each account
// that it is asked as. Files by URL are no calls.
func (o *options) pace(providers map[string]fetch.Provider) map[string]fetch.Provider {
	if o.apiRate == 0 {
		return providers
	}
	slowed := map[string]fetch.Provider{}
	for scheme, provider := range providers {
		slowed[scheme] = provider
		if scheme != "https" && scheme != "http" {
			slowed[scheme] = newPaced(provider, rate.Limit(o.apiRate), o.profile)
		}
	}
	return slowed
}

// newPaced makes a provider that waits for its turn before each call. It lists
// if the provider does.
func newPaced(provider fetch.Provider, limit rate.Limit, account func(fetch.Ref) string) fetch.Provider {
	p := &paced{provider: provider, limit: limit, account: account, turns: map[string]*rate.Limiter{}}
	if lister, ok := provider.(fetch.Lister); ok {
		return &pacedLister{p, lister}
	}
	return p
}

type paced struct {
	provider fetch.Provider
	limit    rate.Limit
	account  func(fetch.Ref) string

	mu    sync.Mutex
	turns map[string]*rate.Limiter // by account
}

// turn waits for it. The calls of a second may come all at once.
func (p *paced) turn(ctx context.Context, ref fetch.Ref) error {
	account := p.account(ref)
	p.mu.Lock()
	limiter := p.turns[account]
	if limiter == nil {
		limiter = rate.NewLimiter(p.limit, max(1, int(p.limit)))
		p.turns[account] = limiter
	}
	p.mu.Unlock()
	err := limiter.Wait(ctx)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// Export implements fetch.Provider.
func (p *paced) Export(ctx context.Context, ref fetch.Ref) (*fetch.Export, error) {
	if err := p.turn(ctx, ref); err != nil {
		return nil, err
	}
	return p.provider.Export(ctx, ref)
}

type pacedLister struct {
	*paced
	lister fetch.Lister
}

// pageSize is how many jobs a page of a listing holds at least, unless
// pageSizes says otherwise.
const pageSize = 100

var pageSizes = map[string]int{"dbs": 50}

// List implements fetch.Lister. It waits as if each page was a small one.
func (p *pacedLister) List(ctx context.Context, place fetch.Ref, since time.Time) iter.Seq2[fetch.Listed, error] {
	return func(yield func(fetch.Listed, error) bool) {
		if err := p.turn(ctx, place); err != nil {
			yield(fetch.Listed{}, err)
			return
		}
		n, size := 0, cmp.Or(pageSizes[place.Scheme()], pageSize)
		for listed, err := range p.lister.List(ctx, place, since) {
			if n++; n%size == 0 && err == nil {
				err = p.turn(ctx, place)
			}
			if !yield(listed, err) || err != nil {
				return
			}
		}
	}
}
