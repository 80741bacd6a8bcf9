package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tallyman/cmd/tallyman/internal/metrics"
	"tallyman/fetch/redact"
	"tallyman/verify/archive"
	"tallyman/verify/archive/catalog"
	"tallyman/verify/archive/coverage"
	"tallyman/worker"
)

// An observer tells many goroutines what the archive, its catalog and its queue know. It
// makes the catalog when it is first asked.
type observer struct {
	app     *app
	archive *archive.Archive
	queue   *worker.Queue // nil if there is none; it gives up soon where Redis does not answer
	log     *slog.Logger
	ctx     context.Context // until close: what is begun for one who asks is of use to all
	end     context.CancelFunc

	acting  sync.WaitGroup // what people have done by the page
	speeds  speeds         // of what runs
	records records        // of whom workers tell
	stale   atomic.Bool    // something was done, which the catalog does not know yet

	turn      chan struct{} // held by who asks the catalog
	catalog   *catalog.Catalog
	refreshed time.Time
}

func newObserver(ctx context.Context, a *app, store *archive.Archive, queue *worker.Queue, log *slog.Logger) *observer {
	o := &observer{app: a, archive: store, queue: queue, log: log, turn: make(chan struct{}, 1)}
	o.ctx, o.end = context.WithCancel(ctx)
	return o
}

// freshness is how old what the catalog tells may be.
const freshness = 2 * time.Second

var errCatalogBusy = errors.New("the catalog is being made of the ledger: try again soon")

