package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/fetch/redact"
	"tallyman/verify/archive"
	"tallyman/worker"
)

func newStatus(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status [REF...]",
		Short: "Say what has landed, what is under way, and what needs you",
		Long: `Status counts the exports of the archive by how they fare, and lists those that
need someone, with what to do about each. Named ones it tells all about. With
--redis it knows of those too that no worker has seen yet, and when the others
are due.

  landed     in the archive, proven
  running    an attempt is being made
  waiting    for its job, or to be tried again
  queued     for a worker
  idle       begun, but in no queue that status knows of
  failed     needs someone: see the cause
  cancelled  by 'tallyman cancel'`,
		Example: `  tallyman status
  tallyman status --since fri --json
  tallyman status sls://cn-hangzhou/ali-test-project/download-123`,
		RunE: func(cmd *cobra.Command, args []string) error { return o.status(cmd, args) },
	}
	f := cmd.Flags()
	f.Var(&o.since, "since", "only what landed, or changed, since `TIME`: a duration ago, a weekday, a date, or a time (RFC 3339)")
	f.StringSliceVar(&o.hosts, "allow-host", nil, "take http references to `HOST[:PORT]` too (repeatable, or with commas)")
	group(f, "What to show", "since", "allow-host")
	o.queueing(f)
	return cmd
}

func (o *options) status(cmd *cobra.Command, args []string) error {
	store, err := o.stored()
	if err != nil {
		return err
	}
	client := &worker.Client{Archive: store}
	if o.redis.URL() != "" {
		queue, stop, err := o.queueOf(cmd.Context(), store)
		if err != nil {
			return err
		}
		defer stop()
		client.Queue = queue
	}
	exports, err := client.Status(cmd.Context())
	if err != nil {
		return err
	}
	s := &statusCommand{o: o, store: store, hasQueue: client.Queue != nil, exports: exports, out: cmd.OutOrStdout(), counts: map[worker.ExportState]int{}}
	if len(args) > 0 {
		return s.printNamed(args)
	}
	return s.printAll(cmd.Context())
}

// A statusEntry is how one export fares, as --json prints it.
type statusEntry struct {
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
	Attempts  int                `json:"attempts,omitempty"` // that failed
	Cause     worker.Cause       `json:"cause,omitempty"`
	Message   string             `json:"message,omitempty"`
	Command   string             `json:"command,omitempty"` // that helps
	Hint      string             `json:"hint,omitempty"`
}

// A statusCommand is a run of the command.
type statusCommand struct {
	o        *options
	store    *archive.Archive
	hasQueue bool
	exports  *worker.StatusReader
	out      io.Writer
	counts   map[worker.ExportState]int
	doubts   int
	listed   []statusEntry // those that a person reads
}

// printNamed prints all about the exports that are named.
func (s *statusCommand) printNamed(args []string) error {
	providers := s.o.newProviders()
	for _, arg := range args {
		ref, err := s.o.reference(arg, providers)
		if err != nil {
			return err
		}
		status, err := s.exports.Export(ref)
		if err != nil {
			return clientError(err)
		}
		s.print(s.newStatusEntry(status))
	}
	return nil
}

// printAll counts all exports, and prints those that someone should know of.
func (s *statusCommand) printAll(ctx context.Context) error {
	for status, err := range s.exports.All(ctx) {
		if err != nil {
			return err
		}
		s.tell(s.newStatusEntry(status))
	}
	s.sum()
	return nil
}

const statusSchema = "tallyman.status/v1"

func (s *statusCommand) newStatusEntry(status worker.Status) statusEntry {
	found := statusEntry{
		Schema: statusSchema, Reference: status.Reference, State: status.State, Received: status.Received, Polls: status.Counters.Polls,
		Cause: status.Cause, Message: status.Message,
	}
	if !status.Next.IsZero() {
		found.Next = &status.Next
	}
	if record := status.Record; record != nil {
		found.FirstSeen, found.Attempts, found.Hint = &record.FirstSeen, record.Attempts, record.Hint
		if !record.Changed.IsZero() {
			found.Changed = &record.Changed
		}
	}
	receipt := status.Receipt
	switch {
	case receipt != nil:
		found.Path, found.Landed, found.Doubts, found.Bytes = s.store.Path(status.Key), &receipt.Landed, receipt.Doubts, &receipt.Bytes
	case status.State == worker.StateFailed && status.Record == nil: // its bag is damaged
		found.Path, found.Command = s.store.Path(status.Key), "tallyman verify"
	case status.State == worker.StateFailed:
		found.Command = "tallyman retry " + quoted(status.Reference)
	case status.State == worker.StateIdle && s.hasQueue:
		found.Command = "tallyman requeue"
	case status.State == worker.StateIdle:
		found.Command = "tallyman fetch " + quoted(status.Reference)
	}
	return found
}

