package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"tallyman/fetch"
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
	e := &enqueueCommand{o: o, client: &worker.Client{Archive: store, Queue: queue}, report: out}
	e.options.Wait = time.Duration(o.patience)
	if o.again {
		e.options.Again = time.Now()
	}
	each(cmd.Context(), refs, enqueueConcurrency, out, e.enqueue)
	return e.exit(cmd.ErrOrStderr())
}

// enqueueConcurrency is how many references are on their way to Redis at once, so that
// one far away takes as many a second as one nearby.
const enqueueConcurrency = 64

// An enqueueCommand is a run of the command.
type enqueueCommand struct {
	o       *options
	client  *worker.Client
	options worker.EnqueueOptions
	*report
	counts map[worker.ExportState]int
}

// queued is what --json prints of an export.
type queued struct {
	Schema    string             `json:"schema"`
	Reference string             `json:"reference"`
	State     worker.ExportState `json:"state"` // "queued", "known", "landed", "failed" or "cancelled"
	Cause     worker.Cause       `json:"cause,omitempty"`
	Hint      string             `json:"hint,omitempty"`
}

func (e *enqueueCommand) enqueue(ctx context.Context, ref fetch.Ref) {
	submission, err := e.client.Enqueue(ctx, ref, e.options)
	switch {
	case errors.Is(err, worker.ErrSignedURL):
		e.refuse(usagef("%s: a signed URL is a secret and expires: 'tallyman fetch' it, or enqueue the job that it came from", ref))
	case err != nil:
		e.end(ref, nil, err)
	default:
		e.tell(ref, submission)
	}
}

func (e *enqueueCommand) tell(ref fetch.Ref, submission worker.Submission) {
	told := queued{"tallyman.queued/v1", ref.String(), submission.State, submission.Cause, ""}
	if submission.State == worker.StateFailed || submission.State == worker.StateCancelled {
		told.Hint = "tallyman retry " + quoted(ref.String())
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.counts == nil {
		e.counts = map[worker.ExportState]int{}
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

func (e *enqueueCommand) exit(w io.Writer) error {
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
