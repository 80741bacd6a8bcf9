package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/fetch"
	"tallyman/verify/archive"
	"tallyman/worker"
)

func newRetryCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "retry REF... | --all | --cause CAUSE",
		Short: "Try again what has failed",
		Long: `Retry gives exports that have failed a new budget of attempts: those that are
named, all of them, or all that failed by one cause. All leaves out what another
attempt can't help: see status. With --redis the workers try
them again, without it this process does. What was received is not fetched twice.`,
		Example: `  tallyman status
  tallyman retry --cause checksum-mismatch
  tallyman retry --all --redis redis://queue.internal:6379/0`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.retry(cmd, args) },
	}
	f := cmd.Flags()
	f.BoolVar(&a.All, "all", false, "retry everything that has failed, if that can help")
	f.StringVar(&a.Cause, "cause", "", "retry what has failed by `CAUSE`, as status shows it")
	cli.GroupFlags(f, "What to retry", "all", "cause")
	a.AddQueue(f)
	a.AddTransfer(f)
	a.AddWait(f)
	a.AddCalls(f)
	completeCauses(cmd)
	return cmd
}

func (a *app) retry(cmd *cobra.Command, args []string) error {
	if err := errors.Join(a.checkRetry(args), a.Check()); err != nil {
		return err
	}
	store, err := a.openRequired()
	if err != nil {
		return err
	}
	providers := a.newProviders()
	client := &worker.Client{Archive: store, Profile: a.profile, By: person()}
	refs, leftOut := retryable(client.Failed(worker.Cause(a.Cause))), 0
	if a.All {
		refs, leftOut = retryable(client.Failed("", retryIsVain...)), a.tellVain(cmd.ErrOrStderr(), client)
	}
	if len(args) > 0 {
		named, err := a.parseReferences(args, providers)
		if err != nil {
			return err
		}
		refs = namedToRetry(client, named)
	}
	if refs.empty() {
		switch {
		case a.Quiet:
		case a.Cause != "":
			fmt.Fprintf(cmd.ErrOrStderr(), "nothing has failed by %s\n", a.Cause)
		case leftOut > 0:
			fmt.Fprintln(cmd.ErrOrStderr(), "nothing else has failed")
		default:
			fmt.Fprintln(cmd.ErrOrStderr(), "nothing has failed")
		}
		return nil
	}
	report := a.newReport(cmd, store)
	defer report.Close()
	if a.Redis.Value != "" {
		queue, stop, err := a.openQueue(cmd, store, nil, 0)
		if err != nil {
			return err
		}
		defer stop()
		client.Queue = queue
		c := &enqueueCommand{app: a, client: client, report: report, stderr: cmd.ErrOrStderr()}
		forEachReference(cmd.Context(), refs.all(), maxConcurrentEnqueues, report, c.retry)
		return c.exit()
	}
	queue := a.startLocal(cmd.Context(), providers, store, report)
	defer queue.Close()
	known := &headers{app: a, archive: store}
	defer known.Close()
	c := &fetchCommand{
		app: a, testifier: newTestifier(store, providers, store.SinceLanded, known.from),
		queue: queue, archive: store, report: report, lister: a.newPrefixLister(cmd.Context(), providers, store),
	}
	forEachReference(cmd.Context(), refs.all(), maxConcurrentReferences, report, c.fetch)
	return report.Exit()
}

// namedToRetry yields references that were named, each with the error if it can't be
// retried.
func namedToRetry(client *worker.Client, named []fetch.Ref) retryable {
	return func(yield func(fetch.Ref, error) bool) {
		for _, ref := range named {
			err := client.CheckKnown(ref)
			if state, _, _ := client.Archive.State(ref.Key()); err == nil && state.Phase == archive.Removed {
				err = cli.Usagef("%s was removed: to fetch it again, name it: tallyman fetch %s", ref, cli.ShellQuote(ref.String()))
			}
			if !yield(ref, err) {
				return
			}
		}
	}
}

func (a *app) checkRetry(args []string) error {
	switch {
	case len(args) == 0 && !a.All && a.Cause == "":
		return cli.Usagef("Name at least one export to retry, or use --all or --cause CAUSE. 'tallyman status' lists what has failed.")
	case len(args) > 0 && (a.All || a.Cause != ""):
		return cli.Usagef("Name exports, or use --all, or --cause, but not two of them.")
	}
	return a.checkCause()
}

func (a *app) checkCause() error {
	if a.Cause == "" || slices.Contains(causes(), a.Cause) {
		return nil
	}
	return cli.Usagef("--cause %s: must be one of %s%s", a.Cause, strings.Join(causes(), ", "), cli.DidYouMean("", a.Cause, causes()))
}

// completeCauses has a shell offer the values of --cause.
func completeCauses(cmd *cobra.Command) {
	_ = cmd.RegisterFlagCompletionFunc("cause", func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return causes(), cobra.ShellCompDirectiveNoFileComp
	})
}

// causes are the values of --cause.
func causes() (all []string) {
	for _, cause := range worker.Causes() {
		all = append(all, string(cause))
	}
	return all
}

// tellVain says which exports --all leaves out, and returns how many.
func (a *app) tellVain(stderr io.Writer, client *worker.Client) (leftOut int) {
	for _, cause := range retryIsVain {
		n := 0
		for ref := range client.Failed(cause) {
			if ref.Scheme() != "" {
				n++
			}
		}
		if n > 0 && !a.Quiet {
			fmt.Fprintf(stderr, "left out, since another attempt can't help: %s that failed by %s\n", cli.Plural(int64(n), "export"), cause)
		}
		leftOut += n
	}
	return leftOut
}

// retryable yields exports to try again.
type retryable iter.Seq2[fetch.Ref, error]

// all yields them, and errors that say what to do.
func (r retryable) all() iter.Seq2[fetch.Ref, error] {
	return func(yield func(fetch.Ref, error) bool) {
		for ref, err := range r {
			if !yield(ref, usageError(ref, err)) {
				return
			}
		}
	}
}

func (r retryable) empty() bool {
	for range r {
		return false
	}
	return true
}

// usageError returns the error of an export as a UsageError, if it is a mistake of
// whoever named the export.
func usageError(ref fetch.Ref, err error) error {
	if errors.Is(err, worker.ErrUnknownExport) || errors.Is(err, worker.ErrSignedURL) {
		return &cli.UsageError{Err: err, Reference: ref.String()}
	}
	return err
}

func (c *enqueueCommand) retry(ctx context.Context, ref fetch.Ref) {
	submission, err := c.client.Retry(ctx, ref)
	if err != nil {
		c.report.End(ref, nil, err)
		return
	}
	c.print(ref, submission)
}
