package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/fetch"
	"tallyman/verify/archive"
	"tallyman/verify/archive/catalog"
	"tallyman/verify/archive/coverage"
	"tallyman/worker"
)

func newEnsureCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ensure PLACE --logstore L --window 1h --since 30d",
		Short: "Make the export jobs that a time lacks, and fetch them",
		Long: `Ensure divides a time into windows, makes an export job for each that the archive
lacks, waits for it, and fetches it as fetch does. A window is lacking unless exports
that landed and are whole cover it, or one was removed, or a person accepted the gap.
It is idempotent: run it again, or twice at once, and each window still has one job.
The name of a job follows from its window, its query and its format; a job of that name
which was made for something else is refused (exit code 4). A job that failed, or whose
result is gone, is followed by another, three in all. A quota of jobs is waited for.

Windows begin at midnight, of UTC or --align, and are exported once they are over for
--settle, since rows arrive late. With --again all windows are exported once more.
--delete-jobs removes a job from its service once it has landed, and only jobs that
this archive has made, unless the count of the source is in doubt.

It writes at the source: the README has the RAM policy that it needs. SLS alone makes
jobs so.`,
		Example: `  tallyman ensure sls://cn-hangzhou/my-project/ --logstore access --since 30d --dry-run
  tallyman ensure sls://cn-hangzhou/my-project/ --logstore access --since 30d --window 1d
  tallyman ensure sls://cn-hangzhou/my-project/ --logstore access --since 2d --query 'level: ERROR'`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return a.ensure(cmd, args[0]) },
	}
	f := cmd.Flags()
	a.Until = flagvalue.New("TIME", "", flagvalue.ParseTime)
	a.Window = flagvalue.New("DURATION", "1h", flagvalue.ParseDuration)
	a.Settle = flagvalue.New("DURATION", "15m", flagvalue.ParseDuration)
	f.StringVar(&a.LogStore, "logstore", "", "the `LOGSTORE` to export; it must be given")
	f.StringVar(&a.Query, "query", "", "the `QUERY` to export (default: all)")
	f.Var(&a.Window, "window", "how long each window is: a part of a day,\nor whole days")
	a.AddSince(f, "windows that begin")
	f.Var(&a.Until, "until", "only windows that end by `TIME`")
	f.StringVar(&a.Align, "align", "UTC", "windows begin at midnight of this `ZONE`,\nas Asia/Shanghai")
	f.Var(&a.Settle, "settle", "how long a window must be over")
	f.StringVar(&a.Format, "format", "csv", "`csv or json`")
	f.StringVar(&a.Compression, "compression", "zstd", "`zstd, gzip, lz4 or none`")
	f.BoolVar(&a.Again, "again", false, "export windows once more that have landed,\nbeside what landed")
	f.IntVar(&a.JobsAtOnce, "jobs-at-once", 4, "`N` jobs at the same time")
	f.BoolVar(&a.DeleteJobs, "delete-jobs", false, "remove jobs from their service once they have landed,\nof those that this archive has made")
	f.BoolVar(&a.DryRun, "dry-run", false, "print the windows that lack, and make nothing")
	cli.GroupFlags(f, "What to export", "logstore", "query", "window", "since", "until", "align", "settle", "format", "compression", "again", "jobs-at-once", "delete-jobs", "dry-run")
	a.AddCreate(f)
	a.AddTransfer(f)
	a.AddWait(f)
	a.AddCalls(f)
	a.AddWitness(f)
	a.AddCatalog(f)
	return cmd
}

// ensureLine is what ensure --dry-run --json prints of a window that lacks.
type ensureLine struct {
	Schema    string    `json:"schema"`
	Reference string    `json:"reference"` // of the job that would be made, unless it failed before
	State     string    `json:"state"`     // "to-create"
	From      time.Time `json:"from"`
	To        time.Time `json:"to"`
	Group     string    `json:"group"`
}

