package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/fetch"
	"tallyman/fetch/redact"
	"tallyman/fetch/sandbox"
	"tallyman/verify/archive"
	"tallyman/worker"
)

func newDemo(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "See it all against a cloud in the process; no account needed",
		Example: `  tallyman demo
  tallyman demo --archive /tmp/demo`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return o.demo(cmd.Context(), cmd.OutOrStdout()) },
	}
}

func (o *options) demo(ctx context.Context, out io.Writer) error {
	cloud := sandbox.New(sandbox.Options{AccessKeyID: demoKey, AccessKeySecret: demoSecret})
	origin, stop, err := cloud.Start()
	if err != nil {
		return fmt.Errorf("start the sandbox: %w", err)
	}
	defer stop()
	store, err := archive.Open(o.archive)
	if err != nil {
		return err
	}
	d := &demo{out: out, cloud: cloud, origin: origin, store: store, project: "demo-" + time.Now().UTC().Format("20060102-150405")}
	fmt.Fprintf(out, "A cloud runs in this process, at %s. Its exports land in %s.\n", origin, o.archive)
	queue, stopQueue := d.queue(ctx)
	defer stopQueue()
	for i, s := range shows() {
		fmt.Fprintf(out, "\n%d. %s\n", i+1, s.title)
		if err := d.show(ctx, queue, s); err != nil {
			return err
		}
	}
	return d.recheck(ctx)
}

// queue is what fetch would use, turned to the sandbox.
func (d *demo) queue(ctx context.Context) (queue *worker.Local, stop func()) {
	address, _ := url.Parse(d.origin)
	o := options{hosts: []string{address.Host}, endpoints: flagvalue.NewEndpoints(providerNames), parallel: 4, partSize: 128 << 10, bucket: flagvalue.Bucket{Name: demoSink}}
	for _, name := range providerNames {
		_ = o.endpoints.Set(name + "=" + d.origin) // which is an address
	}
	o.wait, o.poll = flagvalue.Duration(time.Minute), flagvalue.Duration(100*time.Millisecond)
	return o.local(ctx, o.providersOf(account{sandbox: true}), d.store, d)
}

// A demo is one run of it.
type demo struct {
	out     io.Writer
	cloud   *sandbox.Cloud
	origin  string
	store   *archive.Archive
	project string
	landed  []string
}

func (d *demo) progress(p fetch.Progress) { d.pause(p.Ref, p.Note) }

func (d *demo) pause(_ fetch.Ref, text string) {
	if text != "" {
		fmt.Fprintf(d.out, "   … %s\n", redact.Text(text))
	}
}

func (d *demo) show(ctx context.Context, queue *worker.Local, s show) error {
	ref, err := fetch.ParseRef(s.stage(d.cloud, d.origin, d.project))
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "   tallyman fetch %s\n", ref)
	receipt, err := queue.Fetch(ctx, ref)
	if err != nil {
		return fmt.Errorf("fetch %s: %w", ref, err)
	}
	d.landed = append(d.landed, receipt.Key)
	prove(d.out, receipt)
	fmt.Fprintf(d.out, "   landed   %s in %s\n", summary(receipt), d.store.Path(receipt.Key))
	if len(receipt.Doubts) > 0 {
		return fmt.Errorf("%s landed with doubts: %q", ref, receipt.Doubts)
	}
	return nil
}

func (d *demo) recheck(ctx context.Context) error {
	fmt.Fprintf(d.out, "\n%d. The archive, rechecked\n   tallyman verify\n", len(d.landed)+1)
	var errs []error
	for _, key := range d.landed {
		err := d.store.Recheck(ctx, key)
		errs = append(errs, err)
		if err == nil {
			fmt.Fprintf(d.out, "   whole    %s\n", key)
		}
	}
	return errors.Join(errs...)
}
