package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/cmd/tallyman/internal/config"
	"tallyman/fetch"
	"tallyman/fetch/redact"
	"tallyman/verify/archive"
	"tallyman/verify/archive/catalog"
	"tallyman/verify/archive/ledger"
	"tallyman/worker"
)

func newStatusCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status [REF|PLACE...]",
		Short: "Show what has landed, what is under way, and what needs you",
		Long: `Status begins with the places that exports are in: when each was last listed, when
something landed there, when that was last proven, its sums, and why it can't be
listed. Then it lists what needs someone, failures by their causes, with the command
that helps. It shows everything about the exports that are named. With --redis it
also knows exports that no worker has seen yet, and when the others are tried again.
If Redis is away, it says so, and tells what the archive knows.

It reads the catalog of the archive. Up to 5,000 exports it also looks whether their
bags are there; of more it tells what 'tallyman verify' has found.

  landed     in the archive, verified
  running    an attempt is being made
  waiting    for its job, or to be tried again
  queued     for a worker
  idle       begun, but in no queue that status knows of
  failed     needs someone: see the cause
  not ready  its job was not, when the time to wait for it was over
  cancelled  by 'tallyman cancel'
  accepted   by 'tallyman accept': known, counted apart, and red no longer`,
		Example: `  tallyman status
  tallyman status sls://cn-hangzhou/ali-test-project/
  tallyman status --since fri --json
  tallyman status sls://cn-hangzhou/ali-test-project/download-123`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.status(cmd, args) },
	}
	f := cmd.Flags()
	a.AddSince(f, "what landed or changed")
	a.AddAllowHost(f)
	f.BoolVar(&a.ExitCode, "exit-code", false, "exit with the worst of 12: damaged or gone, 7: failed,\n9: doubts, gaps or late, 5: a place can't be listed, or\nRedis is away")
	cli.GroupFlags(f, "What to show", "since", "exit-code", "allow-host")
	a.AddQueue(f)
	a.AddCatalog(f)
	return cmd
}

func (a *app) status(cmd *cobra.Command, args []string) error {
	store, err := a.openRequired()
	if err != nil {
		return err
	}
	c := &statusCommand{app: a, archive: store, stdout: cmd.OutOrStdout(), counts: map[worker.ExportState]int{}}
	stop, err := c.readQueue(cmd)
	if err != nil {
		return err
	}
	defer stop()
	defer func() {
		if c.catalog != nil {
			c.catalog.Close()
		}
	}()
	places, refs := placesAmong(args)
	if len(args) == 0 || len(places) > 0 {
		if c.catalog, err = a.openCatalog(cmd, store); err != nil {
			return err
		}
		if err := c.printAll(cmd.Context(), places); err != nil {
			return err
		}
		if err := cutOf(c.catalog); err != nil && a.ExitCode {
			return err
		} else if err != nil {
			fmt.Fprintln(cmd.ErrOrStderr(), redact.Text(err.Error()))
		}
	}
	providers := a.newProviders()
	for _, arg := range refs {
		ref, err := a.reference(arg, providers)
		if err == nil {
			err = c.printExport(cmd, ref)
		}
		if err != nil {
			return err
		}
	}
	if a.ExitCode && c.worst != worker.ExitLanded {
		return cli.ExitError(c.worst)
	}
	return nil
}

// printExport prints how one export fares.
func (c *statusCommand) printExport(cmd *cobra.Command, ref fetch.Ref) error {
	status, err := c.reader.Export(ref)
	if err != nil {
		return usageError(ref, err)
	}
	line := c.newStatusLine(status)
	if status.Receipt != nil {
		if line.Doubts, err = c.archive.Doubts(status.Receipt); err != nil {
			return err
		}
	}
	if status.State == worker.StateFailed || len(line.Doubts) > 0 {
		if err := c.readAcceptance(cmd, &line, status); err != nil {
			return err
		}
	}
	if status.Receipt == nil && status.State != worker.StateFailed && status.State != worker.StateCancelled {
		if err := c.readEnding(cmd, &line, status.Key); err != nil {
			return err
		}
	}
	c.worsen(&line)
	c.print(line)
	return nil
}

// placesAmong tells the places among arguments from the references.
func placesAmong(args []string) (places, refs []string) {
	for _, arg := range args {
		if place, err := fetch.ParsePlace(arg); err == nil {
			places = append(places, place.String())
		} else if strings.HasSuffix(arg, "/") && strings.Count(arg, "/") == 3 { // how placeOf groups what is in no place
			places = append(places, arg)
		} else {
			refs = append(refs, arg)
		}
	}
	return places, refs
}

