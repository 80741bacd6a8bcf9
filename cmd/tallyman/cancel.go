package main

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/spf13/cobra"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/fetch"
	"tallyman/verify/archive"
	"tallyman/worker"
)

func newCancelCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cancel REF... | -f FILE | --cause CAUSE",
		Short: "Stop fetching exports, and free what was received of them",
		Long: `Cancel takes exports out of the queue and removes what was received of them: those
that are named, or all that failed by one cause. They stay cancelled, however often
they are enqueued, until 'tallyman retry' or 'tallyman fetch' asks for them again.
What has landed stays. On a terminal, it asks before it removes what was received of
more than one export.`,
		Example: `  tallyman cancel sls://cn-hangzhou/ali-test-project/download-123
  tallyman cancel --cause job-expired`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.cancel(cmd, args) },
	}
	f := cmd.Flags()
	a.AddReferences(f)
	f.StringVar(&a.Cause, "cause", "", "cancel what has failed by `CAUSE`, as status shows it")
	f.BoolVar(&a.Yes, "yes", false, "do not ask")
	cli.GroupFlags(f, "What to cancel", "file", "cause", "yes")
	a.AddQueue(f)
	a.AddAllowHost(f)
	completeCauses(cmd)
	return cmd
}

func (a *app) cancel(cmd *cobra.Command, args []string) error {
	named := len(args) > 0 || a.References != ""
	if named && a.Cause != "" {
		return cli.Usagef("Name exports, or use --cause, but not both.")
	}
	if err := a.checkCause(); err != nil {
		return err
	}
	store, err := a.openRequired()
	if err != nil {
		return err
	}
	client := &worker.Client{Archive: store, By: person()}
	refs := client.Failed(worker.Cause(a.Cause))
	if a.Cause == "" {
		if refs, err = a.references(cmd, args, a.newProviders()); err != nil {
			return err
		}
	}
	if a.Redis.Value != "" {
		queue, stop, err := a.openQueue(cmd, store, nil, 0)
		if err != nil {
			return err
		}
		defer stop()
		client.Queue = queue
	}
	report := a.newReport(cmd, store)
	all, err := collect(cmd.Context(), refs, report)
	if err != nil {
		return err
	}
	if len(all) == 0 && a.Cause != "" && !a.Quiet {
		fmt.Fprintf(cmd.ErrOrStderr(), "nothing has failed by %s\n", a.Cause)
	}
	if err := a.confirmDrop(cmd, store, all); err != nil {
		return err
	}
	for _, ref := range all {
		switch err := usageError(ref, client.Cancel(cmd.Context(), ref)); {
		case err == nil || errors.Is(err, archive.ErrLanded):
			report.Cancelled(ref, err != nil)
		default:
			report.End(ref, nil, err)
		}
	}
	return report.Exit()
}

// collect returns all exports of refs, and reports the lines that are none.
func collect(ctx context.Context, refs iter.Seq2[fetch.Ref, error], report *cli.Report) (all []fetch.Ref, err error) {
	for ref, err := range refs {
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case err == nil || errors.Is(err, worker.ErrSignedURL): // to cancel one needs no secret
			all = append(all, ref)
		default:
			report.Reject(err)
		}
	}
	return all, nil
}

var errDeclined = errors.New("nothing was cancelled")

// confirmDrop asks whoever sits at the terminal if what was received is to be removed
// of more than one export. It fails unless that is wanted.
func (a *app) confirmDrop(cmd *cobra.Command, store *archive.Archive, refs []fetch.Ref) error {
	var bytes, exports int64
	for _, ref := range refs {
		if received, _ := store.Received(ref.Key()); received > 0 {
			bytes += received
			exports++
		}
	}
	if exports < 2 || a.Yes {
		return nil
	}
	question := fmt.Sprintf("Remove %s that was received of %d exports?", flagvalue.FormatSize(bytes), exports)
	yes, err := cli.Confirm(cmd.Context(), cmd.InOrStdin(), cmd.ErrOrStderr(), question)
	if err == nil && !yes {
		err = errDeclined
	}
	return err
}
