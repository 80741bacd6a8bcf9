package main

import (
	"io"

	"github.com/spf13/cobra"

	"tallyman/cmd/tallyman/internal/metrics"
)

func newMetricsCommand(*app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "metrics",
		Short: "Print rules and a dashboard for the metrics of this version",
		Long: `Metrics prints what fits the metrics of this version, which a worker with --listen
and serve have at /metrics: rules by which Prometheus alerts, and a dashboard for
Grafana.`,
		Args: isCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	prints := func(name, short, example, text string) {
		cmd.AddCommand(&cobra.Command{
			Use: name, Short: short, Example: example, Args: usageArgs(cobra.NoArgs),
			RunE: func(cmd *cobra.Command, _ []string) error {
				_, err := io.WriteString(cmd.OutOrStdout(), text)
				return err
			},
		})
	}
	cmd.AddCommand(&cobra.Command{
		Use: "files DIR", Short: "Write both into a directory, as rules.yaml and dashboard.json",
		Example: "  tallyman metrics files /etc/tallyman/metrics   # where Prometheus and Grafana look", Args: usageArgs(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error { return metrics.WriteFiles(args[0]) },
	})
	prints("rules", "Print rules by which Prometheus alerts", "  tallyman metrics rules > /etc/prometheus/rules/tallyman.yaml", metrics.Rules)
	prints("dashboard", "Print a dashboard for Grafana", "  tallyman metrics dashboard > tallyman.json   # import it into Grafana", metrics.Dashboard)
	return cmd
}