// checkEnsure returns a UsageError if a flag of ensure is out of range.
func (a *app) checkEnsure() error {
	const day = 24 * time.Hour
	window := a.Window.Value
	switch {
	case a.LogStore == "":
		return cli.Usagef("name the log store to export, by --logstore")
	case a.Since.Value.IsZero():
		return cli.Usagef("say from when on, by --since")
	case window < time.Minute || window%time.Second != 0 || day%window != 0 && window%day != 0:
		return cli.Usagef("--window %v: must be at least a minute, and a part of a day or whole days", &a.Window)
	case a.Settle.Value < 0:
		return cli.Usagef("--settle %v: must not be negative", &a.Settle)
	case a.JobsAtOnce < 1:
		return cli.Usagef("--jobs-at-once %d: must be 1 or more", a.JobsAtOnce)
	case a.Format != "csv" && a.Format != "json":
		return cli.Usagef("--format %s: must be csv or json", a.Format)
	}
	if _, err := flagvalue.OneOf("zstd", "gzip", "lz4", "none")(a.Compression); err != nil {
		return cli.Usagef("--compression %s: %w", a.Compression, err)
	}
	if _, _, err := splitWindowGroup(windowGroup(a.LogStore, a.Query)); err != nil {
		return cli.Usagef("--query: %w", err)
	}
	if !a.Until.Value.IsZero() && !a.Since.Value.Before(a.Until.Value) {
		return cli.Usagef("--since %v --until %v: no time is between them", &a.Since, &a.Until)
	}
	return cmp.Or(a.Check(), a.CheckWitness())
}

func (a *app) ensure(cmd *cobra.Command, arg string) error {
	if err := a.checkEnsure(); err != nil {
		return err
	}
	windows, err := a.windowsToEnsure()
	if err != nil {
		return err
	}
	place, err := fetch.ParsePlace(arg)
	if err != nil {
		return &cli.UsageError{Err: err}
	}
	providers := a.newProviders()
	creator, ok := serviceOf[fetch.Creator](providers, place)
	if !ok {
		return cli.Usagef("%s: its service makes no jobs of windows; ensure is for sls://REGION/PROJECT/", place)
	}
	may := archive.SiteBegun
	if a.DryRun {
		may = archive.SiteArchive
	}
	store, err := a.openArchive(a.mayMake(may))
	if _, none := errors.AsType[*archive.NoArchiveError](err); none && a.DryRun {
		store, err = nil, nil // then all is lacking
	}
	if err != nil {
		return err
	}
	lacking, err := a.lackingWindows(cmd, store, place, windows)
	if err != nil {
		return err
	}
	if !a.Quiet {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s of %v, of which %d lack\n", cli.Plural(int64(len(windows)), "window"), &a.Window, len(lacking))
	}
	report := a.newReport(cmd, store)
	defer report.Close()
	if a.DryRun {
		return printLacking(report, creator, lacking)
	}
	if store.Made {
		fmt.Fprintln(cmd.ErrOrStderr(), a.made(store))
	}
	queue := a.startLocal(cmd.Context(), providers, store, report)
	defer queue.Close()
	c := &ensureCommand{app: a, report: report, testifier: newTestifier(store, providers, store.SinceLanded)}
	c.ensurer = &worker.Ensurer{Archive: store, Creator: creator, Patience: max(a.Poll.Value, time.Second), Note: report.Pause,
		Fetch: func(ctx context.Context, ref fetch.Ref) (*archive.Receipt, error) {
			if _, err := store.Receipt(ref.Key()); errors.Is(err, archive.ErrDamaged) {
				ref = ref.WithRepair()
			}
			return queue.Fetch(ctx, ref)
		}}
	c.ensureAll(cmd.Context(), lacking)
	return report.Exit()
}

// windowsToEnsure are the windows that the flags name. It returns a UsageError for a zone that
// is not known.
func (a *app) windowsToEnsure() ([]coverage.Span, error) {
	zone, err := time.LoadLocation(a.Align)
	if err != nil {
		return nil, cli.Usagef("--align %s: %w", a.Align, err)
	}
	until := time.Now().Add(-a.Settle.Value)
	if !a.Until.Value.IsZero() && a.Until.Value.Before(until) {
		until = a.Until.Value
	}
	return windowsBetween(a.Since.Value, until, a.Window.Value, zone), nil
}

