package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/fetch/redact"
	"tallyman/verify/archive"
	"tallyman/worker"
)

func newStatusCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status [REF...]",
		Short: "Show what has landed, what is under way, and what needs you",
		Long: `Status counts the exports of the archive by state, and lists those that need
someone, with the command that helps. It shows everything about the exports that
are named. With --redis it also knows exports that no worker has seen yet, and
when the others are tried again. If Redis is away, it says so, and tells what the
archive knows.

  landed     in the archive, verified
  running    an attempt is being made
  waiting    for its job, or to be tried again
  queued     for a worker
  idle       begun, but in no queue that status knows of
  failed     needs someone: see the cause
  not ready  its job was not, when the time to wait for it was over
  cancelled  by 'tallyman cancel'`,
		Example: `  tallyman status
  tallyman status --since fri --json
  tallyman status sls://cn-hangzhou/ali-test-project/download-123`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.status(cmd, args) },
	}
	f := cmd.Flags()
	a.AddSince(f, "what landed or changed")
	a.AddAllowHost(f)
	cli.GroupFlags(f, "What to show", "since", "allow-host")
	a.AddQueue(f)
	return cmd
}

func (a *app) status(cmd *cobra.Command, args []string) error {
	store, err := a.openRequired()
	if err != nil {
		return err
	}
	client := &worker.Client{Archive: store}
	c := &statusCommand{app: a, archive: store, stdout: cmd.OutOrStdout(), counts: map[worker.ExportState]int{}}
	if a.Redis.Value != "" {
		queue, stop, err := a.openQueue(cmd, store, nil, statusPatience)
		if err == nil {
			defer stop()
			client.Queue = queue
			c.reader, err = client.Status(cmd.Context())
		}
		if err != nil && !errors.Is(err, worker.ErrRedis) {
			return err
		}
		c.away = err
	}
	if c.away != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "Redis is away: %s\nThis is what the archive alone knows: exports that no worker has seen yet are not among it.\nhint: %s\n",
			redact.Text(c.away.Error()), hint("", c.away))
	}
	if c.reader == nil {
		client.Queue = nil
		c.reader, _ = client.Status(cmd.Context())
	}
	if len(args) == 0 {
		return c.printAll(cmd.Context())
	}
	providers := a.newProviders()
	for _, arg := range args {
		ref, err := a.reference(arg, providers)
		if err != nil {
			return err
		}
		status, err := c.reader.Export(ref)
		if err != nil {
			return usageError(ref, err)
		}
		c.print(c.newStatusLine(status))
	}
	return nil
}

// statusPatience is for a Redis that does not answer: the archive tells most.
const statusPatience = 1500 * time.Millisecond

// statusLine is what --json prints of an export.
type statusLine struct {
	Schema    string             `json:"schema"`
	Reference string             `json:"reference"`
	State     worker.ExportState `json:"state"`
	Landed    *time.Time         `json:"landed,omitempty"`
	Path      string             `json:"path,omitempty"`
	Bytes     *int64             `json:"bytes,omitempty"` // of content
	Doubts    []string           `json:"doubts,omitempty"`
	FirstSeen *time.Time         `json:"first_seen,omitempty"`
	Changed   *time.Time         `json:"changed,omitempty"`
	Next      *time.Time         `json:"next,omitempty"` // when it is tried again
	Received  int64              `json:"received,omitempty"`
	Polls     int                `json:"polls,omitempty"`
	Attempts  int                `json:"attempts,omitempty"` // how many failed
	Cause     worker.Cause       `json:"cause,omitempty"`
	Message   string             `json:"message,omitempty"`
	Command   string             `json:"command,omitempty"` // the command that helps
	Hint      string             `json:"hint,omitempty"`
	Accepted  string             `json:"accepted,omitempty"` // the reason why a person takes what is wrong as it is
}

// statusCommand is a run of the command.
type statusCommand struct {
	app     *app
	archive *archive.Archive
	reader  *worker.StatusReader
	away    error // why the Redis of the queue does not answer, or nil
	stdout  io.Writer

	counts   map[worker.ExportState]int
	doubts   int          // exports that landed with doubts
	notReady int          // of those that failed, the ones whose jobs were not ready in time
	listed   []statusLine // to be printed once all are known
}

