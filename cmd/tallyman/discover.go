package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/fetch"
	"tallyman/verify/archive"
	"tallyman/worker"
)

func newDiscoverCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "discover PLACE",
		Short: "List the export jobs of a place",
		Long: `Discover prints the reference of each job of a place, one a line, the newest
first, as the service lists them: whatever their state, and whether they have
landed or not. Fetch skips those that have.

Places are the projects of SLS; the instances of DBS, whose jobs are download
tasks; and the dump tasks of DIS, whose jobs are the files that they delivered.

In a pipe, set -o pipefail, so that the shell reports a list that was cut short.`,
		Example: `  tallyman discover sls://cn-hangzhou/ali-test-project/
  tallyman discover sls://cn-hangzhou/ali-test-project/ --since 2d | tallyman fetch -f -
  tallyman discover sls://cn-hangzhou/ali-test-project/ --since fri --match 'nightly-*' --json
  tallyman discover dbs://cn-hangzhou/rm-bp1a2b3c4d5e/
  tallyman discover dis://cn-north-4/SxpeYcLvJpFTqLXFnWJ/ --since 1d`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return a.discover(cmd, args[0]) },
	}
	f := cmd.Flags()
	a.AddSince(f, "jobs made")
	a.Until = flagvalue.New("TIME", "", flagvalue.ParseTime)
	f.Var(&a.Until, "until", "only jobs made before `TIME`")
	f.StringVar(&a.Match, "match", "", "only jobs whose name matches `GLOB`, like 'nightly-*'")
	f.Bool("dry-run", false, "changes nothing: discover never writes")
	cli.GroupFlags(f, "What to list", "since", "until", "match", "dry-run")
	a.AddCalls(f)
	return cmd
}

func (a *app) discover(cmd *cobra.Command, arg string) error {
	if _, err := path.Match(a.Match, ""); err != nil {
		return cli.Usagef("--match %s: %w", a.Match, err)
	}
	if !a.Since.Value.IsZero() && !a.Until.Value.IsZero() && !a.Since.Value.Before(a.Until.Value) {
		return cli.Usagef("--since %v --until %v: no time is between them", &a.Since, &a.Until)
	}
	if err := cmp.Or(a.CheckCalls(), a.CheckProxies()); err != nil {
		return err
	}
	place, err := fetch.ParsePlace(arg)
	if err != nil {
		return &cli.UsageError{Err: err}
	}
	lister := a.newProviders()[place.Scheme()].(fetch.Lister) // every provider that has places is one
	c := &discoverCommand{app: a, stdout: cmd.OutOrStdout()}
	if a.JSON {
		if c.archive, err = a.openExisting(); err != nil {
			return err
		}
	}
	return c.list(cmd.Context(), lister, place)
}

// discoverCommand is a run of the command.
type discoverCommand struct {
	app     *app
	stdout  io.Writer
	archive *archive.Archive // to look up what has landed, or nil
}

// list prints the jobs page by page. It is no error if the reader of the output
// has read enough and closes it.
func (c *discoverCommand) list(ctx context.Context, lister fetch.Lister, place fetch.Ref) error {
	filter := worker.Filter{Since: c.app.Since.Value, Until: c.app.Until.Value, Match: c.app.Match}
	for listed, err := range lister.List(ctx, place, filter.Since) {
		switch {
		case err != nil || !filter.Includes(listed):
		case !c.app.JSON:
			_, err = fmt.Fprintln(c.stdout, listed.Ref)
		default:
			receipt, _ := worker.FindReceipt(c.archive, listed.Ref) // a damaged bag counts as not landed
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
