package main

import (
	"context"
	"errors"
	"iter"
	"time"

	"tallyman/cmd/tallyman/internal/config"
	"tallyman/fetch"
	"tallyman/verify/archive/catalog"
	"tallyman/verify/archive/coverage"
	"tallyman/worker"
)

// An ensurePlan is what is to be exported, in which time, and what of that lacks. A window is
// a span: a year has half a million minutes.
type ensurePlan struct {
	config.Ensure
	since, until time.Time
	again        bool // what has landed is exported once more

	windows int             // in the time
	lacking []coverage.Span // windows to export, in order
	settled []coverage.Span // time that does not lack, in order
	instead map[coverage.Span]string
}

func (p *ensurePlan) group() string { return windowGroup(p.LogStore, p.Query) }

// creation is what is to be made for a window.
func (p *ensurePlan) creation(w coverage.Span) fetch.Creation {
	return fetch.Creation{
		Window: fetch.Window{Place: p.Place, Group: p.group(), From: time.Unix(w.From, 0).UTC(), To: time.Unix(w.To, 0).UTC()},
		Format: p.Format, Compression: p.Compression, Instead: p.instead[w],
	}
}

// windowsBetween yields the windows of that length from since on that end by until. They
// begin at midnight of the zone, and the last of a day ends at the next, whatever its hours.
func windowsBetween(since, until time.Time, length time.Duration, zone *time.Location) iter.Seq[coverage.Span] {
	const day = 24 * time.Hour
	since = since.In(zone)
	midnight := time.Date(since.Year(), since.Month(), since.Day(), 0, 0, 0, 0, zone)
	days := max(1, int(length/day))
	if days > 1 { // counted from one day on, so that they are the same at each call
		date := time.Date(since.Year(), since.Month(), since.Day(), 0, 0, 0, 0, time.UTC)
		midnight = midnight.AddDate(0, 0, -(int(date.Unix()/int64(day.Seconds())) % days))
	}
	return func(yield func(coverage.Span) bool) {
		for at := midnight; at.Before(until); at = at.AddDate(0, 0, days) {
			next := at.AddDate(0, 0, days)
			for from := at; from.Before(next); {
				to := from.Add(length)
				if length >= day || to.After(next) {
					to = next
				}
				if !from.Before(since) && !to.After(until) && !yield(coverage.SpanOf(from, to)) {
					return
				}
				from = to
			}
		}
	}
}

// look finds the windows that a catalog, which may be nil, shows to lack or, to export them
// once more, all of them.
func (p *ensurePlan) look(known *catalog.Catalog) (err error) {
	switch {
	case known == nil:
	case p.again:
		p.instead, err = newestExports(known, p.Place, p.group())
	default:
		p.settled, err = settledSpans(known, p.Place, p.group())
	}
	if err == nil && known != nil {
		err = cutOf(known)
	}
	if err != nil {
		return err
	}
	rest := p.settled
	for w := range windowsBetween(p.since, p.until, p.Window, p.Zone) {
		p.windows++
		for len(rest) > 0 && rest[0].To <= w.From {
			rest = rest[1:]
		}
		if len(rest) == 0 || w.From < rest[0].From || rest[0].To < w.To {
			p.lacking = append(p.lacking, w)
		}
	}
	return nil
}

// settledSpans is the time of a group that is not lacking, in order: exports cover it that are
// whole or were removed, or a person took it as it is.
func settledSpans(known *catalog.Catalog, place fetch.Ref, group string) ([]coverage.Span, error) {
	var spans []coverage.Span
	for w, err := range known.Windows(place.String(), group) {
		if err != nil {
			return nil, err
		}
		if w.Phase != catalog.Damaged && w.Phase != catalog.Absent {
			spans = append(spans, coverage.Span{From: w.From, To: w.To})
		}
	}
	for p, err := range known.Places() {
		if err != nil {
			return nil, err
		}
		for _, w := range p.AcceptedWindows {
			if p.Name == place.String() && (w.Group == "" || w.Group == group) {
				spans = append(spans, coverage.Span{From: w.From, To: w.To})
			}
		}
	}
	return coverage.Union(spans), nil
}

// newestExports are the keys of the exports that landed last of each window of a group.
func newestExports(known *catalog.Catalog, place fetch.Ref, group string) (map[coverage.Span]string, error) {
	newest := map[coverage.Span]string{}
	for e, err := range known.Exports(catalog.Filter{Places: []string{place.String()}, Phases: []catalog.Phase{catalog.Landed}, Order: catalog.ByWhen}) {
		if err != nil {
			return nil, err
		}
		if w := e.Window; w != nil && w.Group == group {
			newest[coverage.Span{From: w.From, To: w.To}] = e.Key
		}
	}
	return newest, nil
}

// split halves the windows that have more records than a job is to have, as often as it takes:
// each is counted once. It returns how many records there are in all. If one can't be counted,
// all stay as they are, and why is uncounted.
func (p *ensurePlan) split(ctx context.Context, providers map[string]fetch.Provider) (records int64, uncounted, err error) {
	witness, ok := serviceOf[fetch.Witness](providers, p.Place)
	if !ok {
		return 0, worker.ErrNoWitness, nil
	}
	s := &splitting{plan: p, witness: witness}
	for _, w := range p.lacking {
		count, err := s.count(ctx, w)
		switch {
		case errors.Is(err, fetch.ErrNotCountable):
			return 0, err, nil
		case err != nil:
			return 0, nil, err
		}
		records += count
		if err := s.halve(ctx, w, count); err != nil {
			return 0, nil, err
		}
	}
	p.lacking = s.parts
	return records, nil, nil
}

// A splitting divides windows that have more records than a job may have.
type splitting struct {
	plan    *ensurePlan
	witness fetch.Witness
	parts   []coverage.Span
}

func (s *splitting) count(ctx context.Context, w coverage.Span) (int64, error) {
	count, err := s.witness.Count(ctx, s.plan.creation(w).Window)
	return count.Records, err
}

// halve adds a window of so many records, or its halves: what the first has is counted, and
// the second has the rest.
func (s *splitting) halve(ctx context.Context, w coverage.Span, records int64) error {
	if covered := coverage.Common(s.plan.settled, []coverage.Span{w}); len(covered) == 1 && covered[0] == w {
		return nil
	}
	middle := w.From + (w.To-w.From)/2
	if records <= int64(s.plan.MaxRecords) || middle == w.From {
		s.parts = append(s.parts, w)
		return nil
	}
	first, second := coverage.Span{From: w.From, To: middle}, coverage.Span{From: middle, To: w.To}
	count, err := s.count(ctx, first)
	if err != nil {
		return err
	}
	if err := s.halve(ctx, first, count); err != nil {
		return err
	}
	return s.halve(ctx, second, max(0, records-count))
}
