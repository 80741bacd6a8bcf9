package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/time/rate"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/fetch"
	"tallyman/fetch/redact"
	"tallyman/verify/archive"
	"tallyman/worker"
)

func newFetchCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fetch REF... | -f FILE",
		Short: "Wait for exports, fetch them, verify them, and let them land",
		Long: `Fetch waits until the job of each export is done, streams the result, verifies it
and lets it land in the archive. What has landed before is skipped, so running it
again tries only what failed. What is damaged or gone is told (exit code 12), and
--repair fetches it anew. A prefix of a bucket that has landed is listed once more:
what is new under it is told (exit code 9), and --new fetches it.

With -f, references come from a file too, one a line. Empty lines, and lines that
begin with #, are skipped. The whole file is checked before anything is fetched.
From a pipe, and from standard input (-f -), references are fetched as they come,
up to 1024 of them at the same time; a bad line counts as an export that failed.`,
		Example: `  tallyman fetch sls://cn-hangzhou/ali-test-project/download-123
  tallyman fetch 'https://example.com/a.csv.gz#md5=9e107d9d372bb6826bd81d3542a419d6&records=1200'
  tallyman discover sls://cn-hangzhou/ali-test-project/ --since 2d | tallyman fetch -f -
  tallyman fetch -f references.txt --dry-run`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.fetch(cmd, args) },
	}
	f := cmd.Flags()
	a.AddReferences(f)
	f.BoolVar(&a.DryRun, "dry-run", false, "ask each job once, print what would be fetched,\nand write nothing")
	f.BoolVar(&a.New, "new", false, "of a prefix that has landed, fetch what is new or has changed\nsince, into a new bag KEY@TIME; the old bag stays")
	f.BoolVar(&a.Repair, "repair", false, "check what has landed, and fetch anew, into its place, what is\ndamaged or gone; the old bag is put aside in .damaged")
	cli.GroupFlags(f, "What to fetch", "file", "dry-run", "again", "new", "repair")
	a.AddCreate(f)
	a.AddTransfer(f)
	a.AddWait(f)
	a.AddCalls(f)
	a.AddWitness(f)
	return cmd
}

func (a *app) fetch(cmd *cobra.Command, args []string) error {
	if err := cmp.Or(a.Check(), a.CheckWitness()); err != nil {
		return err
	}
	if a.Again && a.New {
		return cli.Usagef("--again fetches all of an export once more, --new what has come to a prefix since: use one of them")
	}
	if a.Repair && (a.Again || a.New || a.DryRun) {
		return cli.Usagef("--repair fetches into the place of what has landed: it goes with none of --again, --new and --dry-run")
	}
	providers := a.newProviders()
	refs, err := a.references(cmd, args, providers)
	if err != nil {
		return err
	}
	if a.DryRun {
		store, err := a.openPlanned()
		if err != nil {
			return err
		}
		report := a.newReport(cmd, store)
		defer report.Close()
		c := &planCommand{a, providers, store, report, a.newPrefixLister(cmd.Context(), providers, store)}
		forEachReference(cmd.Context(), refs, a.Parallel, report, c.plan)
		return report.Exit()
	}
	store, err := a.openArchive(a.mayMake(archive.SiteBegun))
	if err != nil {
		return err
	}
	if store.Made {
		fmt.Fprintln(cmd.ErrOrStderr(), a.made(store))
	}
	report := a.newReport(cmd, store)
	defer report.Close()
	queue := a.startLocal(cmd.Context(), providers, store, report)
	defer queue.Close()
	known := &headers{app: a, archive: store}
	defer known.Close()
	c := &fetchCommand{
		app: a, testifier: newTestifier(store, providers, store.SinceLanded, known.from), queue: queue, archive: store, report: report, lister: a.newPrefixLister(cmd.Context(), providers, store),
		named: map[string]bool{}, again: a.Again, repair: a.Repair, began: time.Now(),
	}
	for _, arg := range args {
		if ref, err := fetch.ParseRef(arg); err == nil {
			c.named[ref.Key()] = true
		}
	}
	forEachReference(cmd.Context(), refs, maxConcurrentReferences, report, c.fetch)
	return report.Exit()
}

// maxConcurrentReferences is how many exports are dealt with at the same time.
// Most of them may be waiting for their jobs.
const maxConcurrentReferences = 1024

// fetchCommand is a run of the command fetch or, without a Redis, retry.
type fetchCommand struct {
	app       *app
	queue     *worker.Local
	archive   *archive.Archive
	report    *cli.Report
	lister    *prefixLister
	testifier *worker.Testifier
	named     map[string]bool // exports of the command line, by key: what was removed is fetched again only if it is one of them
	again     bool
	repair    bool
	began     time.Time
}

