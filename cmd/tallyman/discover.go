package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/fetch"
	"tallyman/fetch/redact"
	"tallyman/verify/archive"
	"tallyman/worker"
)

func newDiscoverCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "discover PLACE...",
		Short: "List the export jobs of places",
		Long: `Discover prints the reference of each job of each place, one a line, the newest
first, as the service lists them: whatever their state, and whether they have
landed or not. Fetch skips those that have.

A job that has failed or expired can't be fetched, tonight or any night. With
--state ready,running,pending such jobs are left out, and the last line on stderr
says how many of them have not landed. --missing leaves out what is in the archive.
A place that can't be listed is told of, and the others are listed all the same.
If there is an archive, its ledger keeps how each place was listed, for 'tallyman
status', but with --dry-run.

Places are the projects of SLS; the instances of DBS, whose jobs are download
tasks; and the dump tasks of DIS, whose jobs are the files that they delivered.

In a pipe, set -o pipefail, so that the shell reports a list that was cut short.`,
		Example: `  tallyman discover sls://cn-hangzhou/ali-test-project/
  tallyman discover sls://cn-hangzhou/ali-test-project/ --since 2d | tallyman fetch -f -
  tallyman discover sls://cn-hangzhou/a/ sls://cn-hangzhou/b/ --state ready --missing
  tallyman discover sls://cn-hangzhou/ali-test-project/ --since fri --match 'nightly-*' --json
  tallyman discover dbs://cn-hangzhou/rm-bp1a2b3c4d5e/
  tallyman discover dis://cn-north-4/SxpeYcLvJpFTqLXFnWJ/ --since 1d`,
		Args: usageArgs(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return a.discover(cmd, args) },
	}
	f := cmd.Flags()
	a.AddSince(f, "jobs made")
	a.Until = flagvalue.New("TIME", "", flagvalue.ParseTime)
	f.Var(&a.Until, "until", "only jobs made before `TIME`")
	f.StringVar(&a.Match, "match", "", "only jobs whose name matches `GLOB`, like 'nightly-*', or begins\nwith it if it has no wildcard")
	a.States = flagvalue.New("STATE", "", flagvalue.ParseStates)
	f.Var(&a.States, "state", "only jobs in `STATE`, or in one of several with commas: ready,\nrunning, pending, failed, expired or unknown")
	f.BoolVar(&a.Missing, "missing", false, "only jobs that have not landed in the archive")
	f.BoolVar(&a.DryRun, "dry-run", false, "write nothing down in the archive")
	cli.GroupFlags(f, "What to list", "since", "until", "match", "state", "missing", "dry-run")
	a.AddCalls(f)
	return cmd
}

func (a *app) discover(cmd *cobra.Command, args []string) error {
	if _, err := path.Match(a.Match, ""); err != nil {
		return cli.Usagef("--match %s: %w", a.Match, err)
	}
	if !a.Since.Value.IsZero() && !a.Until.Value.IsZero() && !a.Since.Value.Before(a.Until.Value) {
		return cli.Usagef("--since %v --until %v: no time is between them", &a.Since, &a.Until)
	}
	if err := cmp.Or(a.CheckCalls(), a.CheckProxies()); err != nil {
		return err
	}
	var places []fetch.Ref
	for _, arg := range args {
		place, err := fetch.ParsePlace(arg)
		if err != nil {
			return &cli.UsageError{Err: err}
		}
		if err := fetch.CheckPattern(place.String() + a.Match); err != nil && a.Match != "" && !a.Quiet {
			fmt.Fprintf(cmd.ErrOrStderr(), "tallyman: warning: --match %s: nothing in %s can match this: %v\n", a.Match, place, err)
		}
		if !slices.ContainsFunc(places, func(p fetch.Ref) bool { return p.String() == place.String() }) {
			places = append(places, place)
		}
	}
	c := &discoverCommand{app: a, stdout: cmd.OutOrStdout(), stderr: cmd.ErrOrStderr()}
	var err error
	if c.archive, err = a.openExisting(); err != nil && (a.ArchiveID != "" || a.JSON || a.Missing || len(a.States.Value) > 0) {
		return err
	}
	return c.listAll(cmd.Context(), a.newProviders(), places)
}

// discoverCommand is a run of the command.
type discoverCommand struct {
	app     *app
	stdout  io.Writer
	stderr  io.Writer
	archive *archive.Archive // to look up what has landed, or nil
	lost    int              // jobs that --state leaves out, and that can land no more

	found, unknown int // of the place that is listed: its jobs, and those that the archive does not know
}

