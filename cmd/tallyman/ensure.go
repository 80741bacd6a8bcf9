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
	"tallyman/cmd/tallyman/internal/config"
	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/fetch"
	"tallyman/fetch/redact"
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
	a.Window = flagvalue.New("DURATION", flagvalue.FormatDuration(config.DefaultWindow), flagvalue.ParseDuration)
	a.Settle = flagvalue.New("DURATION", flagvalue.FormatDuration(config.DefaultSettle), flagvalue.ParseDuration)
	f.StringVar(&a.LogStore, "logstore", "", "the `LOGSTORE` to export; it must be given")
	f.StringVar(&a.Query, "query", "", "the `QUERY` to export (default: all)")
	f.Var(&a.Window, "window", "how long each window is: a part of a day,\nor whole days")
	a.AddSince(f, "windows that begin")
	f.Var(&a.Until, "until", "only windows that end by `TIME`")
	f.StringVar(&a.Align, "align", "UTC", "windows begin at midnight of this `ZONE`,\nas Asia/Shanghai")
	f.Var(&a.Settle, "settle", "how long a window must be over")
	f.StringVar(&a.Format, "format", config.DefaultFormat, "`csv or json`")
	f.StringVar(&a.Compression, "compression", config.DefaultCompression, "`zstd, gzip, lz4 or none`")
	f.BoolVar(&a.Again, "again", false, "export windows once more that have landed,\nbeside what landed")
	f.IntVar(&a.JobsAtOnce, "jobs-at-once", config.DefaultJobsAtOnce, "`N` jobs at the same time")
	f.IntVar(&a.MaxRecords, "max-records", 0, "halve windows of more than `N` records: the source\ncounts each, which costs money; 0 counts none")
	f.BoolVar(&a.DeleteJobs, "delete-jobs", false, "remove jobs from their service once they have landed,\nof those that this archive has made")
	f.BoolVar(&a.DryRun, "dry-run", false, "print the windows that lack, and make nothing")
	cli.GroupFlags(f, "What to export", "logstore", "query", "window", "since", "until", "align", "settle", "format", "compression", "max-records", "again", "jobs-at-once", "delete-jobs", "dry-run")
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

// ensurePlan returns what the flags of ensure say, or a UsageError.
func (a *app) ensurePlan(arg string) (p *ensurePlan, err error) {
	switch {
	case a.LogStore == "":
		return nil, cli.Usagef("name the log store to export, by --logstore")
	case a.Since.Value.IsZero():
		return nil, cli.Usagef("say from when on, by --since")
	case !a.Until.Value.IsZero() && !a.Since.Value.Before(a.Until.Value):
		return nil, cli.Usagef("--since %v --until %v: no time is between them", &a.Since, &a.Until)
	}
	p = &ensurePlan{since: a.Since.Value, until: time.Now().Add(-a.Settle.Value), again: a.Again, Ensure: config.Ensure{
		LogStore: a.LogStore, Query: a.Query, Window: a.Window.Value, Settle: a.Settle.Value,
		Format: a.Format, Compression: a.Compression, MaxRecords: a.MaxRecords, JobsAtOnce: a.JobsAtOnce, DeleteJobs: a.DeleteJobs,
	}}
	if !a.Until.Value.IsZero() && a.Until.Value.Before(p.until) {
		p.until = a.Until.Value
	}
	if err := p.Check(); err != nil {
		return nil, cli.Usagef("--%w", err)
	}
	if p.Zone, err = flagvalue.ParseZone(a.Align); err != nil {
		return nil, cli.Usagef("--align %s: %w", a.Align, err)
	}
	if _, _, err := splitWindowGroup(p.group()); err != nil {
		return nil, cli.Usagef("--query: %w", err)
	}
	if p.Place, err = fetch.ParsePlace(arg); err != nil {
		return nil, &cli.UsageError{Err: err}
	}
	return p, cmp.Or(a.Check(), a.CheckWitness())
}

