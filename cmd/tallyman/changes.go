package main

import (
	"context"
	"errors"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/fetch"
	"tallyman/verify/archive"
)

// A prefixLister lists prefixes that have landed again, few at the same time.
type prefixLister struct {
	fetcher *fetch.Fetcher
	newOnly bool          // --new: what is new has to be known
	slots   chan struct{} // one for each listing under way
}

func (a *app) newPrefixLister(ctx context.Context, providers map[string]fetch.Provider, store *archive.Archive) *prefixLister {
	fetcher := &fetch.Fetcher{Providers: providers, Archive: store, Soft: ctx}
	return &prefixLister{fetcher, a.New, make(chan struct{}, a.Parallel)}
}

// changes says what is new under a prefix that has landed, and nil of any other
// export: that is as it landed, and its job is not asked. That the source can't be
// asked is part of the answer, unless what is new is to be fetched: nothing that
// has landed depends on it.
func (l *prefixLister) changes(ctx context.Context, ref fetch.Ref) (*cli.Changes, error) {
	if !ref.IsPrefix() || !ref.Revision().IsZero() {
		return nil, nil
	}
	l.slots <- struct{}{}
	defer func() { <-l.slots }()
	found, err := l.fetcher.Changes(ctx, ref)
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil && (l.newOnly || errors.Is(err, archive.ErrDamaged)) {
		return nil, err
	}
	return &cli.Changes{Changes: found, Err: err, Command: newOnlyCommand(ref.String())}, nil
}
