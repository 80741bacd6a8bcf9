package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/fetch"
	"tallyman/worker"
)

func newEnqueueCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "enqueue REF... | -f FILE | -",
		Short: "Let the workers fetch exports",
		Long: `Enqueue puts references into the queue in the Redis of --redis. The workers wait
for these exports, fetch them, verify them and let them land. To enqueue an export
twice is harmless. If the archive exists here (--archive), exports that have
landed are skipped, and those that have failed are left to 'tallyman retry'.

A signed URL is refused: it is a secret, and it expires. Enqueue the job that it
came from, or fetch it now with 'tallyman fetch'.`,
		Example: `  tallyman enqueue sls://cn-hangzhou/ali-test-project/download-123
  tallyman discover sls://cn-hangzhou/ali-test-project/ --since 2d | tallyman enqueue -`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.CheckCalls(); err != nil {
				return err
			}
			refs, err := a.references(cmd, args, a.newProviders())
			if err != nil {
				return err
			}
			store, err := a.openExisting()
			if err != nil {
				return err
			}
			queue, stop, err := a.openQueue(cmd, store, nil, 0)
			if err != nil {
				return err
			}
			defer stop()
			c := &enqueueCommand{app: a, client: &worker.Client{Archive: store, Queue: queue}, report: a.newReport(cmd, store), stderr: cmd.ErrOrStderr()}
			c.options.Wait = a.TaskWait.Value
			if a.Again {
				c.options.Again = time.Now()
			}
			forEachReference(cmd.Context(), refs, maxConcurrentEnqueues, c.report, c.enqueue)
			return c.exit()
		},
	}
	f := cmd.Flags()
	a.AddQueue(f)
	a.AddReferences(f)
	a.TaskWait = flagvalue.New("DURATION", "", flagvalue.ParseDuration)
	f.Var(&a.TaskWait, "wait", "how long to wait for a job to become ready;\n0 is as long as the worker does")
	a.AddAllowHost(f)
	cli.GroupFlags(f, "What to fetch", "file", "again", "wait", "allow-host")
	return cmd
}

// maxConcurrentEnqueues is how many exports are enqueued at the same time, so
// that a Redis far away takes as many a second as one nearby.
const maxConcurrentEnqueues = 64

// enqueueCommand is a run of the command enqueue or, with a Redis, retry.
type enqueueCommand struct {
	app     *app
	client  *worker.Client
	options worker.EnqueueOptions
	report  *cli.Report
	stderr  io.Writer

	mu     sync.Mutex
	counts map[worker.ExportState]int
}

func (c *enqueueCommand) enqueue(ctx context.Context, ref fetch.Ref) {
	submission, err := c.client.Enqueue(ctx, ref, c.options)
	switch {
	case errors.Is(err, worker.ErrSignedURL):
		c.report.Reject(&cli.UsageError{Reference: ref.String(),
			Err: fmt.Errorf("%s: a signed URL is a secret and expires: fetch it with 'tallyman fetch', or enqueue the job that it came from", ref)})
	case err != nil:
		c.report.End(ref, nil, err)
	default:
		c.print(ref, submission)
	}
}

// queuedLine is what --json prints of an export.
type queuedLine struct {
	Schema    string             `json:"schema"`
	Reference string             `json:"reference"`
	State     worker.ExportState `json:"state"` // "queued", "known", "landed", "failed", "cancelled" or "removed"
	Cause     worker.Cause       `json:"cause,omitempty"`
	Hint      string             `json:"hint,omitempty"`
}

// print prints what came of an export, and counts it.
func (c *enqueueCommand) print(ref fetch.Ref, submission worker.Submission) {
	line := queuedLine{Schema: "tallyman.queued/v1", Reference: ref.String(), State: submission.State, Cause: submission.Cause}
	if submission.State == worker.StateFailed || submission.State == worker.StateCancelled {
		line.Hint = retryCommand(line.Reference, submission.Cause)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts == nil {
		c.counts = map[worker.ExportState]int{}
	}
	c.counts[line.State]++
	if submission.State == worker.StateRemoved {
		line.Hint = "tallyman fetch " + cli.ShellQuote(line.Reference)
	}
	c.report.Print(line, fmt.Sprintf("%-7s %s", line.State, line.Reference))
	if line.Hint != "" && !c.app.Quiet {
		said := fmt.Sprintf("it was %s, and stays so", line.State)
		if line.State == worker.StateFailed {
			said = "failed: " + string(line.Cause)
		}
		fmt.Fprintf(c.stderr, "%s: %s\n", line.Reference, said)
		cli.PrintHint(c.stderr, line.Hint)
	}
}

func (c *enqueueCommand) exit() error {
	counts := fmt.Sprintf("%d queued, %d known, %d landed before, %d failed before",
		c.counts[worker.StateQueued], c.counts[worker.StateKnown], c.counts[worker.StateLanded], c.counts[worker.StateFailed]+c.counts[worker.StateCancelled])
	if n := c.counts[worker.StateRemoved]; n > 0 {
		counts += fmt.Sprintf(", %d %s", n, worker.StateRemoved)
	}
	return c.report.ExitEnqueued(counts, len(c.counts) > 0)
}
