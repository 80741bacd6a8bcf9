package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"tallyman/fetch"
	"tallyman/verify/archive"
	"tallyman/worker"
)

func newCancel(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cancel REF...",
		Short: "Stop fetching exports, and free what was received of them",
		Long: `Cancel takes exports out of the queue and drops what was received of them. They
stay cancelled, however often they are enqueued, until 'tallyman retry' or
'tallyman fetch' asks for them again. What has landed stays.`,
		Example: `  tallyman cancel sls://cn-hangzhou/ali-test-project/download-123`,
		Args:    usage(cobra.MinimumNArgs(1)),
		RunE:    func(cmd *cobra.Command, args []string) error { return o.cancel(cmd, args) },
	}
	o.queueing(cmd.Flags())
	cmd.Flags().StringSliceVar(&o.hosts, "allow-host", nil, "take http references to `HOST[:PORT]` too (repeatable, or with commas)")
	return cmd
}

func (o *options) cancel(cmd *cobra.Command, args []string) error {
	store, err := o.stored()
	if err != nil {
		return err
	}
	refs, err := o.toCancel(args)
	if err != nil {
		return err
	}
	c := &canceling{store: store}
	if o.redis.URL() != "" {
		queue, stop, err := o.queueOf(cmd.Context(), store)
		if err != nil {
			return err
		}
		defer stop()
		c.queue = queue
	}
	out := newReport(cmd.OutOrStdout(), cmd.ErrOrStderr(), o, store)
	for _, ref := range refs {
		out.cancel(ref, c.cancel(cmd.Context(), ref))
	}
	return out.exit()
}

func (o *options) toCancel(args []string) (refs []fetch.Ref, err error) {
	providers := o.newProviders()
	for _, arg := range args {
		ref, err := o.reference(arg, providers)
		if err != nil {
			return nil, err
		}
		refs = append(refs, ref)
	}
	return refs, nil
}

// A canceling is a run of the command.
type canceling struct {
	store *archive.Archive
	queue *worker.Queue // or nil
}

const (
	patience = 15 * time.Second // with a worker that is to let go of an export
	lookAt   = 200 * time.Millisecond
)

// cancel takes an export out of the queue and waits until no attempt at it
// runs.
func (c *canceling) cancel(ctx context.Context, ref fetch.Ref) error {
	if err := c.known(ref); err != nil {
		return err
	}
	for end := time.Now().Add(patience); ; {
		err := c.try(ref)
		if !errors.Is(err, archive.ErrBusy) || time.Now().After(end) {
			return err
		}
		if err := fetch.Sleep(ctx, lookAt); err != nil {
			return err
		}
	}
}

func (c *canceling) known(ref fetch.Ref) error {
	err := known(c.store, ref)
	if err == nil || c.queue == nil {
		return err
	}
	queued, lookErr := c.queue.Queued(ref.Hash())
	if lookErr != nil || queued {
		return lookErr
	}
	return err
}

func (c *canceling) try(ref fetch.Ref) error {
	if c.queue != nil {
		if _, err := c.queue.Remove(ref.Hash()); err != nil { // who runs it holds the docket, or will see that it is cancelled
			return err
		}
	}
	return worker.Cancel(c.store, ref)
}

// cancelled is what --json prints of an export.
type cancelled struct {
	Schema    string `json:"schema"`
	Reference string `json:"reference"`
	State     string `json:"state"` // "cancelled" or "landed"
}

// cancel reports an export that was to be cancelled.
func (r *report) cancel(ref fetch.Ref, err error) {
	landed := errors.Is(err, archive.ErrLanded)
	if err != nil && !landed {
		r.end(ref, nil, err)
		return
	}
	told := cancelled{"tallyman.cancelled/v1", ref.String(), "cancelled"}
	r.mu.Lock()
	defer r.mu.Unlock()
	if landed {
		told.State = "landed"
		r.landed++
		r.before++
	} else {
		r.stopped++
	}
	switch {
	case r.o.json:
		writeJSON(r.out, told)
	case !r.o.quiet:
		fmt.Fprintf(r.out, "%-9s %s\n", told.State, ref)
	}
}
