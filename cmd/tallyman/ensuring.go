package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/cmd/tallyman/internal/config"
	"tallyman/fetch"
	"tallyman/fetch/redact"
	"tallyman/verify/archive"
	"tallyman/verify/archive/catalog"
	"tallyman/worker"
)

// keepEnsuring has the windows exported that the configuration file says, by a worker's queue,
// until end is called. It returns a UsageError for a query that no job can be made for.
func (a *app) keepEnsuring(ctx context.Context, store *archive.Archive, providers map[string]fetch.Provider, log *slog.Logger) (begin func(*worker.Worker), end func(), err error) {
	for i := range a.Ensure {
		if _, _, err := splitWindowGroup(windowGroup(a.Ensure[i].LogStore, a.Ensure[i].Query)); err != nil {
			return nil, nil, cli.Usagef("ensure: query: %w", err)
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	begin = func(w *worker.Worker) {
		for _, e := range a.Ensure {
			s := &scheduledEnsure{app: a, Ensure: e, archive: store, providers: providers, worker: w, log: log}
			running.Go(func() { s.keep(ctx) })
		}
	}
	return begin, func() { cancel(); running.Wait() }, nil
}

// A scheduledEnsure has what lacks of one log store and query exported by a worker's queue.
type scheduledEnsure struct {
	config.Ensure
	app       *app
	archive   *archive.Archive
	providers map[string]fetch.Provider
	worker    *worker.Worker
	log       *slog.Logger
}

// keep looks what lacks as often as it is to, until ctx ends. Of the workers of an archive one
// does so at a time.
func (s *scheduledEnsure) keep(ctx context.Context) {
	name := fmt.Sprintf("ensure-%x", sha256.Sum256(fmt.Append(nil, s.Place.String(), "\n", windowGroup(s.LogStore, s.Query), s.Window)))
	for {
		end, err := s.archive.Exclusive(name)
		if err == nil {
			err = s.run(ctx)
			end()
		}
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !errors.Is(err, archive.ErrBusy):
			s.log.Warn("what lacks can't be told", "place", s.Place.String(), "cause", string(worker.Classify(err).Cause), "error", err)
		}
		if fetch.Sleep(ctx, s.Every) != nil {
			return
		}
	}
}

// run has what lacks now exported.
func (s *scheduledEnsure) run(ctx context.Context) error {
	now := time.Now()
	plan := &ensurePlan{Ensure: s.Ensure, since: now.Add(-s.Since), until: now.Add(-s.Settle)}
	if err := s.look(ctx, plan); err != nil || len(plan.lacking) == 0 {
		return err
	}
	creator, ok := serviceOf[fetch.Creator](s.providers, s.Place)
	if !ok {
		return fmt.Errorf("%s: its service makes no jobs of windows", s.Place)
	}
	s.log.Info("windows lack, and are exported", "place", s.Place.String(), "exports", len(plan.lacking))
	note := func(ref fetch.Ref, text string) { s.log.Debug("note", "ref", ref.String(), "note", redact.Text(text)) }
	known := &headers{app: s.app, archive: s.archive}
	defer known.Close()
	c := &ensuring{app: s.app, plan: plan, testifier: newTestifier(s.archive, s.providers, s.archive.SinceLanded, known.from), note: note, end: s.tell}
	c.ensurer = &worker.Ensurer{Archive: s.archive, Creator: creator, Patience: max(s.app.Poll.Value, time.Second), Note: note,
		Fetch: func(ctx context.Context, ref fetch.Ref) (*archive.Receipt, error) {
			if _, err := s.archive.Receipt(ref.Key()); errors.Is(err, archive.ErrDamaged) {
				ref = ref.WithRepair()
			}
			return s.worker.Await(ctx, ref)
		}}
	c.ensureAll(ctx)
	return nil
}

// look finds what lacks by a catalog of its own, which it does not keep: it is asked for
// rarely.
func (s *scheduledEnsure) look(ctx context.Context, plan *ensurePlan) error {
	known, err := catalog.Open(ctx, s.archive, s.app.followOptions())
	if err != nil {
		return err
	}
	defer known.Close()
	if err = plan.look(known); err == nil && plan.MaxRecords > 0 {
		_, _, err = plan.split(ctx, s.providers)
	}
	return err
}

// tell logs that a window could not be exported. The queue logs what lands.
func (s *scheduledEnsure) tell(ref fetch.Ref, _ *archive.Receipt, err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		s.log.Warn("a window is not exported", "ref", ref.String(), "cause", string(worker.Classify(err).Cause), "error", err, "hint", hint(ref.String(), err))
	}
}