// newStatusLine returns the line for an export, with the command that helps it.
func (c *statusCommand) newStatusLine(status worker.Status) statusLine {
	line := statusLine{
		Schema: "tallyman.status/v1", Reference: status.Reference, State: status.State, Received: status.Received, Polls: status.Counters.Polls,
		Cause: status.Cause, Message: status.Message,
	}
	if !status.Next.IsZero() {
		line.Next = &status.Next
	}
	if record := status.Record; record != nil {
		line.FirstSeen, line.Attempts, line.Hint = &record.FirstSeen, record.Attempts, hintFor(status.Cause, status.Reference, nil)
		if !record.Changed.IsZero() {
			line.Changed = &record.Changed
		}
	}
	receipt := status.Receipt
	switch {
	case receipt != nil:
		line.Path, line.Landed, line.Doubts, line.Bytes = c.archive.Path(status.Key), &receipt.Landed, receipt.Doubts, &receipt.Bytes
	case status.State == worker.StateFailed && status.Record == nil: // its bag is damaged
		line.Path, line.Command = c.archive.Path(status.Key), "tallyman verify"
	case status.State == worker.StateFailed:
		line.Command = retryCommand(status.Reference, status.Cause)
	case status.State == worker.StateIdle && c.away != nil: // it may be in the queue
	case status.State == worker.StateIdle && c.app.Redis.Value != "":
		line.Command = "tallyman requeue"
	case status.State == worker.StateIdle:
		line.Command = "tallyman fetch " + cli.ShellQuote(status.Reference)
	}
	return line
}

// printAll counts all exports, and prints those that someone should know of;
// with --json, all.
func (c *statusCommand) printAll(ctx context.Context) error {
	for status, err := range c.reader.All(ctx) {
		if err != nil {
			return err
		}
		if err := c.add(c.newStatusLine(status)); err != nil {
			return err
		}
	}
	c.printCounts()
	return nil
}

// add counts an export unless it is older than --since. It prints it with
// --json, or keeps it to be listed if someone should know of it. It returns an
// error if nobody reads on.
func (c *statusCommand) add(line statusLine) error {
	if when := cmp.Or(line.Landed, line.Changed, line.FirstSeen); when != nil && when.Before(c.app.Since.Value) {
		return nil
	}
	c.counts[line.State]++
	if len(line.Doubts) > 0 {
		c.doubts++
	}
	if line.notReady() {
		c.notReady++
	}
	if c.app.JSON {
		return cli.PrintJSON(c.stdout, line)
	}
	if line.State != worker.StateLanded && line.State != worker.StateQueued && line.State != worker.StateCancelled || len(line.Doubts) > 0 {
		c.listed = append(c.listed, line)
	}
	return nil
}

// exportStates are all states of exports, in the order in which they are listed.
var exportStates = []worker.ExportState{
	worker.StateLanded, worker.StateRunning, worker.StateWaiting, worker.StateQueued, worker.StateIdle, worker.StateFailed, worker.StateCancelled,
}

// countsLine is the last line of --json.
type countsLine struct {
	Schema string                     `json:"schema"`
	Counts map[worker.ExportState]int `json:"counts"`
	Doubts int                        `json:"doubts"` // exports that landed with doubts

	NotReady int    `json:"not_ready,omitempty"` // exports that count as failed, since their jobs were not ready in time
	Aside    int    `json:"aside,omitempty"`     // tasks that can't be read
	Odd      int    `json:"odd,omitempty"`       // exports whose state can't be read
	Accepted int    `json:"accepted,omitempty"`  // exports of which what is wrong is accepted
	Away     string `json:"away,omitempty"`      // why Redis does not answer: what is in the queue alone is not counted
}