// listAll lists places one after the other. If one can't be listed it says so, with the
// profile whose credentials were used, and goes on.
func (c *discoverCommand) listAll(ctx context.Context, providers map[string]fetch.Provider, places []fetch.Ref) error {
	exit := worker.ExitLanded
	for _, place := range places {
		err := c.list(ctx, providers[place.Scheme()].(fetch.Lister), place) // every provider that has places is one
		c.record(ctx, place, err)
		_, isExit := errors.AsType[cli.ExitError](err)
		_, isOutput := errors.AsType[*cli.OutputError](err)
		switch {
		case err == nil:
			continue
		case isExit || isOutput || ctx.Err() != nil:
			return err
		}
		name := place.String()
		if profile := c.app.Place(place).Profile; profile != "" {
			name += " (profile " + profile + ")"
		}
		fmt.Fprintf(c.stderr, "tallyman: %s: %s\n", name, redact.Text(err.Error()))
		cli.PrintHint(c.stderr, hint(place.String(), err))
		if exit = worker.Classify(err).Exit; len(places) > 1 {
			exit = worker.ExitSomeFailed
		}
	}
	if c.lost > 0 && !c.app.Quiet {
		fmt.Fprintf(c.stderr, "%s left out that failed or expired, and never landed\n", cli.Plural(int64(c.lost), "job"))
	}
	if exit != worker.ExitLanded {
		return cli.ExitError(exit)
	}
	return nil
}

// record writes down in the archive, if there is one that can be written to, how a place
// was listed. A list that nobody read to its end tells nothing of the place.
func (c *discoverCommand) record(ctx context.Context, place fetch.Ref, failure error) {
	_, isExit := errors.AsType[cli.ExitError](failure)
	_, isOutput := errors.AsType[*cli.OutputError](failure)
	if c.archive == nil || c.app.DryRun || isExit || isOutput || ctx.Err() != nil {
		return
	}
	l := archive.Listing{Place: place.String(), Profile: c.app.Place(place).Profile, Found: c.found, New: c.unknown, Missing: c.unknown, Partial: c.filter() != worker.Filter{}}
	if err := worker.RecordListing(c.archive, l, failure); err != nil && !c.app.Quiet && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, syscall.EROFS) {
		fmt.Fprintf(c.stderr, "not recorded: %s\n", redact.Text(err.Error()))
	}
}

func (c *discoverCommand) filter() worker.Filter {
	return worker.Filter{Since: c.app.Since.Value, Until: c.app.Until.Value, Match: c.app.Match}
}

// includes reports whether --state and --missing let a job pass, which has landed or
// not. It counts those that can land no more.
func (c *discoverCommand) includes(listed fetch.Listed, landed bool) bool {
	states := c.app.States.Value
	if len(states) > 0 && !slices.Contains(states, listed.State) {
		if !landed && (listed.State == fetch.Failed || listed.State == fetch.Expired) {
			c.lost++
		}
		return false
	}
	return !landed || !c.app.Missing
}

// list prints the jobs page by page. It is no error if the reader of the output
// has read enough and closes it.
func (c *discoverCommand) list(ctx context.Context, lister fetch.Lister, place fetch.Ref) error {
	filter := c.filter()
	c.found, c.unknown = 0, 0
	for listed, err := range lister.List(ctx, place, filter.Since) {
		var receipt *archive.Receipt
		isRemoved := false // which is settled, as what has landed is
		if err == nil && c.archive != nil && filter.Includes(listed) {
			var damage error
			receipt, damage = worker.FindReceipt(c.archive, listed.Ref) // a damaged bag counts as not landed
			c.found++
			state, _, unknown := c.archive.State(listed.Ref.Key())
			isRemoved = unknown == nil && state.Phase == archive.Removed
			if receipt == nil && damage == nil && errors.Is(unknown, fs.ErrNotExist) {
				c.unknown++
			}
		}
		switch {
		case err != nil || !filter.Includes(listed) || !c.includes(listed, receipt != nil || isRemoved):
		case !c.app.JSON:
			_, err = fmt.Fprintln(c.stdout, listed.Ref)
		default:
			line := listedLine{
				Schema: "tallyman.listed/v1", Reference: listed.Ref.String(), State: listed.State, Status: listed.Status,
				Landed: receipt != nil,
			}
			if !listed.Created.IsZero() {
				line.Created = new(listed.Created.UTC())
			}
			err = cli.PrintJSON(c.stdout, line)
		}
		if output, ok := errors.AsType[*cli.OutputError](err); ok && errors.Is(output, syscall.EPIPE) && ctx.Err() == nil {
			return cli.ExitError(worker.ExitLanded)
		}
		if err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// listedLine is what --json prints of a job.
type listedLine struct {
	Schema    string      `json:"schema"`
	Reference string      `json:"reference"`
	State     fetch.State `json:"state"` // "" where the status is not known
	Status    string      `json:"status"`
	Created   *time.Time  `json:"created,omitempty"`
	Landed    bool        `json:"landed"`
}