// readQueue reads the queue, if there is one and its Redis answers. The caller calls stop.
func (c *statusCommand) readQueue(cmd *cobra.Command) (stop func(), err error) {
	client, stop := &worker.Client{Archive: c.archive}, func() {}
	if c.app.Redis.Value != "" {
		var queue *worker.Queue
		if queue, stop, err = c.app.openQueue(cmd, c.archive, nil, statusPatience); err == nil {
			client.Queue = queue
			c.reader, err = client.Status(cmd.Context())
		} else {
			stop = func() {}
		}
		if err != nil && !errors.Is(err, worker.ErrRedis) {
			stop()
			return nil, err
		}
		c.away = err
	}
	if c.away != nil {
		c.raise(worker.ExitTemporary)
		fmt.Fprintf(cmd.ErrOrStderr(), "Redis is away: %s\nThis is what the archive alone knows: exports that no worker has seen yet are not among it.\nhint: %s\n",
			redact.Text(c.away.Error()), hint("", c.away))
	}
	if c.reader == nil {
		client.Queue = nil
		c.reader, _ = client.Status(cmd.Context())
	}
	return stop, nil
}

// readAcceptance reads whether a person takes what is wrong with an export as it is.
func (c *statusCommand) readAcceptance(cmd *cobra.Command, line *statusLine, status worker.Status) (err error) {
	if c.catalog == nil {
		if c.catalog, err = c.app.openCatalog(cmd, c.archive); err != nil {
			return err
		}
	}
	if e, err := c.catalog.Export(status.Key); err == nil {
		line.accept(e, status)
	}
	return nil
}

// statusPatience is for a Redis that does not answer: the archive tells most.
const statusPatience = 1500 * time.Millisecond

// statusCommand is a run of the command.
type statusCommand struct {
	app     *app
	archive *archive.Archive
	reader  *worker.StatusReader
	away    error // why the Redis of the queue does not answer, or nil
	stdout  io.Writer
	catalog *catalog.Catalog
	current catalog.Export // that was read of the catalog last

	unseen bool // the bags of what landed were not looked at, since they are many

	overview overview
	endings  map[string]ending // of exports, by key
	worst    int               // the exit code of the worst that was met; 0: nothing

	counts   map[worker.ExportState]int
	doubts   int           // exports that landed with doubts that nobody has accepted
	accepted int           // exports of which what is wrong is accepted
	notReady int           // of those that failed, the ones whose jobs were not ready in time
	gone     int           // of those that failed, the ones that landed and are damaged or gone
	listed   []*statusLine // to be printed once all are known
}

// printAll counts the exports of places, or all, and prints those that someone should know
// of; with --json, all.
func (c *statusCommand) printAll(ctx context.Context, places []string) (err error) {
	if c.overview, err = c.newOverview(places); err != nil {
		return err
	}
	if c.endings, err = endingsOf(c.catalog, time.Now()); err != nil {
		return err
	}
	if err := c.addLanded(ctx, places); err != nil {
		return err
	}
	for status, err := range c.reader.Pending(ctx, c.archive.StatesBy(c.phases())) {
		if err != nil {
			return err
		}
		place := c.current.Place
		if c.current.Key != status.Key {
			place = placeOf(status.Reference, "")
		}
		if status.State == worker.StateRemoved || len(places) > 0 && !slices.Contains(places, place) {
			continue
		}
		line := c.newStatusLine(status)
		line.place = place
		line.setEnding(c.endings, status.Key)
		if status.State == worker.StateFailed || status.Record == nil || status.Record.Kept {
			e, err := c.current, error(nil)
			if e.Key != status.Key {
				e, err = c.catalog.Export(status.Key)
			}
			if err == nil && status.State == worker.StateFailed {
				line.accept(e, status)
			}
			if err == nil && (e.Phase == catalog.Damaged || e.Phase == catalog.Absent) {
				continue // an earlier version was asked for what is known to be damaged
			}
		}
		if err := c.add(line); err != nil {
			return err
		}
	}
	if c.doubts > 0 {
		c.raise(worker.ExitDoubts)
	}
	if err := c.checkPlaces(places); err != nil {
		return err
	}
	if err := c.addFindings(places, time.Now()); err != nil {
		return err
	}
	c.addEndings()
	if err := c.printPlaces(); err != nil {
		return err
	}
	c.printCounts()
	if c.unseen && !c.app.JSON {
		fmt.Fprintln(c.stdout, "The bags are many, and none was looked at: what is damaged or gone is as 'tallyman verify' saw it last.")
	}
	return nil
}