// tell counts an export, and prints or keeps it. Of an export that lands well,
// or waits for its turn, a person need not read.
func (s *statusCommand) tell(found statusEntry) {
	if when := cmp.Or(found.Landed, found.Changed, found.FirstSeen); when != nil && when.Before(s.o.since.Time) {
		return
	}
	s.counts[found.State]++
	if len(found.Doubts) > 0 {
		s.doubts++
	}
	if s.o.json {
		writeJSON(s.out, found)
		return
	}
	if found.State != "landed" && found.State != "queued" && found.State != "cancelled" || len(found.Doubts) > 0 {
		s.listed = append(s.listed, found)
	}
}

// states are all there are, in the order of interest.
var states = []worker.ExportState{
	worker.StateLanded, worker.StateRunning, worker.StateWaiting, worker.StateQueued, worker.StateIdle, worker.StateFailed, worker.StateCancelled,
}

type sums struct {
	Schema      string                     `json:"schema"`
	Counts      map[worker.ExportState]int `json:"counts"`
	Doubts      int                        `json:"doubts"`          // of what landed
	Quarantined int                        `json:"aside,omitempty"` // tasks that can't be read
	Unreadable  int                        `json:"odd,omitempty"`   // exports of which no state can be read
}

func (s *statusCommand) sum() {
	if s.o.json {
		for _, state := range states {
			s.counts[state] += 0
		}
		writeJSON(s.out, sums{"tallyman.counts/v1", s.counts, s.doubts, len(s.exports.Quarantined), len(s.exports.Unreadable)})
		return
	}
	s.printListed()
	var parts []string
	for _, state := range states {
		part := fmt.Sprintf("%d %s", s.counts[state], state)
		if state == "landed" && s.doubts > 0 {
			part += fmt.Sprintf(" (%d with doubts)", s.doubts)
		}
		if s.counts[state] > 0 || state == "landed" || state == "failed" {
			parts = append(parts, part)
		}
	}
	fmt.Fprintln(s.out, strings.Join(parts, ", "))
	s.printQuarantined()
	if odd := s.exports.Unreadable; len(odd) > 0 {
		fmt.Fprintf(s.out, "%s with a state that this version can't read: %q\n", plural(int64(len(odd)), "export"), odd[:min(len(odd), mostListed)])
	}
}

// printQuarantined tells of the tasks that can't be read. Nobody knows what exports
// they were to be of.
func (s *statusCommand) printQuarantined() {
	aside := s.exports.Quarantined
	if len(aside) == 0 {
		return
	}
	fmt.Fprintf(s.out, "%s in the queue can't be read, and no worker takes them:\n", plural(int64(len(aside)), "task"))
	slices.SortFunc(aside, func(a, b worker.QueuedTask) int { return strings.Compare(a.ID, b.ID) })
	for _, task := range aside[:min(len(aside), mostListed)] {
		fmt.Fprintf(s.out, "  %s  %s\n", cmp.Or(task.ID, "?"), task.Why)
	}
	if len(aside) > mostListed {
		fmt.Fprintln(s.out, "  and more")
	}
}

// mostListed is how many of a state a person is told of.
const mostListed = 20

func (s *statusCommand) printListed() {
	slices.SortStableFunc(s.listed, func(a, b statusEntry) int {
		return cmp.Or(slices.Index(states, a.State)-slices.Index(states, b.State), strings.Compare(a.Reference, b.Reference))
	})
	shown := map[worker.ExportState]int{}
	for _, found := range s.listed {
		shown[found.State]++
		switch n := shown[found.State]; {
		case n <= mostListed || found.State == "failed":
			s.print(found)
		case n == mostListed+1:
			fmt.Fprintf(s.out, "%-9s and more: --json lists all\n", found.State)
		}
	}
}

func (s *statusCommand) print(found statusEntry) {
	if s.o.json {
		writeJSON(s.out, found)
		return
	}
	fmt.Fprintf(s.out, "%-9s %s%s\n", found.State, found.Reference, found.note())
	for _, doubt := range found.Doubts {
		fmt.Fprintf(s.out, "          doubt: %s\n", redact.Text(doubt))
	}
	if found.Command != "" {
		fmt.Fprintf(s.out, "          %s\n", strings.Join(slices.DeleteFunc([]string{found.Command, found.Hint}, func(s string) bool { return s == "" }), "   # "))
	}
}

// note is what there is to say of an export in a line.
func (f statusEntry) note() string {
	var parts []string
	if f.Cause != "" {
		parts = append(parts, string(f.Cause))
	}
	if f.Message != "" {
		parts = append(parts, f.Message)
	}
	if f.Next != nil {
		parts = append(parts, "again at "+f.Next.Local().Format(time.TimeOnly))
	}
	if f.Received > 0 {
		parts = append(parts, flagvalue.FormatSize(f.Received)+" received")
	}
	if f.Landed != nil {
		parts = append(parts, f.Path)
	}
	if len(parts) == 0 {
		return ""
	}
	return "  " + strings.Join(parts, ": ")
}
