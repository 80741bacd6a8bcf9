package main

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"tallyman/fetch"
	"tallyman/fetch/sandbox"
	"tallyman/fetch/sls"
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

// A show is one export of the demo: what the sandbox does to it, in words.
type show struct {
	title string
	job   sandbox.Job
	byURL bool // named by its URL, with promises of our own, and not by its job
}

const (
	demoRegion = "cn-hangzhou"
	demoKey    = "SANDBOXKEY"
	demoSecret = "sandbox-secret"
)

func shows() []show {
	csv := func(rows int, codec string) sandbox.File {
		return sandbox.File{Rows: rows, Format: "csv", Codec: codec, Seed: uint64(rows)}
	}
	flipped, expiring := csv(40000, "zstd"), csv(60000, "zstd")
	flipped.Faults.Flip = sandbox.Flip{At: 200000, Times: 1}
	expiring.Faults.ExpireAfter = sandbox.Expiry{Requests: 3}
	return []show{
		{title: "A job that is not done yet: it is asked until it is", job: sandbox.Job{Name: "nightly-zstd",
			Statuses: []string{sandbox.Starting, sandbox.Running, sandbox.Succeeded}, File: csv(30000, "zstd")}},
		{title: "JSON lines in gzip", job: sandbox.Job{Name: "nightly-gzip",
			File: sandbox.File{Rows: 20000, Format: "json", Codec: "gzip", Seed: 2}}},
		{title: "lz4, though the job declares none", job: sandbox.Job{Name: "nightly-lz4",
			DeclaredCompression: "none", File: csv(20000, "lz4")}},
		{title: "A byte flipped on the way: caught, and fetched again", job: sandbox.Job{Name: "flipped", File: flipped}},
		{title: "A URL that expires in mid-transfer: the job gives a new one, and not a byte is lost", job: sandbox.Job{Name: "expiring", File: expiring}},
		{title: "A file by its signed URL, with promises of our own", byURL: true, job: sandbox.Job{Name: "by-url",
			File: sandbox.File{Name: "export.csv.gz", Rows: 5000, Body: sandbox.Compress("gzip", sandbox.Generate(5000, "csv", 6))}}},
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
	fetcher := o.demoFetcher(d)
	for i, s := range shows() {
		fmt.Fprintf(out, "\n%d. %s\n", i+1, s.title)
		if err := d.show(ctx, fetcher, s); err != nil {
			return err
		}
	}
	return d.recheck(ctx)
}

// demoFetcher is what fetch would use, turned to the sandbox.
func (o *options) demoFetcher(d *demo) *worker.OneShot {
	address, _ := url.Parse(d.origin)
	mine := options{parallel: 4, partSize: 128 << 10, hosts: []string{address.Host}, endpoints: endpoints{"sls": d.origin}, network: "public"}
	providers := mine.newProviders()
	providers["sls"].(*sls.Provider).Keys = sls.StaticKeys(demoKey, demoSecret, "")
	return &worker.OneShot{
		Fetcher: &fetch.Fetcher{
			Providers: providers, Archive: d.store, Parallel: mine.parallel, PartSize: int64(mine.partSize),
			Progress: func(p fetch.Progress) { d.note(p.Ref, p.Note) },
		},
		Wait: time.Minute, Poll: 100 * time.Millisecond, Note: d.note,
	}
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

func (d *demo) note(_ fetch.Ref, text string) {
	if text != "" {
		fmt.Fprintf(d.out, "   … %s\n", fetch.Redact(text))
	}
}

func (d *demo) show(ctx context.Context, fetcher *worker.OneShot, s show) error {
	d.cloud.AddJob(d.project, s.job)
	ref, err := fetch.ParseRef(d.reference(s))
	if err != nil {
		return err
	}
	fmt.Fprintf(d.out, "   tallyman fetch %s\n", ref)
	receipt, err := fetcher.Fetch(ctx, ref)
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

func (d *demo) reference(s show) string {
	if !s.byURL {
		return "sls://" + demoRegion + "/" + d.project + "/" + s.job.Name
	}
	promises := fmt.Sprintf("#md5=%x&size=%d&records=5000", md5.Sum(s.job.File.Body), len(s.job.File.Body))
	return d.cloud.URL(d.origin, d.project, s.job.Name) + promises
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
