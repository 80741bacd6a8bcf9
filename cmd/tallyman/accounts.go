package main

import (
	"context"
	"iter"
	"sync"
	"time"

	"tallyman/fetch"
)

// An account is who the providers are asked as.
type account struct {
	profile string // of each vendor's own credentials file; "" is the vendor's default
	sandbox bool   // the sandbox's own
}

// newProviders are the providers by scheme, each asking for a reference as the
// account whose place it is in.
func (o *options) newProviders() map[string]fetch.Provider {
	providers := o.providersOf(account{})
	if len(o.places) == 0 {
		return providers
	}
	all := &accounts{o: o, made: map[string]map[string]fetch.Provider{"": providers}}
	asking := map[string]fetch.Provider{}
	for scheme, provider := range providers {
		asking[scheme] = accounted{all, scheme}
		if _, ok := provider.(fetch.Lister); ok {
			asking[scheme] = listing{accounted{all, scheme}}
		}
	}
	return asking
}

// accounts are the providers of each profile, made when they are first asked.
type accounts struct {
	o    *options
	mu   sync.Mutex
	made map[string]map[string]fetch.Provider
}

func (a *accounts) of(ref fetch.Ref, scheme string) fetch.Provider {
	profile := a.o.profile(ref)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.made[profile] == nil {
		a.made[profile] = a.o.providersOf(account{profile: profile})
	}
	return a.made[profile][scheme]
}

// accounted is the provider of one scheme for all accounts.
type accounted struct {
	*accounts
	scheme string
}

func (a accounted) Export(ctx context.Context, ref fetch.Ref) (*fetch.Export, error) {
	return a.of(ref, a.scheme).Export(ctx, ref)
}

// listing is one that can list, too.
type listing struct{ accounted }

func (l listing) List(ctx context.Context, place fetch.Ref, since time.Time) iter.Seq2[fetch.Listed, error] {
	return l.of(place, l.scheme).(fetch.Lister).List(ctx, place, since)
}
