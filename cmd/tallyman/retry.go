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
	refs, err := o.toRetry(store, args, providers)
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
		return o.requeueAll(cmd.Context(), store, refs, out)
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

// toRetry are the references that are named, or all that have failed.
func (o *options) toRetry(store *archive.Archive, args []string, providers map[string]fetch.Provider) (failures, error) {
	if len(args) == 0 {
		return o.failed(store), nil
	}
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
			if !yield(ref, known(store, ref)) {
				return
			}
		}
	}, nil
}

// known is nil for an export that the archive has seen.
func known(store *archive.Archive, ref fetch.Ref) error {
	_, _, err := store.State(ref.Key())
	if receipt, _ := landedIn(store, ref); receipt == nil && err != nil {
		return usagef("%s: the archive knows nothing of it: fetch it, or enqueue it", ref)
	}
	return nil
}

func (o *options) failed(store *archive.Archive) failures {
	return func(yield func(fetch.Ref, error) bool) {
		for state, err := range store.States() {
			if err == nil && (state.Phase != archive.Failed || o.cause != "" && state.Cause != o.cause) {
				continue
			}
			ref, options, ok := worker.RefOf(state)
			switch {
			case err != nil:
			case !ok:
				err = fmt.Errorf("retry %s: another version of tallyman has written its state", state.Reference)
			case options.Signed:
				err = usagef("%s: it was a signed URL, which was kept nowhere: fetch it by a fresh one", ref)
			}
			if !yield(ref, err) {
				return
			}
		}
	}
}

// requeueAll has the workers try exports again.
func (o *options) requeueAll(ctx context.Context, store *archive.Archive, refs failures, out *report) error {
	queue, stop, err := o.queueOf(ctx, store)
	if err != nil {
		return err
	}
	defer stop()
	e := &enqueueing{o: o, queue: queue, store: store, report: out}
	each(ctx, refs, enqueuedAtOnce, out, e.retry)
	return e.exit(out.err)
}

// retry gives an export a new budget, and takes it from its place in the queue
// to the end.
func (e *enqueueing) retry(ctx context.Context, ref fetch.Ref) {
	told := queued{Schema: "tallyman.queued/v1", Reference: ref.String(), State: "known"}
	var o worker.Options
	if state, _, err := e.store.State(ref.Key()); err == nil {
		_, o, _ = worker.RefOf(state)
	}
	switch err := worker.ResetBudget(e.store, ref, o); {
	case errors.Is(err, archive.ErrLanded):
		told.State = "landed"
	case err != nil:
		e.end(ref, nil, err)
		return
	default:
		if told.State, err = e.again(ctx, ref, o); err != nil {
			e.end(ref, nil, err)
			return
		}
	}
	e.tell(told)
}

func (e *enqueueing) again(ctx context.Context, ref fetch.Ref, o worker.Options) (string, error) {
	if _, err := e.queue.Remove(ref.Hash()); err != nil {
		return "", err
	}
	news, err := e.queue.Enqueue(ctx, ref, o)
	if !news {
		return "known", err
	}
	return "queued", err
}
