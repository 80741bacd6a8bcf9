package main

import (
	"errors"
	"fmt"

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
	client := &worker.Client{Archive: store}
	if o.redis.URL() != "" {
		queue, stop, err := o.queueOf(cmd.Context(), store)
		if err != nil {
			return err
		}
		defer stop()
		client.Queue = queue
	}
	out := newReport(cmd.OutOrStdout(), cmd.ErrOrStderr(), o, store)
	for _, ref := range refs {
		out.cancel(ref, clientError(client.Cancel(cmd.Context(), ref)))
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