// printLacking prints the jobs that would be made.
func printLacking(report *cli.Report, creator fetch.Creator, lacking []fetch.Creation) error {
	for _, c := range lacking {
		ref, err := creator.NewJob(c)
		if err != nil {
			return err
		}
		line := ensureLine{"tallyman.ensure/v1", ref.String(), "to-create", c.From, c.To, c.Group}
		report.Print(line, fmt.Sprintf("to create  %s  %s to %s", ref, c.From.Format(time.RFC3339), c.To.Format(time.RFC3339)))
	}
	return nil
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

// lackingWindows returns what is to be made for the windows that the archive lacks or, with
// --again, for all of them.
func (a *app) lackingWindows(cmd *cobra.Command, store *archive.Archive, place fetch.Ref, windows []coverage.Span) (lacking []fetch.Creation, err error) {
	group := windowGroup(a.LogStore, a.Query)
	var settled []coverage.Span
	instead := map[coverage.Span]string{}
	if store != nil {
		known, err := a.openCatalog(cmd, store)
		if err != nil {
			return nil, err
		}
		defer known.Close()
		if a.Again {
			instead, err = newestExports(known, place, group)
		} else {
			settled, err = settledSpans(known, place, group)
		}
		if err := errors.Join(err, cutOf(known)); err != nil {
			return nil, err
		}
	}
	for _, w := range windows {
		for len(settled) > 0 && settled[0].To <= w.From {
			settled = settled[1:]
		}
		if len(settled) > 0 && settled[0].From <= w.From && w.To <= settled[0].To {
			continue
		}
		lacking = append(lacking, fetch.Creation{
			Window: fetch.Window{Place: place, Group: group, From: time.Unix(w.From, 0).UTC(), To: time.Unix(w.To, 0).UTC()},
			Format: a.Format, Compression: a.Compression, Instead: instead[w],
		})
	}
	return lacking, nil
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

// ensureCommand is a run of the command.
type ensureCommand struct {
	app       *app
	report    *cli.Report
	ensurer   *worker.Ensurer
	testifier *worker.Testifier
}

// ensureAll has windows exported, several at once, the first ones first.
func (c *ensureCommand) ensureAll(ctx context.Context, lacking []fetch.Creation) {
	next := make(chan fetch.Creation)
	var running sync.WaitGroup
	for range min(c.app.JobsAtOnce, len(lacking)) {
		running.Go(func() {
			for creation := range next {
				c.ensureOne(ctx, creation)
			}
		})
	}
	for _, creation := range lacking {
		select {
		case next <- creation:
		case <-ctx.Done():
		}
	}
	close(next)
	running.Wait()
}

// ensureOne has a window exported, and removes its job if that is asked for.
func (c *ensureCommand) ensureOne(ctx context.Context, creation fetch.Creation) {
	ref, receipt, err := c.ensurer.Ensure(ctx, creation)
	if ref.Scheme() == "" {
		ref = creation.Place
	}
	var testimony *archive.Testimony
	if err == nil {
		receipt, testimony = c.app.withCount(ctx, c.testifier, c.report, ref, receipt)
	}
	c.report.End(ref, receipt, err)
	if err != nil || !c.app.DeleteJobs {
		return
	}
	switch deleted, err := c.deleteJob(ctx, ref, receipt, testimony); {
	case err != nil:
		c.report.Pause(ref, "its job is not removed: "+err.Error())
	case deleted:
		c.report.Pause(ref, "its job is removed from its service")
	}
}

// deleteJob removes the job of an export that landed, unless the source's own count of the
// window, which is asked for if it is nil, is in doubt.
func (c *ensureCommand) deleteJob(ctx context.Context, ref fetch.Ref, receipt *archive.Receipt, testimony *archive.Testimony) (bool, error) {
	if testimony == nil {
		asked, _, err := c.testifier.Testify(ctx, ref, receipt.Window)
		if err != nil && !errors.Is(err, worker.ErrNoWitness) && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
		if err == nil {
			testimony = &asked
		}
	}
	if testimony != nil {
		if verdict, text := testimony.Judge(); verdict.IsDoubt() {
			return false, errors.New(string(verdict) + ": " + text)
		}
	}
	return c.ensurer.Delete(ctx, ref)
}
