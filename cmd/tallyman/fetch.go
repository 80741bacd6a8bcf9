package main

import (
	"context"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"tallyman/fetch"
	"tallyman/verify/archive"
	"tallyman/worker"
)

func newFetch(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fetch REF... | -f FILE",
		Short: "Wait for exports, fetch them, prove them and let them land",
		Example: `  tallyman fetch sls://cn-hangzhou/ali-test-project/download-123
  tallyman fetch 'https://example.com/export.csv.gz#md5=9e107d9d372bb6826bd81d3542a419d6&records=1200'
  tallyman fetch -f - < references.txt`,
		RunE: func(cmd *cobra.Command, args []string) error { return o.fetch(cmd, args) },
	}
	o.transfer(cmd.Flags())
	return cmd
}

func (o *options) fetch(cmd *cobra.Command, args []string) error {
	if err := o.check(); err != nil {
		return err
	}
	providers := o.newProviders()
	refs, err := o.references(cmd, args, providers)
	if err != nil {
		return err
	}
	store, err := archive.Open(o.archive)
	if err != nil {
		return err
	}
	out := newReport(cmd.OutOrStdout(), cmd.ErrOrStderr(), o, store)
	defer out.close()
	fetchAll(cmd.Context(), o.oneShot(providers, store, out), refs, out)
	return out.exit()
}

func fetchAll(ctx context.Context, oneShot *worker.OneShot, refs []fetch.Ref, out *report) {
	var all sync.WaitGroup
	for _, ref := range refs {
		all.Go(func() {
			receipt, err := oneShot.Fetch(ctx, ref)
			out.end(ref, receipt, err)
		})
	}
	all.Wait()
}

// oneShot puts together what makes attempts at exports.
func (o *options) oneShot(providers map[string]fetch.Provider, store *archive.Archive, out *report) *worker.OneShot {
	fetcher := &fetch.Fetcher{
		Providers: providers, Archive: store,
		Parallel: o.parallel, PartSize: int64(o.partSize), Progress: out.progress,
	}
	return &worker.OneShot{
		Fetcher: &turns{fetcher, make(chan struct{}, o.parallel)},
		Wait:    time.Duration(o.wait), Poll: time.Duration(o.poll),
		Attempts: o.attempts, Note: out.pause,
	}
}

// turns lets so many attempts be made at once. An export whose job is not
// ready takes up none between two polls.
type turns struct {
	fetcher worker.Fetcher
	taken   chan struct{}
}

// Fetch implements worker.Fetcher.
func (t *turns) Fetch(ctx context.Context, ref fetch.Ref) (*archive.Receipt, error) {
	select {
	case t.taken <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	defer func() { <-t.taken }()
	return t.fetcher.Fetch(ctx, ref)
}
