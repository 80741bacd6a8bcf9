package main

import (
	"github.com/spf13/cobra"
)

func newServeCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the page, metrics and health without a worker",
		Long: `Serve shows in a browser what the archive holds, what it waits for and what has
failed, as status and explain tell it, and serves /metrics, /livez and /readyz. It
reads the archive by its catalog, and needs neither a worker nor Redis. What has
failed or has doubts can be accepted there, and with --redis exports can be retried
and cancelled, unless there is --page-read-only; and the metrics tell of the queue
too. A worker with --listen serves the same.

At a loopback address it serves whoever is on this machine. Elsewhere it wants a
token or the authorities of clients' certificates. It speaks TLS with a certificate of
its own, or by a proxy in front of it. Bags are not served.`,
		Example: `  tallyman serve --listen 127.0.0.1:8410
  tallyman serve --listen 0.0.0.0:8410 --page-token-file /run/secrets/page --page-host t.internal`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.serve(cmd) },
	}
	f := cmd.Flags()
	a.AddListen(f, "serve at `ADDR`, instead of "+defaultListen)
	a.AddPage(f)
	a.AddQueue(f)
	a.AddCatalog(f)
	a.AddLog(f)
	return cmd
}

func (a *app) serve(cmd *cobra.Command) error {
	if a.Listen == "" {
		a.Listen = defaultListen
	}
	if _, err := a.checkListen(); err != nil {
		return err
	}
	store, err := a.openRequired()
	if err != nil {
		return err
	}
	server, err := a.listen(cmd, store, false, a.newLogger(cmd))
	if err != nil {
		return err
	}
	defer server.close()
	<-cmd.Context().Done()
	return nil
}
