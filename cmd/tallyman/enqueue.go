package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"tallyman/fetch"
	"tallyman/verify/archive"
	"tallyman/worker"
)

func newEnqueue(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "enqueue REF... | -f FILE | -",
		Short: "Have the workers fetch exports",
		Long: `Enqueue puts references into the queue in the Redis of --redis, for the workers
to wait for, fetch, prove and let land. To enqueue an export twice is harmless.
Where the archive is at hand (--archive), what has landed is passed over, and
what has failed is left to 'tallyman retry'.

A signed URL is refused: it is a secret, and it expires. Enqueue the job that it
came from, or let 'tallyman fetch' fetch it now.`,
		Example: `  tallyman enqueue sls://cn-hangzhou/ali-test-project/download-123
  tallyman discover sls://cn-hangzhou/ali-test-project/ --since 2d | tallyman enqueue -`,
		RunE: func(cmd *cobra.Command, args []string) error { return o.enqueue(cmd, args) },
	}
	f := cmd.Flags()
	o.queueing(f)
	f.StringVarP(&o.file, "file", "f", "", "read references from `FILE` too, one a line; - is standard input")
	f.BoolVar(&o.again, "again", false, "fetch what has landed once more, into a new bag KEY@TIME; the old one stays")
	f.Var(&o.patience, "wait", "how long to wait for a job to become ready; 0 is as long as the worker does")
	f.StringSliceVar(&o.hosts, "allow-host", nil, "take http references to `HOST[:PORT]` too (repeatable, or with commas)")
	group(f, "What to fetch", "file", "again", "wait", "allow-host")
	return cmd
}

func (o *options) enqueue(cmd *cobra.Command, args []string) error {
	if err := o.checkHosts(); err != nil {
		return err
	}
	refs, err := o.references(cmd, args, o.newProviders())
	if err != nil {
		return err
	}
	store, err := o.existing()
	if err != nil {
		return err
	}
	queue, stop, err := o.queueOf(cmd.Context(), store)
	if err != nil {
		return err
	}
	defer stop()
	out := newReport(cmd.OutOrStdout(), cmd.ErrOrStderr(), o, store)
	e := &enqueueing{o: o, queue: queue, store: store, report: out, began: time.Now()}
	each(cmd.Context(), refs, enqueuedAtOnce, out, e.enqueue)
	return e.exit(cmd.ErrOrStderr())
}

// enqueuedAtOnce is how many references are on their way to Redis at once, so
// that one far away takes as many a second as one nearby.
const enqueuedAtOnce = 64

// An enqueueing is a run of the command.
type enqueueing struct {
	o     *options
	queue *worker.Queue
	store *archive.Archive // or nil
	*report
	began  time.Time
	counts map[string]int // by state
}

// queued is what --json prints of an export.
type queued struct {
	Schema    string `json:"schema"`
	Reference string `json:"reference"`
	State     string `json:"state"` // "queued", "known", "landed" or "failed"
	Cause     string `json:"cause,omitempty"`
	Hint      string `json:"hint,omitempty"`
}

func (e *enqueueing) enqueue(ctx context.Context, ref fetch.Ref) {
	if ref.Signed() {
		e.refuse(usagef("%s: a signed URL is a secret and expires: 'tallyman fetch' it, or enqueue the job that it came from", ref))
		return
	}
	told, err := e.add(ctx, ref)
	if err != nil {
		e.end(ref, nil, err)
		return
	}
	e.tell(told)
}

// add enqueues an export, unless it is known how it fared.
func (e *enqueueing) add(ctx context.Context, ref fetch.Ref) (queued, error) {
	told := queued{Schema: "tallyman.queued/v1", Reference: ref.String(), State: "known"}
	receipt, err := landedIn(e.store, ref)
	switch {
	case receipt != nil && e.o.again:
		ref = anew(e.store, ref, e.began)
	case receipt != nil:
		told.State = "landed"
		return told, fetch.CheckReceipt(ref, receipt)
	case err != nil && !e.o.again:
		return told, err
	}
	if state, ok := e.failed(ref); ok {
		told.State, told.Cause, told.Hint = string(state.Phase), state.Cause, "tallyman retry "+quoted(ref.String())
		return told, nil
	}
	news, err := e.queue.Enqueue(ctx, ref, worker.Options{Wait: worker.Duration(e.o.patience)})
	if news {
		told.State = "queued"
	}
	return told, err
}

func (e *enqueueing) failed(ref fetch.Ref) (archive.State, bool) {
	if e.store == nil {
		return archive.State{}, false
	}
	state, _, err := e.store.State(ref.Key())
	return state, err == nil && (state.Phase == archive.Failed || state.Phase == archive.Cancelled)
}

func (e *enqueueing) tell(told queued) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.counts == nil {
		e.counts = map[string]int{}
	}
	e.counts[told.State]++
	switch {
	case e.o.json:
		writeJSON(e.out, told)
	case !e.o.quiet:
		fmt.Fprintf(e.out, "%-7s %s\n", told.State, told.Reference)
	}
	if told.Hint != "" && !e.o.quiet {
		fmt.Fprintf(e.err, "%s: %s: %s\nhint: %s\n", told.Reference, told.State, told.Cause, told.Hint)
	}
}

func (e *enqueueing) exit(w io.Writer) error {
	if !e.o.quiet {
		fmt.Fprintf(w, "%d queued, %d known, %d landed before, %d failed before, %d refused\n",
			e.counts["queued"], e.counts["known"], e.counts["landed"], e.counts["failed"]+e.counts["cancelled"], e.report.failed)
	}
	switch done := len(e.counts) > 0; {
	case e.cancelled > 0:
		return exit(worker.ExitInterrupted)
	case e.report.failed > 0 && (done || e.report.failed > 1):
		return exit(worker.ExitSomeFailed)
	case e.report.failed > 0:
		return exit(e.last.Exit)
	}
	return nil
}