func (c *statusCommand) printCounts() {
	if c.app.JSON {
		for _, state := range exportStates {
			c.counts[state] += 0
		}
		counts := countsLine{"tallyman.counts/v1", c.counts, c.doubts, c.notReady, len(c.reader.Quarantined), len(c.reader.Unreadable), 0, ""}
		if c.away != nil {
			counts.Away = redact.Text(c.away.Error())
		}
		_ = cli.PrintJSON(c.stdout, counts)
		return
	}
	c.printListed()
	parts := []string{cli.LandedCount(c.counts[worker.StateLanded], 0, c.doubts)}
	for _, state := range exportStates[1:] {
		n := c.counts[state]
		if state == worker.StateFailed {
			n -= c.notReady
		}
		if n > 0 || state == worker.StateFailed {
			parts = append(parts, fmt.Sprintf("%d %s", n, state))
		}
	}
	if c.notReady > 0 {
		parts = append(parts, fmt.Sprintf("%d not ready", c.notReady))
	}
	fmt.Fprintln(c.stdout, strings.Join(parts, ", "))
	if n := len(c.reader.Quarantined); n > 0 {
		fmt.Fprintf(c.stdout, "%s in the queue can't be read, and no worker takes them:\n", cli.Plural(int64(n), "task"))
		slices.SortFunc(c.reader.Quarantined, func(a, b worker.QueuedTask) int { return strings.Compare(a.ID, b.ID) })
		for _, task := range c.reader.Quarantined[:min(n, maxListed)] {
			fmt.Fprintf(c.stdout, "  %s  %s\n", cmp.Or(task.ID, "?"), task.Why)
		}
		if n > maxListed {
			fmt.Fprintln(c.stdout, "  and more")
		}
	}
	if n := len(c.reader.Unreadable); n > 0 {
		fmt.Fprintf(c.stdout, "%s with a state that this version can't read: %q\n", cli.Plural(int64(n), "export"), c.reader.Unreadable[:min(n, maxListed)])
	}
}

// maxListed is how many exports of a state are listed, unless they have failed.
const maxListed = 20

func (c *statusCommand) printListed() {
	slices.SortStableFunc(c.listed, func(a, b statusLine) int {
		return cmp.Or(slices.Index(exportStates, a.State)-slices.Index(exportStates, b.State), strings.Compare(a.Reference, b.Reference))
	})
	printed := map[worker.ExportState]int{}
	for _, line := range c.listed {
		printed[line.State]++
		switch n := printed[line.State]; {
		case n <= maxListed || line.State == worker.StateFailed:
			c.print(line)
		case n == maxListed+1:
			fmt.Fprintf(c.stdout, "%-9s and more: --json lists all\n", line.State)
		}
	}
}

func (c *statusCommand) print(line statusLine) {
	if c.app.JSON {
		_ = cli.PrintJSON(c.stdout, line)
		return
	}
	state := string(line.State)
	if line.notReady() {
		state = "not ready"
	}
	fmt.Fprintf(c.stdout, "%-9s %s%s\n", state, line.Reference, line.details())
	for _, doubt := range line.Doubts {
		fmt.Fprintf(c.stdout, "          doubt: %s\n", redact.Text(doubt))
	}
	if line.Command != "" {
		comment := ""
		if line.Hint != "" {
			comment = "   # " + line.Hint
		}
		fmt.Fprintf(c.stdout, "          %s%s\n", line.Command, comment)
	}
}

// notReady reports whether an export failed only since its job was not ready in time.
// Fetch counts it apart from what failed.
func (s *statusLine) notReady() bool {
	return s.State == worker.StateFailed && s.Cause == "not-ready"
}

// details returns what a line says about an export besides its state.
func (s *statusLine) details() string {
	var parts []string
	if s.Cause != "" && string(s.Cause) != string(s.State) && !s.notReady() { // the state says all
		parts = append(parts, string(s.Cause))
	}
	if s.Message != "" {
		parts = append(parts, s.Message)
	}
	if s.Next != nil {
		parts = append(parts, "again at "+s.Next.Local().Format(time.TimeOnly))
	}
	if s.Received > 0 {
		parts = append(parts, flagvalue.FormatSize(s.Received)+" received")
	}
	if s.Landed != nil {
		parts = append(parts, s.Path)
	}
	if len(parts) == 0 {
		return ""
	}
	return "  " + strings.Join(parts, ": ")
}
