package main

import (
	"errors"

	"github.com/spf13/cobra"

	"tallyman/verify/archive"
	"tallyman/worker"
)

func newCancelCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cancel REF...",
		Short: "Stop fetching exports, and free what was received of them",
		Long: `Cancel takes exports out of the queue and removes what was received of them. They
stay cancelled, however often they are enqueued, until 'tallyman retry' or
'tallyman fetch' asks for them again. What has landed stays.`,
		Example: `  tallyman cancel sls://cn-hangzhou/ali-test-project/download-123`,
		Args:    usageArgs(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			store, err := a.openRequired()
			if err != nil {
				return err
			}
			refs, err := a.parseReferences(args, a.newProviders())
			if err != nil {
				return err
			}
			client := &worker.Client{Archive: store}
			if a.Redis.Value != "" {
				queue, stop, err := a.openQueue(cmd, store, nil, 0)
				if err != nil {
					return err
				}
				defer stop()
				client.Queue = queue
			}
			report := a.newReport(cmd, store)
			for _, ref := range refs {
				switch err := usageError(ref, client.Cancel(cmd.Context(), ref)); {
				case err == nil || errors.Is(err, archive.ErrLanded):
					report.Cancelled(ref, err != nil)
				default:
					report.End(ref, nil, err)
				}
			}
			return report.Exit()
		},
	}
	a.AddQueue(cmd.Flags())
	a.AddAllowHost(cmd.Flags())
	return cmd
}
