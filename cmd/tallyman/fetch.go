package main

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"iter"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/time/rate"

	"tallyman/fetch"
	"tallyman/verify/archive"
	"tallyman/worker"
)

func newFetch(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fetch REF... | -f FILE",
		Short: "Wait for exports, fetch them, prove them and let them land",
		Long: `Fetch waits until each export's job is done, streams the result, proves it and
lets it land in the archive. What has landed before is skipped, so that running
it again tries only what failed.

With -f, references come from a file too, one a line; a line that is empty or
begins with # is none. A file is checked in whole before anything is fetched.
From a pipe, and from standard input (-f -), references are taken as they come,
up to 1024 of them under way at once, and a bad line is one that failed.`,
		Example: `  tallyman fetch sls://cn-hangzhou/ali-test-project/download-123
  tallyman fetch 'https://example.com/export.csv.gz#md5=9e107d9d372bb6826bd81d3542a419d6&records=1200'
  tallyman discover sls://cn-hangzhou/ali-test-project/ --since 2d | tallyman fetch -f -
  tallyman fetch -f references.txt --dry-run`,
		RunE: func(cmd *cobra.Command, args []string) error { return o.fetch(cmd, args) },
	}
	o.input(cmd.Flags())
	o.transfer(cmd.Flags())
	o.waiting(cmd.Flags())
	o.calls(cmd.Flags())
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
	if o.dryRun {
		return o.plan(cmd, refs)
	}
	store, err := archive.Open(o.archive)
	if err != nil {
		return err
	}
	out := newReport(cmd.OutOrStdout(), cmd.ErrOrStderr(), o, store)
	defer out.close()
	queue, stop := o.local(cmd.Context(), providers, store, out)
	defer stop()
	l := &landing{queue, store, out, o.again, time.Now()}
	each(cmd.Context(), refs, mostOpen, out, l.fetch)
	return out.exit()
}

// mostOpen is how many references are under way at once. Most of those may be
// jobs that are waited for.
const mostOpen = 1024

// allReferences yields references, and errors in place of those that are none.
type allReferences interface {
	all(context.Context) iter.Seq2[fetch.Ref, error]
}

// each does it for every reference, so many at once, and returns when all is
// done. Lines that are no references are reported, and what ends ctx is.
func each(ctx context.Context, refs allReferences, most int, out *report, do func(context.Context, fetch.Ref)) {
	var all sync.WaitGroup
	defer all.Wait()
	open := make(chan struct{}, most)
	for ref, err := range refs.all(ctx) {
		if err != nil {
			out.refuse(err)
			continue
		}
		select {
		case open <- struct{}{}:
		case <-ctx.Done():
			out.refuse(context.Cause(ctx))
			return
		}
		all.Go(func() {
			defer func() { <-open }()
			if err := recovering(func() error { do(ctx, ref); return nil }); err != nil {
				out.end(ref, nil, err)
			}
		})
	}
}

// A landing is a run of the command.
type landing struct {
	queue *worker.Local
	store *archive.Archive
	out   *report
	again bool
	began time.Time
}

// fetch fetches what has not landed, or again what has, be it damaged.
func (l *landing) fetch(ctx context.Context, ref fetch.Ref) {
	receipt, err := l.store.Landed(ref.Key())
	switch {
	case l.again && !errors.Is(err, fs.ErrNotExist):
		ref = worker.NextRevision(l.store, ref, l.began)
	case err == nil:
		l.out.skip(ref, receipt)
		return
	}
	receipt, err = l.queue.Fetch(ctx, ref)
	l.out.end(ref, receipt, err)
}

// A listener is told how exports get on, by many goroutines at once.
type listener interface {
	progress(fetch.Progress)
	pause(ref fetch.Ref, note string)
}

// local is a queue in this process, served with these settings.
func (o *options) local(ctx context.Context, providers map[string]fetch.Provider, store *archive.Archive, out listener) (queue *worker.Local, stop func()) {
	queue = worker.StartLocal(&worker.Worker{
		Archive: store, Fetcher: o.fetcher(ctx, providers, store, out.progress),
		PollConcurrency: o.parallel, FetchConcurrency: o.parallel,
		Wait: time.Duration(o.wait), PollInterval: time.Duration(o.poll), Attempts: o.attempts,
		TaskCheckInterval: wakeLocal, OnNote: out.pause,
	})
	return queue, func() { queue.Close() }
}

// wakeLocal is how soon a task that is due is noticed in this process.
const wakeLocal = 100 * time.Millisecond

// fetcher makes attempts with these settings. They end soon after ctx does.
func (o *options) fetcher(ctx context.Context, providers map[string]fetch.Provider, store *archive.Archive, progress func(fetch.Progress)) *fetch.Fetcher {
	f := &fetch.Fetcher{
		Providers: providers, StatusCaches: fetch.StatusCaches(providers, o.profile), Archive: store,
		Parallel: o.parallel, PartSize: int64(o.partSize), Progress: progress,
		Keep: fetch.Keep(o.keep.String()), Limit: o.limiter(), MinRate: cmp.Or(int64(o.minRate), -1), MaxSize: int64(o.maxSize), MaxDecoded: int64(o.decoded), Soft: ctx,
	}
	f.Limits.Entries = o.entries
	return f
}

const (
	leastRate  = 1 << 10   // bytes a second; one that reads slower would seem to stall
	mostAtOnce = 128 << 10 // bytes that one read takes
)

// limiter is what --limit-rate asks for, or nil. What may come at once, and
// what one read takes, is a tenth of a second's bytes, and so much less that
// every connection there may be gets its turn in ten seconds.
func (o *options) limiter() *rate.Limiter {
	if o.limitRate == 0 {
		return nil
	}
	bytes, connections := int64(o.limitRate), int64(o.parallel)*int64(o.parallel)
	burst := max(1, min(bytes/10, bytes*10/connections, mostAtOnce))
	return rate.NewLimiter(rate.Limit(bytes), int(burst))
}
