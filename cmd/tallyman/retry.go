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

	"tallyman/fetch"
	"tallyman/verify/archive"
	"tallyman/worker"
)

func newRetry(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "retry REF... | --all | --cause CAUSE",
		Short: "Try again what has failed",
		Long: `Retry gives exports that have failed a new budget of attempts: those that are
named, all, or all that failed by one cause. With --redis the workers try them
again, without it this process does. What was received is not fetched twice.`,
		Example: `  tallyman status
  tallyman retry --cause checksum-mismatch
  tallyman retry --all --redis redis://queue.internal:6379/0`,
		RunE: func(cmd *cobra.Command, args []string) error { return o.retry(cmd, args) },
	}
	f := cmd.Flags()
	f.BoolVar(&o.all, "all", false, "all that have failed")
	f.StringVar(&o.cause, "cause", "", "all that have failed by `CAUSE`, as status tells it")
	group(f, "What to retry", "all", "cause")
	o.queueing(f)
	o.transfer(f)
	o.waiting(f)
	o.calls(f)
	return cmd
}

func (o *options) retry(cmd *cobra.Command, args []string) error {
	if err := errors.Join(o.checkRetry(args), o.check()); err != nil {
		return err
	}
	store, err := o.stored()
	if err != nil {
		return err
	}
	providers := o.newProviders()
	client := &worker.Client{Archive: store}
	refs, err := o.toRetry(client, args, providers)
	if err != nil {
		return err
	}
	if refs.none() {
		o.sayNothingFailed(cmd.ErrOrStderr())
		return nil
	}
	out := newReport(cmd.OutOrStdout(), cmd.ErrOrStderr(), o, store)
	defer out.close()
	if o.redis.URL() != "" {
		queue, stop, err := o.queueOf(cmd.Context(), store)
		if err != nil {
			return err
		}
		defer stop()
		client.Queue = queue
		e := &enqueueCommand{o: o, client: client, report: out}
		each(cmd.Context(), refs, enqueueConcurrency, out, e.retry)
		return e.exit(out.err)
	}
	queue, stop := o.local(cmd.Context(), providers, store, out)
	defer stop()
	l := &landing{queue: queue, store: store, out: out}
	each(cmd.Context(), refs, mostOpen, out, l.fetch)
	return out.exit()
}

func (o *options) checkRetry(args []string) error {
	switch {
	case len(args) == 0 && !o.all && o.cause == "":
		return usagef("want a reference, --all or --cause CAUSE: 'tallyman status' lists what has failed")
	case len(args) > 0 && (o.all || o.cause != ""):
		return usagef("want references, or --all, or --cause: not both")
	case o.cause != "" && !slices.Contains(worker.Causes(), worker.Cause(o.cause)):
		return usagef("--cause %s: want one of %s", o.cause, strings.Join(causes(), ", "))
	}
	return nil
}

func causes() (all []string) {
	for _, cause := range worker.Causes() {
		all = append(all, string(cause))
	}
	return all
}

// stored is the archive, which must be there.
func (o *options) stored() (*archive.Archive, error) {
	store, err := o.existing()
	if err == nil && store == nil {
		err = usagef("--archive %s: there is no archive", o.archive)
	}
	return store, err
}

// failures are exports to try again.
type failures iter.Seq2[fetch.Ref, error]

func (f failures) all(context.Context) iter.Seq2[fetch.Ref, error] {
	return iter.Seq2[fetch.Ref, error](f)
}

// none reports whether there is nothing to try again.
func (f failures) none() bool {
	for range f {
		return false
	}
	return true
}

func (o *options) sayNothingFailed(w io.Writer) {
	switch {
	case o.quiet:
	case o.cause != "":
		fmt.Fprintf(w, "nothing has failed by %s\n", o.cause)
	default:
		fmt.Fprintln(w, "nothing has failed")
	}
}

// toRetry yields the references that are named, or all that have failed.
func (o *options) toRetry(client *worker.Client, args []string, providers map[string]fetch.Provider) (failures, error) {
	var refs []fetch.Ref
	for _, arg := range args {
		ref, err := o.reference(arg, providers)
		if err != nil {
			return nil, err
		}
		refs = append(refs, ref)
	}
	return func(yield func(fetch.Ref, error) bool) {
		for _, ref := range refs {
			if !yield(ref, clientError(client.CheckKnown(ref))) {
				return
			}
		}
		if len(args) > 0 {
			return
		}
		for ref, err := range client.Failed(worker.Cause(o.cause)) {
			if !yield(ref, clientError(err)) {
				return
			}
		}
	}, nil
}

// clientError makes a mistake of the caller, as a worker.Client sees it, a usage
// error that says what to do.
func clientError(err error) error {
	switch {
	case errors.Is(err, worker.ErrUnknownExport):
		return usagef("%w: fetch it, or enqueue it", err)
	case errors.Is(err, worker.ErrSignedURL):
		return usagef("%w: fetch it by a fresh one", err)
	}
	return err
}

func (e *enqueueCommand) retry(ctx context.Context, ref fetch.Ref) {
	submission, err := e.client.Retry(ctx, ref)
	if err != nil {
		e.end(ref, nil, err)
		return
	}
	e.tell(ref, submission)
}