// fetch fetches one export unless it has landed, or with --again even then. Of a
// prefix that has landed it tells what is new, or with --new fetches that. An export of a
// list that was removed is settled.
func (c *fetchCommand) fetch(ctx context.Context, ref fetch.Ref) {
	var receipt *archive.Receipt
	var err error
	if c.repair {
		switch damaged, err := checkDamage(ctx, c.archive, ref); {
		case err != nil:
			c.report.End(ref, nil, err)
			return
		case damaged:
			receipt, err = c.queue.Fetch(ctx, ref.WithRepair())
			c.report.End(ref, receipt, err)
			return
		}
		_, _ = c.archive.Repaired(ref.Key()) // clears up behind a repair that failed before it was put back
	}
	if c.again {
		receipt, err = c.archive.Landed(ref.Key())
	} else { // it compares what landed for another query
		receipt, err = c.lister.fetcher.Landed(ctx, ref)
	}
	removed, isRemoved := errors.AsType[*archive.RemovedError](err)
	switch {
	case isRemoved && !c.named[ref.Key()]:
		line := removedLine{"tallyman.removed/v1", ref.String(), "removed", worker.StateRemoved, "", removed.Deleted, removed.By, redact.Text(removed.Reason)}
		c.report.RemovedBefore(line, fmt.Sprintf("removed   %s  (before: %s)", ref, redact.Text(removed.Error())))
		return
	case errors.Is(err, fetch.ErrReceiptMismatch), !c.again && errors.Is(err, archive.ErrDamaged):
		c.report.End(ref, nil, err)
		return
	case c.again && !errors.Is(err, fs.ErrNotExist): // even if it is damaged or gone
		ref = worker.NextRevision(c.archive, ref, c.began)
	case err == nil:
		changes, err := c.lister.changes(ctx, ref)
		if err != nil {
			c.report.End(ref, nil, err)
			return
		}
		if !c.lister.newOnly || !changes.HasMore() {
			c.report.LandedBefore(ref, receipt, changes)
			return
		}
		ref = worker.NextNewOnly(c.archive, ref, c.began)
	}
	if receipt, err = c.queue.Fetch(ctx, ref); err == nil {
		receipt, _ = c.app.withCount(ctx, c.testifier, c.report.Pause, ref, receipt)
	}
	c.report.End(ref, receipt, err)
}

// listener hears how exports get on. Its methods are called by many goroutines
// at once.
type listener interface {
	Progress(fetch.Progress)
	Pause(ref fetch.Ref, note string)
	Outage(worker.OutageEvent)
}

// startLocal starts a worker for callers in this process. The caller must close it.
func (a *app) startLocal(ctx context.Context, providers map[string]fetch.Provider, store *archive.Archive, listener listener) *worker.Local {
	return worker.StartLocal(&worker.Worker{
		Archive:         store,
		Fetcher:         a.newFetcher(ctx, providers, store, listener.Progress),
		PollConcurrency: a.Parallel, FetchConcurrency: a.Parallel,
		Wait: a.Wait.Value, PollInterval: a.Poll.Value, Attempts: a.Attempts, Patient: a.WaitGiven,
		OnNote: listener.Pause, OnOutage: listener.Outage, Profile: a.profile,
	})
}

// profile names the account that an export is fetched with.
func (a *app) profile(ref fetch.Ref) string { return a.Place(ref).Profile }

// newFetcher returns a Fetcher with these settings. Its attempts end soon after
// ctx does. The memory of the process is limited to what these settings need, unless
// GOMEMLIMIT says otherwise.
func (a *app) newFetcher(ctx context.Context, providers map[string]fetch.Provider, store *archive.Archive, progress func(fetch.Progress)) *fetch.Fetcher {
	// Otherwise the garbage collector would wait until there is as much garbage as the
	// windows of decoders have bytes.
	if a.MaxMemory.Value != 0 && os.Getenv("GOMEMLIMIT") == "" {
		const rest, perRequest = 8 << 20, 128 << 10
		requests := int64(max(a.Parallel, 16)) // of one export
		debug.SetMemoryLimit(a.MaxMemory.Value + rest + requests*requests*perRequest)
	}
	f := &fetch.Fetcher{
		Providers: providers, StatusCaches: fetch.StatusCaches(providers, a.Account), Archive: store,
		Parallel: a.Parallel, PartSize: a.PartSize.Value, Progress: progress,
		Version: buildVersion(debug.ReadBuildInfo()), Profile: a.profile,
		Keep: fetch.Keep(a.Keep.Value), MinRate: cmp.Or(a.MinRate.Value, -1),
		MaxSize: a.MaxSize.Value, MaxDecoded: a.MaxDecoded.Value, MaxMemory: a.MaxMemory.Value, Soft: ctx,
	}
	f.Limits.Entries = a.MaxEntries
	if bytesPerSecond := a.LimitRate.Value; bytesPerSecond > 0 {
		// One read takes at most a burst, which is the least of three: the bytes of
		// a tenth of a second, 128 KiB, and what lets every connection read once in
		// ten seconds.
		connections := int64(a.Parallel) * int64(a.Parallel)
		burst := max(1, min(bytesPerSecond/10, bytesPerSecond*10/connections, 128<<10))
		f.Limit = rate.NewLimiter(rate.Limit(bytesPerSecond), int(burst))
	}
	return f
}
