package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"path"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"tallyman/fetch"
	"tallyman/verify/archive"
	"tallyman/worker"
)

func newDiscover(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "discover PLACE",
		Short: "List the export jobs of a place",
		Long: `Discover prints the reference of each job of a place, one a line and the newest
first, as the service gives them: whatever their state, and whether they have
landed or not. Fetch skips what has.

Places are the projects of SLS, the instances of DBS, whose jobs are download
tasks, and the dump tasks of DIS, whose jobs are the files that they delivered.

Where it feeds a pipe, let the shell mind how it ends too: set -o pipefail.`,
		Example: `  tallyman discover sls://cn-hangzhou/ali-test-project/
  tallyman discover sls://cn-hangzhou/ali-test-project/ --since 2d | tallyman fetch -f -
  tallyman discover sls://cn-hangzhou/ali-test-project/ --since fri --match 'nightly-*' --json
  tallyman discover dbs://cn-hangzhou/rm-bp1a2b3c4d5e/
  tallyman discover dis://cn-north-4/SxpeYcLvJpFTqLXFnWJ/ --since 1d`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return o.discover(cmd, args[0]) },
	}
	f := cmd.Flags()
	f.Var(&o.since, "since", "only jobs made since `TIME`: a duration ago, a weekday, a date, or a time (RFC 3339)")
	f.Var(&o.until, "until", "only jobs made before `TIME`")
	f.StringVar(&o.match, "match", "", "only jobs whose name matches `GLOB`, like 'nightly-*'")
	f.Bool("dry-run", false, "the same: discover writes nothing")
	group(f, "What to list", "since", "until", "match", "dry-run")
	o.calls(f)
	return cmd
}

func (o *options) discover(cmd *cobra.Command, arg string) error {
	if err := o.checkDiscover(); err != nil {
		return err
	}
	place, err := fetch.ParsePlace(arg)
	if err != nil {
		return &usageError{err}
	}
	lister := o.newProviders()[place.Scheme()].(fetch.Lister) // as all are that have places
	d := &discovery{o: o, out: cmd.OutOrStdout()}
	if o.json {
		if d.store, err = o.existing(); err != nil {
			return err
		}
	}
	return d.list(cmd.Context(), lister, place)
}

func (o *options) checkDiscover() error {
	if _, err := path.Match(o.match, ""); err != nil {
		return usagef("--match %s: %w", o.match, err)
	}
	if !o.since.IsZero() && !o.until.IsZero() && !o.since.Before(o.until.Time) {
		return usagef("--since %v --until %v: nothing is between them", &o.since, &o.until)
	}
	return o.checkCalls()
}

// A discovery prints the jobs of a place.
type discovery struct {
	o     *options
	out   io.Writer
	store *archive.Archive // to look up what has landed, or nil
}

// list prints the jobs as the pages come. Who reads them may have had enough
// at any time: that is no error.
func (d *discovery) list(ctx context.Context, lister fetch.Lister, place fetch.Ref) error {
	signal.Ignore(syscall.SIGPIPE)
	filter := worker.Filter{Since: d.o.since.Time, Until: d.o.until.Time, Match: d.o.match}
	for listed, err := range lister.List(ctx, place, filter.Since) {
		if err == nil && filter.Includes(listed) {
			err = d.print(listed)
		}
		if errors.Is(err, syscall.EPIPE) && ctx.Err() == nil {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// listedJob is what --json prints of a job.
type listedJob struct {
	Schema    string      `json:"schema"`
	Reference string      `json:"reference"`
	State     fetch.State `json:"state"` // "" where the status is not known
	Status    string      `json:"status"`
	Created   *time.Time  `json:"created,omitempty"`
	Landed    bool        `json:"landed"`
}

func (d *discovery) print(job fetch.Listed) error {
	if !d.o.json {
		_, err := fmt.Fprintln(d.out, job.Ref)
		return err
	}
	receipt, _ := worker.FindReceipt(d.store, job.Ref) // what is damaged has not landed
	line := listedJob{
		Schema: "tallyman.listed/v1", Reference: job.Ref.String(), State: job.State, Status: job.Status,
		Landed: receipt != nil,
	}
	if !job.Created.IsZero() {
		created := job.Created.UTC()
		line.Created = &created
	}
	return printJSON(d.out, line)
}
