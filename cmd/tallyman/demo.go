package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/cmd/tallyman/internal/config"
	"tallyman/fetch"
	"tallyman/fetch/redact"
	"tallyman/fetch/sandbox"
	"tallyman/verify/archive"
	"tallyman/worker"
)

func newDemoCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "See everything at work against a cloud in the process; no account needed",
		Example: `  tallyman demo
  tallyman demo --archive /tmp/demo`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.demo(cmd.Context(), cmd.OutOrStdout()) },
	}
}

func (a *app) demo(ctx context.Context, stdout io.Writer) error {
	cloud := sandbox.New(sandbox.Options{AccessKeyID: demoKey, AccessKeySecret: demoSecret})
	origin, stop, err := cloud.Start()
	if err != nil {
		return fmt.Errorf("start the sandbox: %w", err)
	}
	defer stop()
	store, err := a.openArchive(a.mayMake(archive.SiteEmpty))
	if err != nil {
		return err
	}
	c := &demoCommand{stdout: stdout, cloud: cloud, origin: origin, archive: store, project: "demo-" + time.Now().UTC().Format("20060102-150405")}
	fmt.Fprintf(stdout, "A cloud runs in this process, at %s. Its exports land in %s.\n", origin, a.Archive)
	if store.Made {
		fmt.Fprintln(stdout, a.made(store))
	}
	address, err := url.Parse(origin)
	if err != nil {
		return err
	}
	// The settings that are left at zero are limits that do not apply.
	local := &app{Options: config.New(providerNames)}
	local.AllowHosts, local.Parallel, local.PartSize.Value, local.DBSBucket.Value.Name = []string{address.Host}, 4, 128<<10, demoBucket
	local.Wait.Value, local.Poll.Value = time.Minute, 100*time.Millisecond
	for _, name := range providerNames {
		if err := local.Endpoints.Set(name + "=" + origin); err != nil {
			return err
		}
	}
	queue := local.startLocal(ctx, local.providersFor(account{sandbox: true}), store, c)
	defer queue.Close()
	for i, s := range scenarios() {
		fmt.Fprintf(stdout, "\n%d. %s\n", i+1, s.title)
		if err := c.fetch(ctx, queue, s); err != nil {
			return err
		}
	}
	fmt.Fprintf(stdout, "\n%d. The archive, checked again\n   tallyman verify\n", len(c.landed)+1)
	for _, key := range c.landed {
		if err := store.Recheck(ctx, key, nil); err != nil {
			return fmt.Errorf("verify %s: %w", key, err)
		}
		fmt.Fprintf(stdout, "   whole    %s\n", key)
	}
	return nil
}

// demoCommand is a run of the command.
type demoCommand struct {
	stdout  io.Writer
	cloud   *sandbox.Cloud
	origin  string // the address of the cloud
	archive *archive.Archive
	project string   // of all exports of this run
	landed  []string // keys
}

// Progress implements listener.
func (c *demoCommand) Progress(p fetch.Progress) { c.Pause(p.Ref, p.Note) }

// Pause implements listener.
func (c *demoCommand) Pause(_ fetch.Ref, text string) {
	if text != "" {
		fmt.Fprintf(c.stdout, "   … %s\n", redact.Text(text))
	}
}

// Outage implements listener.
func (c *demoCommand) Outage(e worker.OutageEvent) { c.Pause(fetch.Ref{}, e.String()) }

// fetch fetches the export of a scenario, which must land without a doubt.
func (c *demoCommand) fetch(ctx context.Context, queue *worker.Local, s scenario) error {
	ref, err := fetch.ParseRef(s.stage(c.cloud, c.origin, c.project))
	if err != nil {
		return err
	}
	fmt.Fprintf(c.stdout, "   tallyman fetch %s\n", ref)
	receipt, err := queue.Fetch(ctx, ref)
	if err != nil {
		return fmt.Errorf("fetch %s: %w", ref, err)
	}
	c.landed = append(c.landed, receipt.Key)
	cli.PrintChecks(c.stdout, receipt)
	fmt.Fprintf(c.stdout, "   landed   %s in %s\n", cli.Summary(receipt), c.archive.Path(receipt.Key))
	if len(receipt.Doubts) > 0 {
		return fmt.Errorf("%s landed with doubts: %q", ref, receipt.Doubts)
	}
	return nil
}
