package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newRequeue(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "requeue",
		Short: "Put back into the queue what Redis has lost",
		Long: `Requeue enqueues each export that a worker has seen, that has not landed and has
not failed, unless the queue has it. A worker does the same by itself when it
starts, and when it sees that Redis was restarted or emptied. What no worker had
seen was in Redis alone: enqueue it again, which is harmless for the rest.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return o.requeue(cmd) },
	}
	o.queueing(cmd.Flags())
	return cmd
}

func (o *options) requeue(cmd *cobra.Command) error {
	store, err := o.stored()
	if err != nil {
		return err
	}
	queue, stop, err := o.queueOf(cmd.Context(), store)
	if err != nil {
		return err
	}
	defer stop()
	if err := queue.Register(cmd.Context(), store.ID()); err != nil {
		return err
	}
	n, err := queue.Requeue(cmd.Context(), store)
	if o.json {
		writeJSON(cmd.OutOrStdout(), requeued{"tallyman.requeued/v1", n})
	} else {
		fmt.Fprintf(cmd.OutOrStdout(), "%s put back\n", plural(int64(n), "export"))
	}
	return err
}

type requeued struct {
	Schema  string `json:"schema"`
	Exports int    `json:"exports"`
}
