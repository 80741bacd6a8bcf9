package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"tallyman/cmd/tallyman/internal/cli"
)

func newRequeueCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "requeue",
		Short: "Put back into the queue what Redis has lost",
		Long: `Requeue enqueues each export that a worker has seen and that has neither landed nor
failed, unless the queue has it already. A worker does the same by itself when it
starts, and when it sees that Redis was restarted or emptied. What no worker had
seen was in Redis alone: enqueue it again, which is harmless for the rest.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			store, err := a.openRequired()
			if err != nil {
				return err
			}
			queue, stop, err := a.openQueue(cmd, store, nil, 0)
			if err != nil {
				return err
			}
			defer stop()
			if err := queue.Register(cmd.Context(), store.ID()); err != nil {
				return err
			}
			n, err := queue.Requeue(cmd.Context(), store)
			if a.JSON {
				_ = cli.PrintJSON(cmd.OutOrStdout(), requeuedLine{"tallyman.requeued/v1", n})
			} else {
				fmt.Fprintf(cmd.OutOrStdout(), "%s put back\n", cli.Plural(int64(n), "export"))
			}
			return err
		},
	}
	a.AddQueue(cmd.Flags())
	return cmd
}

// requeuedLine is what --json prints.
type requeuedLine struct {
	Schema  string `json:"schema"`
	Exports int    `json:"exports"`
}
