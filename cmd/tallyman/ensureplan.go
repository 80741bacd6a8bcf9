package main

import (
	"context"
	"errors"
	"time"

	"tallyman/cmd/tallyman/internal/config"
	"tallyman/fetch"
	"tallyman/verify/archive/catalog"
	"tallyman/verify/archive/coverage"
	"tallyman/worker"
)

// An ensurePlan is what is to be exported, and in which time.
type ensurePlan struct {
	config.Ensure
	since, until time.Time
	again        bool // what has landed is exported once more
}

func (p *ensurePlan) group() string { return windowGroup(p.LogStore, p.Query) }

// windows are the windows of the time.
func (p *ensurePlan) windows() []coverage.Span {
	return windowsBetween(p.since, p.until, p.Window, p.Zone)
}

// windowsBetween returns the windows of that length from since on that end by until. They
// begin at midnight of the zone, and the last of a day ends at the next, whatever its hours.
func windowsBetween(since, until time.Time, length time.Duration, zone *time.Location) (windows []coverage.Span) {
	const day = 24 * time.Hour
	since = since.In(zone)
	midnight := time.Date(since.Year(), since.Month(), since.Day(), 0, 0, 0, 0, zone)
	days := max(1, int(length/day))
	if days > 1 { // counted from one day on, so that they are the same at each call
		date := time.Date(since.Year(), since.Month(), since.Day(), 0, 0, 0, 0, time.UTC)
		midnight = midnight.AddDate(0, 0, -(int(date.Unix()/int64(day.Seconds())) % days))
	}
	for ; midnight.Before(until); midnight = midnight.AddDate(0, 0, days) {
		next := midnight.AddDate(0, 0, days)
		for from := midnight; from.Before(next); {
			to := from.Add(length)
			if length >= day || to.After(next) {
				to = next
			}
			if !from.Before(since) && !to.After(until) {
				windows = append(windows, coverage.SpanOf(from, to))
			}
			from = to
		}
	}
	return windows
}

// lacking returns what is to be made for the windows that a catalog, which may be nil, shows
// to lack or, to export them once more, for all of them; and the time that does not lack.
func (p *ensurePlan) lacking(known *catalog.Catalog, windows []coverage.Span) (lacking []fetch.Creation, settled []coverage.Span, err error) {
	instead := map[coverage.Span]string{}
	switch {
	case known == nil:
	case p.again:
		instead, err = newestExports(known, p.Place, p.group())
	default:
		settled, err = settledSpans(known, p.Place, p.group())
	}
	if err == nil && known != nil {
		err = cutOf(known)
	}
	if err != nil {
		return nil, nil, err
	}
	rest := settled
	for _, w := range windows {
		for len(rest) > 0 && rest[0].To <= w.From {
			rest = rest[1:]
		}
		if len(rest) > 0 && rest[0].From <= w.From && w.To <= rest[0].To {
			continue
		}
		lacking = append(lacking, fetch.Creation{
			Window: fetch.Window{Place: p.Place, Group: p.group(), From: time.Unix(w.From, 0).UTC(), To: time.Unix(w.To, 0).UTC()},
			Format: p.Format, Compression: p.Compression, Instead: instead[w],
		})
	}
	return lacking, settled, nil
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

// split divides windows that have more records than a job is to have.
func (p *ensurePlan) split(ctx context.Context, providers map[string]fetch.Provider, lacking []fetch.Creation, settled []coverage.Span) (parts []fetch.Creation, records int64, uncounted, err error) {
	witness, ok := serviceOf[fetch.Witness](providers, p.Place)
	if !ok {
		return lacking, 0, worker.ErrNoWitness, nil
	}
	s := &splitting{witness: witness, most: int64(p.MaxRecords), settled: settled}
	return s.split(ctx, lacking)
}

// A splitting divides windows that have more records than a job may have.
type splitting struct {
	witness fetch.Witness
	most    int64           // records of a window
	settled []coverage.Span // what is not exported again, in order
	parts   []fetch.Creation
}

// split returns what is to be made for windows: each is counted once, and one with more
// records than may be is halved, as often as it takes. It returns how many records there are
// in all. A window that can't be counted stays as it is, and why is uncounted.
func (s *splitting) split(ctx context.Context, windows []fetch.Creation) (parts []fetch.Creation, records int64, uncounted, err error) {
	for _, c := range windows {
		count, err := s.witness.Count(ctx, c.Window)
		switch {
		case errors.Is(err, fetch.ErrNotCountable):
			return windows, 0, err, nil
		case err != nil:
			return nil, 0, nil, err
		}
		records += count.Records
		if err := s.halve(ctx, c, count.Records); err != nil {
			return nil, 0, nil, err
		}
	}
	return s.parts, records, nil, nil
}

// halve adds a window of so many records, or its halves: what the first has is counted, and
// the second has the rest.
func (s *splitting) halve(ctx context.Context, c fetch.Creation, records int64) error {
	span := coverage.SpanOf(c.From, c.To)
	if covered := coverage.Common(s.settled, []coverage.Span{span}); len(covered) == 1 && covered[0] == span {
		return nil
	}
	middle := c.From.Add(c.To.Sub(c.From) / 2).Truncate(time.Second)
	if records <= s.most || !middle.After(c.From) {
		s.parts = append(s.parts, c)
		return nil
	}
	first, second := c, c
	first.To, second.From = middle, middle
	count, err := s.witness.Count(ctx, first.Window)
	if err != nil {
		return err
	}
	if err := s.halve(ctx, first, count.Records); err != nil {
		return err
	}
	return s.halve(ctx, second, max(0, records-count.Records))
}