// printPlaces prints the places of the overview.
func (c *statusCommand) printPlaces() error {
	for _, name := range slices.Sorted(maps.Keys(c.overview)) {
		p := c.overview[name]
		if interval := c.reader.Intervals[name]; interval > 0 && p.Waiting > 0 {
			p.PolledEvery = interval.Round(time.Second).String()
		}
		if p.Message != "" && p.AcceptedBy == "" {
			c.raise(worker.ExitTemporary)
		}
		if c.app.JSON {
			if err := cli.PrintJSON(c.stdout, p); err != nil {
				return err
			}
		}
	}
	if c.catalog.Cut != nil {
		c.raise(worker.ExitDamaged)
	}
	if !c.app.JSON {
		c.overview.print(c.stdout, time.Now())
	}
	return nil
}

// phases tell how far exports are by the catalog.
func (c *statusCommand) phases() archive.Phases {
	stateOf := func(e catalog.Export) archive.State {
		return archive.State{
			Ledger: ledger.Schema, Reference: e.Ref, Key: e.Key, FirstSeen: e.FirstAsked, Asked: e.Asked, Phase: phaseOf[e.Phase], Profile: e.Profile, Wait: e.Wait,
			Attempts: e.Attempts, Cause: e.Cause, Message: e.Message, RequestID: e.RequestID, Changed: e.Changed,
		}
	}
	of := func(key string) (archive.State, error) {
		e, err := c.catalog.Export(key)
		return stateOf(e), err
	}
	unlanded := func(yield func(archive.State, error) bool) {
		for e, err := range c.catalog.Exports(catalog.Filter{Phases: slices.Collect(maps.Keys(phaseOf)), Order: catalog.Unordered}) {
			if c.current = e; !yield(stateOf(e), err) {
				return
			}
		}
	}
	return archive.Phases{Of: of, Unlanded: unlanded}
}

// phaseOf are the phases of exports that have not landed.
var phaseOf = map[catalog.Phase]archive.Phase{
	catalog.Asked: archive.Waiting, catalog.Failed: archive.Failed, catalog.Cancelled: archive.Cancelled, catalog.Removed: archive.Removed,
}

// checkPlaces returns a UsageError for a place of which nothing is known.
func (c *statusCommand) checkPlaces(places []string) error {
	for _, name := range places {
		isScheduled := func(e worker.ScheduleEntry) bool { return e.Place.String() == name }
		isExpected := func(e config.Expectation) bool { return e.Place == name }
		if c.overview[name] == nil && !slices.ContainsFunc(c.app.Schedule, isScheduled) && !slices.ContainsFunc(c.app.Expect, isExpected) {
			known := slices.Sorted(maps.Keys(c.overview))
			return &cli.UsageError{Err: fmt.Errorf("%s: %w%s", name, worker.ErrUnknownExport, cli.DidYouMean("", name, known)), Reference: name}
		}
	}
	return nil
}

// badness orders exit codes: the last is the worst.
var badness = []int{worker.ExitLanded, worker.ExitTemporary, worker.ExitDoubts, worker.ExitGone, worker.ExitDamaged}

// raise has the command end with an exit code, unless a worse one was met.
func (c *statusCommand) raise(exit int) {
	if slices.Index(badness, exit) > slices.Index(badness, c.worst) {
		c.worst = exit
	}
}

// worsen raises the exit code by what is wrong with an export.
func (c *statusCommand) worsen(line *statusLine) {
	switch {
	case line.Accepted != "":
	case line.State == worker.StateFailed && line.Path != "":
		c.raise(worker.ExitDamaged)
	case line.State == worker.StateFailed:
		c.raise(worker.ExitGone)
	case len(line.Doubts) > 0:
		c.raise(worker.ExitDoubts)
	}
}

// add counts an export unless it is older than --since. It prints it with
// --json, or keeps it to be listed if someone should know of it. It returns an
// error if nobody reads on.
func (c *statusCommand) add(line statusLine) error {
	if when := cmp.Or(line.Landed, line.Changed, line.FirstSeen); when != nil && when.Before(c.app.Since.Value) {
		return nil
	}
	c.worsen(&line)
	c.overview.add(&line)
	switch {
	case line.Accepted != "":
		c.accepted++
	case len(line.Doubts) > 0:
		c.doubts++
	case line.notReady():
		c.notReady++
	case line.State == worker.StateFailed && line.Path != "":
		c.gone++
	}
	if line.Accepted == "" || line.State == worker.StateLanded {
		c.counts[line.State]++
	}
	if c.app.JSON {
		return cli.PrintJSON(c.stdout, line.withHint())
	}
	isKnown := line.State == worker.StateLanded && len(line.Doubts) == 0 && c.app.Since.Value.IsZero()
	if !isKnown && line.State != worker.StateQueued && line.State != worker.StateCancelled {
		c.listed = append(c.listed, &line)
	}
	return nil
}
