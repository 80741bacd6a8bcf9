package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"tallyman/fetch"
	"tallyman/verify/archive"
	"tallyman/verify/archive/catalog"
	"tallyman/verify/archive/coverage"
	"tallyman/verify/archive/ledger"
	"tallyman/worker"
)

// Of places with witness: true in the configuration file, sources are asked for their counts
// by whoever has an export land, and by workers for what those left out, or is to be counted
// again. What was due longer ago is left to the command witness, since each call costs money.
const (
	countedFor    = 10 * 24 * time.Hour
	maxCountsDue  = 1000 // at a look
	countedBefore = 10 * time.Second
)

// asksWitness reports whether the source of an export is to be asked for its count.
func (a *app) asksWitness(ref fetch.Ref) bool { return a.Place(ref).Witness == "true" }

// withCount returns the receipt of an export that has just landed, with the doubt that the
// source's own count of it is, and that count, or nil if it is not asked for. It notes that
// the source could not be asked: a worker tries again.
func (a *app) withCount(ctx context.Context, t *worker.Testifier, note func(fetch.Ref, string), ref fetch.Ref, receipt *archive.Receipt) (*archive.Receipt, *archive.Testimony) {
	if receipt.Window == nil || !a.asksWitness(ref) {
		return receipt, nil
	}
	testimony, err := t.TestifyIfDue(ctx, worker.DueCount{Ref: ref, Window: *receipt.Window})
	if err != nil && !errors.Is(err, worker.ErrNoWitness) {
		note(ref, "its source was not asked for its own count: "+err.Error())
	}
	if err != nil || testimony == nil {
		return receipt, nil
	}
	if verdict, text := testimony.Judge(); verdict.IsDoubt() {
		doubted := *receipt
		doubted.Doubts = append(slices.Clone(receipt.Doubts), string(verdict)+": "+text)
		receipt = &doubted
	}
	return receipt, testimony
}

// A counting has the sources of what landed in an archive asked for the counts that are due.
// It is for one goroutine.
type counting struct {
	*worker.Testifier
	app     *app
	archive *archive.Archive
	catalog *catalog.Catalog // nil until it is needed
	log     *slog.Logger
}

// keepCounting asks for the counts that are due until end is called, if any place has its
// source asked.
func (a *app) keepCounting(ctx context.Context, store *archive.Archive, providers map[string]fetch.Provider, log *slog.Logger) (end func()) {
	if !a.AsksWitnesses() {
		return func() {}
	}
	c := &counting{app: a, archive: store, log: log}
	c.Testifier = newTestifier(store, providers, c.events, c.header)
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer func() { _ = c.catalog.Close() }() // which was only read
		c.Keep(ctx, c.due, c.tell)
	}()
	return func() { cancel(); <-ended }
}

// events are the lines of an export, also those of other processes since due.
func (c *counting) events(key string) (_ []ledger.Line, err error) {
	if c.catalog, err = catalog.Follow(context.Background(), c.catalog, c.archive, c.app.followOptions()); err != nil {
		return nil, err
	}
	return c.catalog.Events(key)
}

// header tells whether a first record is a header, by what events has read just now.
func (c *counting) header(place, group, sha256 string) (int64, error) {
	firsts, err := coverage.FirstsOf(c.catalog, place, group)
	return firsts.HeaderIs(sha256), err
}

// due finds the counts that are due. Whoever has just had an export land asks for itself.
func (c *counting) due(ctx context.Context) (counts []worker.DueCount, err error) {
	if c.catalog, err = catalog.Follow(ctx, c.catalog, c.archive, c.app.followOptions()); err != nil {
		return nil, err
	}
	now := time.Now()
	for place, err := range c.catalog.Places() {
		if err != nil {
			return nil, err
		}
		for e, err := range c.catalog.DueCounts(place.Name, now.Add(-countedFor), now.Add(-countedBefore)) {
			if err != nil {
				return nil, err
			}
			ref, ok := fetch.RefAt(e.Key, e.Ref)
			if ok && c.app.asksWitness(ref) {
				if _, ok = c.Witness(ref); ok {
					counts = append(counts, worker.DueCount{Ref: ref, Window: *e.Window})
				}
			}
			if len(counts) == maxCountsDue {
				return counts, nil
			}
		}
	}
	return counts, nil
}

// tell logs what a source says, or why it could not be asked.
func (c *counting) tell(ref fetch.Ref, testimony *archive.Testimony, err error) {
	if err != nil {
		c.log.Warn("a source is not asked for its own count", "ref", ref.String(), "cause", string(worker.Classify(err).Cause), "error", err)
		return
	}
	switch verdict, text := testimony.Judge(); {
	case verdict.IsDoubt():
		c.log.Warn("in doubt, by the source's own count", "ref", ref.String(), "why", string(verdict)+": "+text,
			"hint", "to export it anew: "+ensureAgain(landedExport{ref, &testimony.Window}))
	default:
		c.log.Info("held against the source's own count", "ref", ref.String(), "why", string(verdict)+": "+text)
	}
}