// ask has do ask the catalog, which is read on before. One asks at a time.
func (o *observer) ask(ctx context.Context, do func(*statusCommand) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 5*time.Second, errCatalogBusy)
	defer cancel()
	select {
	case o.turn <- struct{}{}:
		defer func() { <-o.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := o.refresh(); err != nil {
		return err
	}
	return do(&statusCommand{app: o.app, archive: o.archive, catalog: o.catalog, overview: overview{}})
}

// refresh reads on in the ledger, unless that was just done.
func (o *observer) refresh() (err error) {
	isFirst := o.catalog == nil
	if !o.stale.Swap(false) && time.Since(o.refreshed) <= freshness && !isFirst {
		return nil
	}
	if o.catalog, err = catalog.Follow(o.ctx, o.catalog, o.archive, o.app.followOptions()); err != nil {
		return err
	}
	if isFirst && o.catalog.InMemory != "" {
		o.log.Warn("the catalog of the archive is in memory, and is made anew by each process", "why", o.catalog.InMemory)
	}
	o.refreshed = time.Now()
	return nil
}

// close closes the catalog. Nobody can ask any more.
func (o *observer) close() {
	o.end()
	o.turn <- struct{}{}
	o.acting.Wait()
	_ = o.catalog.Close() // which was only read
}

// An observedPlace is what status tells of a place, and the sums of all its exports.
type observedPlace struct {
	*placeLine
	catalog.Place
	interval   time.Duration // of its schedule; 0: none
	mismatched int64         // exports of which the source counts other records than landed, unless accepted
	expected   bool          // something is expected of it
	gaps       time.Duration // of the time that it is to cover, what lacks and is no longer under way
	late       bool
}

// observedPlaces are all places, by name.
func (c *statusCommand) observedPlaces() (places []observedPlace, err error) {
	if c.overview, err = c.newOverview(nil); err != nil {
		return nil, err
	}
	sums := map[string]catalog.Place{}
	for p, err := range c.catalog.Places() {
		if err != nil {
			return nil, err
		}
		sums[p.Name] = p
	}
	for _, e := range c.app.Schedule { // though it was never listed
		c.overview.of(e.Place.String())
	}
	for _, e := range c.app.Expect { // though nothing has landed
		c.overview.of(e.Place)
	}
	for _, name := range slices.Sorted(maps.Keys(c.overview)) {
		line, p := c.overview[name], sums[name]
		line.Landed, line.Doubts = p.Phases[catalog.Landed].Exports, p.Doubts.Exports
		line.Waiting = p.Phases[catalog.Asked].Exports
		line.Failed = p.Phases[catalog.Failed].Exports - p.Settled[catalog.Failed].Exports
		line.Gone = p.Phases[catalog.Damaged].Exports + p.Phases[catalog.Absent].Exports
		line.Accepted = p.Settled[catalog.Failed].Exports + p.Settled[catalog.Landed].Exports
		observed := observedPlace{placeLine: line, Place: p}
		for _, e := range c.app.Schedule {
			if e.Place.String() == name {
				observed.interval = e.LongestInterval()
			}
		}
		places = append(places, observed)
	}
	return places, nil
}

// addAlarms adds to places what is expected of them and is not met, and of how many exports
// the source counts other records than landed. What something is expected of is among them.
func (c *statusCommand) addAlarms(places []observedPlace, now time.Time) error {
	findings, err := coverage.Check(c.catalog, c.app.expectations(), now)
	if err != nil {
		return err
	}
	mismatched, err := c.catalog.Doubted(string(archive.WitnessMismatch))
	if err != nil {
		return err
	}
	if c.endings, err = endingsOf(c.catalog, now); err != nil {
		return err
	}
	c.addEndings()
	for i := range places {
		p := &places[i]
		p.mismatched = mismatched[p.placeLine.Place]
		for _, f := range findings {
			if f.Place == p.placeLine.Place {
				p.expected, p.late, p.gaps = true, p.late || f.Late, p.gaps+coverage.Length(f.Windows.Gaps)
			}
		}
	}
	return nil
}

// snapshot is what the metrics tell.
func (o *observer) snapshot(ctx context.Context) (s metrics.Snapshot, err error) {
	if space, known := o.archive.Space(); known {
		s.Disk = &space
	}
	if o.queue != nil {
		sizes, waiting, err := o.queue.Sizes(ctx)
		s.Redis = new(err == nil)
		s.Queues, s.Waiting = sizes, waiting
	}
	err = o.ask(ctx, func(c *statusCommand) error {
		places, err := c.observedPlaces()
		if err == nil {
			err = c.addAlarms(places, time.Now())
		}
		if err != nil {
			return err
		}
		for _, p := range places {
			s.Places = append(s.Places, metricsOf(p))
		}
		s.Cut, s.Causes = c.catalog.Cut != nil, map[string]int64{}
		for cause, err := range c.catalog.Causes(catalog.Filter{Phases: []catalog.Phase{catalog.Failed}}) {
			if err != nil {
				return err
			}
			s.Causes[cause.Cause] += cause.Exports - cause.Accepted
		}
		return nil
	})
	if err != nil {
		o.log.Warn("metrics lack what the archive holds", "error", redact.Text(err.Error()))
		err = fmt.Errorf("read the catalog: %w", err)
	}
	return s, err
}

// metricsOf is what the metrics tell of a place.
func metricsOf(p observedPlace) metrics.Place {
	at := func(t *time.Time) time.Time {
		if t == nil {
			return time.Time{}
		}
		return *t
	}
	return metrics.Place{
		Name: p.placeLine.Place, Doubts: p.placeLine.Doubts, Missing: p.Missing,
		Exports: map[string]int64{
			"landed": p.Landed, "waiting": p.Waiting, "failed": p.Failed, "accepted": p.Settled[catalog.Failed].Exports,
			"cancelled": p.Phases[catalog.Cancelled].Exports, "damaged": p.Phases[catalog.Damaged].Exports, "absent": p.Phases[catalog.Absent].Exports,
		},
		Bytes: p.Phases[catalog.Landed].Bytes, Records: p.Phases[catalog.Landed].Records,
		Listed: at(p.placeLine.Listed), LastLanded: at(p.placeLine.LastLanded), Proven: at(p.Proven), Due: at(p.Next), Interval: p.interval,
		Unlisted: p.placeLine.Message != "" && p.AcceptedBy == "", Mismatched: p.mismatched, Expected: p.expected, Gaps: p.gaps, Late: p.late, Ending: int64(p.Ending),
	}
}