func (a *app) ensure(cmd *cobra.Command, arg string) error {
	plan, err := a.ensurePlan(arg)
	if err != nil {
		return err
	}
	providers := a.newProviders()
	creator, ok := serviceOf[fetch.Creator](providers, plan.Place)
	if !ok {
		return cli.Usagef("%s: its service makes no jobs of windows; ensure is for sls://REGION/PROJECT/", plan.Place)
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
	if err := a.planEnsure(cmd, store, providers, plan); err != nil {
		return err
	}
	report := a.newReport(cmd, store)
	defer report.Close()
	if a.DryRun {
		return printLacking(report, creator, plan)
	}
	if store.Made {
		fmt.Fprintln(cmd.ErrOrStderr(), a.made(store))
	}
	queue := a.startLocal(cmd.Context(), providers, store, report)
	defer queue.Close()
	known := &headers{app: a, archive: store}
	defer known.Close()
	c := &ensuring{app: a, plan: plan, testifier: newTestifier(store, providers, store.SinceLanded, known.from), end: report.End, note: report.Pause}
	c.ensurer = &worker.Ensurer{Archive: store, Creator: creator, Patience: max(a.Poll.Value, time.Second), Note: report.Pause,
		Fetch: func(ctx context.Context, ref fetch.Ref) (*archive.Receipt, error) {
			if _, err := store.Receipt(ref.Key()); errors.Is(err, archive.ErrDamaged) {
				ref = ref.WithRepair()
			}
			return queue.FetchUnlessDead(ctx, ref)
		}}
	c.ensureAll(cmd.Context())
	return report.Exit()
}

// planEnsure finds what is to be made, and tells how much that is.
func (a *app) planEnsure(cmd *cobra.Command, store *archive.Archive, providers map[string]fetch.Provider, plan *ensurePlan) error {
	var known *catalog.Catalog
	if store != nil {
		var err error
		if known, err = a.openCatalog(cmd, store); err != nil {
			return err
		}
		defer known.Close()
	}
	if err := plan.look(known); err != nil {
		return err
	}
	told := fmt.Sprintf("%s of %s, of which %d lack", cli.Plural(int64(plan.windows), "window"), flagvalue.FormatDuration(plan.Window), len(plan.lacking))
	if plan.MaxRecords > 0 {
		records, uncounted, err := plan.split(cmd.Context(), providers)
		switch {
		case err != nil:
			return err
		case uncounted != nil:
			told += fmt.Sprintf("; none is split: %v", uncounted)
		default:
			told += fmt.Sprintf(", with %s; %s", cli.Plural(records, "record"), cli.Plural(int64(len(plan.lacking)), "job"))
		}
	}
	if !a.Quiet {
		fmt.Fprintln(cmd.ErrOrStderr(), redact.Text(told))
	}
	return nil
}

// printLacking prints the jobs that would be made.
func printLacking(report *cli.Report, creator fetch.Creator, plan *ensurePlan) error {
	for _, w := range plan.lacking {
		c := plan.creation(w)
		ref, err := creator.NewJob(c)
		if err != nil {
			return err
		}
		line := ensureLine{"tallyman.ensure/v1", ref.String(), "to-create", c.From, c.To, c.Group}
		report.Print(line, fmt.Sprintf("to create  %s  %s to %s", ref, c.From.Format(time.RFC3339), c.To.Format(time.RFC3339)))
	}
	return nil
}

// An ensuring has windows exported, and tells how that goes.
type ensuring struct {
	app       *app
	plan      *ensurePlan
	ensurer   *worker.Ensurer
	testifier *worker.Testifier
	end       func(fetch.Ref, *archive.Receipt, error)
	note      func(ref fetch.Ref, text string)
}

// ensureAll has the windows exported that lack, several at once, the first ones first.
func (c *ensuring) ensureAll(ctx context.Context) {
	next := make(chan coverage.Span)
	var running sync.WaitGroup
	for range min(c.plan.JobsAtOnce, len(c.plan.lacking)) {
		running.Go(func() {
			for window := range next {
				c.ensureOne(ctx, c.plan.creation(window))
			}
		})
	}
	for _, window := range c.plan.lacking {
		select {
		case next <- window:
		case <-ctx.Done():
		}
	}
	close(next)
	running.Wait()
}

// ensureOne has a window exported, and removes its job if that is asked for.
func (c *ensuring) ensureOne(ctx context.Context, creation fetch.Creation) {
	ref, receipt, err := c.ensurer.Ensure(ctx, creation)
	if ref.Scheme() == "" {
		ref = creation.Place
	}
	var testimony *archive.Testimony
	if err == nil {
		receipt, testimony = c.app.withCount(ctx, c.testifier, c.note, ref, receipt)
	}
	c.end(ref, receipt, err)
	if err != nil || !c.plan.DeleteJobs {
		return
	}
	switch deleted, err := c.deleteJob(ctx, ref, receipt, testimony); {
	case err != nil:
		c.note(ref, "its job is not removed: "+err.Error())
	case deleted:
		c.note(ref, "its job is removed from its service")
	}
}

// deleteJob removes the job of an export that landed, unless the source's own count of the
// window, which is asked for if it is nil, is in doubt.
func (c *ensuring) deleteJob(ctx context.Context, ref fetch.Ref, receipt *archive.Receipt, testimony *archive.Testimony) (bool, error) {
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
