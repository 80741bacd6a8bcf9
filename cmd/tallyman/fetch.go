package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"tallyman/fetch"
	"tallyman/verify/archive"
	"tallyman/worker"
)

func newFetch(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fetch REF...",
		Short: "Wait for exports, fetch them, prove them and let them land",
		Example: `  tallyman fetch sls://cn-hangzhou/ali-test-project/download-123
  tallyman fetch 'https://example.com/export.csv.gz#md5=9e107d9d372bb6826bd81d3542a419d6&records=1200'`,
		Args: usage(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return o.fetch(cmd, args) },
	}
	o.transfer(cmd.Flags())
	return cmd
}

func (o *options) fetch(cmd *cobra.Command, args []string) error {
	if err := o.check(); err != nil {
		return err
	}
	refs, err := o.parseRefs(args)
	if err != nil {
		return err
	}
	store, err := archive.Open(o.archive)
	if err != nil {
		return err
	}
	out := newReport(cmd.OutOrStdout(), cmd.ErrOrStderr(), o, store)
	defer out.close()
	oneShot := o.oneShot(o.newProviders(), store, out)
	var group errgroup.Group
	group.SetLimit(o.parallel)
	for _, ref := range refs {
		group.Go(func() error {
			receipt, err := oneShot.Fetch(cmd.Context(), ref)
			out.end(ref, receipt, err)
			return nil
		})
	}
	group.Wait()
	return out.exit(cmd.Context())
}

// oneShot puts together what makes attempts at exports.
func (o *options) oneShot(providers map[string]fetch.Provider, store *archive.Archive, out *report) *worker.OneShot {
	fetcher := &fetch.Fetcher{
		Providers: providers, Archive: store,
		Parallel: o.parallel, PartSize: int64(o.partSize), Progress: out.progress,
	}
	return &worker.OneShot{
		Fetcher: fetcher, Wait: time.Duration(o.wait), Poll: time.Duration(o.poll),
		Attempts: o.attempts, Note: out.note,
	}
}

// parseRefs reads references, each once.
func (o *options) parseRefs(args []string) ([]fetch.Ref, error) {
	var refs []fetch.Ref
	seen := map[string]bool{}
	for _, arg := range args {
		ref, err := fetch.ParseRef(arg)
		if err != nil {
			return nil, &usageError{err}
		}
		if ref.Scheme() == "http" && !o.allowsHTTP(ref) {
			return nil, usagef("%s: http needs --allow-host %s", ref, ref.Parts()[0])
		}
		if !seen[ref.Key()] {
			seen[ref.Key()] = true
			refs = append(refs, ref)
		}
	}
	return refs, nil
}

func (o *options) allowsHTTP(ref fetch.Ref) bool {
	hosts := fetch.Hosts{Allow: o.hosts}
	return hosts.Allows(ref.Parts()[0])
}

// A report tells how exports fare: what landed on stdout, all else on stderr.
// Many goroutines report at once.
type report struct {
	mu       sync.Mutex
	out, err io.Writer
	o        *options
	store    *archive.Archive
	bars     *bars // nil but on a terminal

	total, failed, notReady, doubted int
	last                             worker.Outcome // of the last that failed
}

func newReport(out, err io.Writer, o *options, store *archive.Archive) *report {
	r := &report{out: out, err: err, o: o, store: store}
	if f, ok := err.(*os.File); ok && !o.quiet && !o.json {
		r.bars = newBars(f)
	}
	if r.bars != nil {
		r.err = r.bars
	}
	return r
}

func (r *report) close() {
	if r.bars != nil {
		r.bars.close()
	}
}

func (r *report) progress(p fetch.Progress) {
	if p.Note != "" {
		r.note(p.Ref, p.Note)
	}
	if r.bars != nil {
		r.bars.add(p)
	}
}

func (r *report) note(ref fetch.Ref, text string) {
	if r.o.quiet {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(r.err, "%s: %s\n", ref, fetch.Redact(text))
}

// end reports one export.
func (r *report) end(ref fetch.Ref, receipt *archive.Receipt, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bars != nil {
		r.bars.end(ref)
	}
	r.total++
	if err != nil {
		r.fail(ref, err)
		return
	}
	if len(receipt.Doubts) > 0 {
		r.doubted++
	}
	r.land(receipt)
}

func (r *report) land(receipt *archive.Receipt) {
	path := r.store.Path(receipt.Key)
	if r.o.json {
		writeJSON(r.out, landed{"tallyman.landed/v1", "landed", path, receipt})
		return
	}
	if r.o.quiet {
		fmt.Fprintln(r.out, path)
		return
	}
	fmt.Fprintf(r.out, "landed  %s  %s  %s\n", receipt.Reference, summary(receipt), path)
	for _, doubt := range receipt.Doubts {
		fmt.Fprintf(r.err, "%s: doubt: %s\n", receipt.Reference, doubt)
	}
}

// summary says how much landed.
func summary(receipt *archive.Receipt) string {
	s := fmt.Sprintf("%s in %s", formatSize(receipt.Bytes), plural(receipt.Files, "file"))
	if receipt.Records >= 0 {
		s += ", " + plural(int(receipt.Records), "row")
	}
	return s
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// landed and failed are what --json prints of an export.
type landed struct {
	Schema  string           `json:"schema"`
	State   string           `json:"state"`
	Path    string           `json:"path"`
	Receipt *archive.Receipt `json:"receipt"`
}

type failed struct {
	Schema    string       `json:"schema"`
	Reference string       `json:"reference"`
	State     string       `json:"state"` // "failed" or "not-ready"
	Cause     worker.Cause `json:"cause,omitempty"`
	Message   string       `json:"message"`
	Hint      string       `json:"hint,omitempty"`
}

func (r *report) fail(ref fetch.Ref, err error) {
	outcome := worker.Classify(err)
	state := "failed"
	if outcome.Exit == worker.ExitNotReady {
		state = "not-ready"
		r.notReady++
	} else {
		r.failed++
	}
	r.last = outcome
	message := fetch.Redact(err.Error())
	if r.o.json {
		writeJSON(r.out, failed{"tallyman.failed/v1", ref.String(), state, outcome.Cause, message, outcome.Hint})
	}
	fmt.Fprintf(r.err, "tallyman: %s: %s: %s\n", ref, outcome.Cause, message)
	hint(r.err, outcome.Hint)
}

// exit is nil if all landed without a doubt.
func (r *report) exit(ctx context.Context) error {
	bad := r.failed + r.notReady
	if r.total > 1 && !r.o.quiet {
		fmt.Fprintf(r.err, "%d landed, %d failed, %d not ready\n", r.total-bad, r.failed, r.notReady)
	}
	switch {
	case ctx.Err() != nil:
		return exit(worker.ExitInterrupted)
	case r.failed > 0 && r.total > 1:
		return exit(worker.ExitSomeFailed)
	case bad > 0:
		return exit(r.last.Exit)
	case r.doubted > 0:
		return exit(worker.ExitDoubts)
	}
	return nil
}
