package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/fetch"
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
	s := &survey{o: o, store: store, out: cmd.OutOrStdout(), tasks: map[string]worker.QueuedTask{}, counts: map[string]int{}}
	if o.redis.URL() != "" {
		queue, stop, err := o.queueOf(cmd.Context(), store)
		if err != nil {
			return err
		}
		defer stop()
		if err := s.readQueue(cmd.Context(), queue); err != nil {
			return err
		}
	}
	if len(args) > 0 {
		return s.tellOf(args)
	}
	return s.tellAll(cmd.Context())
}

// A standing is how one export fares, as --json prints it.
type standing struct {
	Schema    string       `json:"schema"`
	Reference string       `json:"reference"`
	State     string       `json:"state"`
	Landed    *time.Time   `json:"landed,omitempty"`
	Path      string       `json:"path,omitempty"`
	Bytes     *int64       `json:"bytes,omitempty"` // of content
	Doubts    []string     `json:"doubts,omitempty"`
	FirstSeen *time.Time   `json:"first_seen,omitempty"`
	Changed   *time.Time   `json:"changed,omitempty"`
	Next      *time.Time   `json:"next,omitempty"` // when it is tried again
	Received  int64        `json:"received,omitempty"`
	Polls     int          `json:"polls,omitempty"`
	Attempts  int          `json:"attempts,omitempty"` // that failed
	Cause     worker.Cause `json:"cause,omitempty"`
	Message   string       `json:"message,omitempty"`
	Command   string       `json:"command,omitempty"` // that helps
	Hint      string       `json:"hint,omitempty"`
}

// A survey is a run of the command.
type survey struct {
	o      *options
	store  *archive.Archive
	queue  *worker.Queue // or nil
	out    io.Writer
	tasks  map[string]worker.QueuedTask // by the hash of the export
	aside  []worker.QueuedTask          // tasks that can't be read
	odd    []string                     // references of which no state can be read
	counts map[string]int               // by state
	doubts int
	listed []standing // those that a person reads
}

func (s *survey) readQueue(ctx context.Context, queue *worker.Queue) error {
	s.queue = queue
	for task, err := range queue.Tasks(ctx) {
		switch hash := task.Ref.Hash(); {
		case err != nil:
			return err
		case task.Ref.Scheme() == "":
			s.aside = append(s.aside, task)
		case !task.Quarantined:
			s.tasks[hash] = task
		}
	}
	return nil
}

// tellOf tells all about some.
func (s *survey) tellOf(args []string) error {
	providers := s.o.newProviders()
	for _, arg := range args {
		ref, err := s.o.reference(arg, providers)
		if err != nil {
			return err
		}
		found, err := s.of(ref)
		if err != nil {
			return err
		}
		s.print(found)
	}
	return nil
}

func (s *survey) of(ref fetch.Ref) (standing, error) {
	receipt, err := landedIn(s.store, ref)
	if receipt != nil || err != nil {
		return s.landed(ref.String(), ref.Key(), receipt, err), nil
	}
	state, tally, err := s.store.State(ref.Key())
	task, queued := s.tasks[ref.Hash()]
	switch {
	case err == nil:
		return s.standing(state, tally, ref.Hash()), nil
	case !errors.Is(err, fs.ErrNotExist):
		return standing{}, err
	case queued:
		return unseen(task), nil
	}
	return standing{}, known(s.store, ref)
}

// tellAll counts all, and tells of those that someone should know of.
func (s *survey) tellAll(ctx context.Context) error {
	for key, err := range s.store.All() {
		if err = cmp.Or(err, context.Cause(ctx)); err != nil {
			return err
		}
		receipt, err := s.store.Receipt(key)
		s.tell(s.landed("", key, receipt, err))
	}
	for state, err := range s.store.States() {
		if err = cmp.Or(err, context.Cause(ctx)); err != nil {
			return err
		}
		ref, _, ok := worker.RefOf(state)
		if !ok {
			s.odd = append(s.odd, state.Reference)
			continue
		}
		hash := ref.Hash()
		if _, tally, err := s.store.State(ref.Key()); err == nil {
			s.tell(s.standing(state, tally, hash))
		}
		delete(s.tasks, hash)
	}
	for _, task := range s.tasks {
		if receipt, _ := landedIn(s.store, task.Ref); receipt == nil {
			s.tell(unseen(task))
		}
	}
	s.sum()
	return nil
}

func (s *survey) landed(reference, key string, receipt *archive.Receipt, err error) standing {
	found := standing{Schema: statusSchema, Reference: reference, State: "landed", Path: s.store.Path(key)}
	if err != nil {
		outcome := classify(err)
		found.State, found.Cause, found.Message = "failed", outcome.Cause, redact.Text(err.Error())
		found.Command = "tallyman verify"
		return found
	}
	found.Reference, found.Landed, found.Doubts, found.Bytes = receipt.Reference, &receipt.Landed, receipt.Doubts, &receipt.Bytes
	return found
}

const statusSchema = "tallyman.status/v1"

// standing is how an export fares that has not landed.
func (s *survey) standing(state archive.State, tally archive.Counters, hash string) standing {
	task, queued := s.tasks[hash]
	found := standing{
		Schema: statusSchema, Reference: state.Reference, FirstSeen: &state.FirstSeen,
		Received: s.store.Received(state.Key), Polls: tally.Polls, Attempts: state.Attempts,
		Cause: worker.Cause(state.Cause), Message: cmp.Or(state.Message, tally.Status, task.Why), Hint: state.Hint,
	}
	if !state.Changed.IsZero() {
		found.Changed = &state.Changed
	}
	switch {
	case state.Phase == archive.Failed:
		found.State, found.Command = "failed", "tallyman retry "+quoted(state.Reference)
	case state.Phase == archive.Cancelled:
		found.State = "cancelled"
	case s.store.Busy(state.Key):
		found.State = "running"
	case queued && !task.Next.IsZero():
		found.State, found.Next = "waiting", &task.Next
	case queued || s.queued(hash):
		found.State = "queued"
	case s.queue != nil:
		found.State, found.Command = "idle", "tallyman requeue"
	default:
		found.State, found.Command = "idle", "tallyman fetch "+quoted(state.Reference)
	}
	return found
}

// queued reports whether an export is in the queue although it was not listed:
// its task may have moved meanwhile.
func (s *survey) queued(hash string) bool {
	if s.queue == nil {
		return false
	}
	queued, err := s.queue.Queued(hash)
	return queued && err == nil
}

// unseen is an export that no worker has seen.
func unseen(task worker.QueuedTask) standing {
	return standing{Schema: statusSchema, Reference: task.Ref.String(), State: "queued"}
}

// tell counts an export, and prints or keeps it. Of an export that lands well,
// or waits for its turn, a person need not read.
func (s *survey) tell(found standing) {
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
var states = []string{"landed", "running", "waiting", "queued", "idle", "failed", "cancelled"}

type sums struct {
	Schema string         `json:"schema"`
	Counts map[string]int `json:"counts"`
	Doubts int            `json:"doubts"`          // of what landed
	Aside  int            `json:"aside,omitempty"` // tasks that can't be read
	Odd    int            `json:"odd,omitempty"`   // exports of which no state can be read
}

func (s *survey) sum() {
	if s.o.json {
		for _, state := range states {
			s.counts[state] += 0
		}
		writeJSON(s.out, sums{"tallyman.counts/v1", s.counts, s.doubts, len(s.aside), len(s.odd)})
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
	s.printAside()
	if len(s.odd) > 0 {
		fmt.Fprintf(s.out, "%s with a state that this version can't read: %q\n", plural(int64(len(s.odd)), "export"), s.odd[:min(len(s.odd), mostListed)])
	}
}

// printAside tells of the tasks that can't be read. Nobody knows what exports
// they were to be of.
func (s *survey) printAside() {
	if len(s.aside) == 0 {
		return
	}
	fmt.Fprintf(s.out, "%s in the queue can't be read, and no worker takes them:\n", plural(int64(len(s.aside)), "task"))
	slices.SortFunc(s.aside, func(a, b worker.QueuedTask) int { return strings.Compare(a.ID, b.ID) })
	for _, task := range s.aside[:min(len(s.aside), mostListed)] {
		fmt.Fprintf(s.out, "  %s  %s\n", cmp.Or(task.ID, "?"), task.Why)
	}
	if len(s.aside) > mostListed {
		fmt.Fprintln(s.out, "  and more")
	}
}

// mostListed is how many of a state a person is told of.
const mostListed = 20

func (s *survey) printListed() {
	slices.SortStableFunc(s.listed, func(a, b standing) int {
		return cmp.Or(slices.Index(states, a.State)-slices.Index(states, b.State), strings.Compare(a.Reference, b.Reference))
	})
	shown := map[string]int{}
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

func (s *survey) print(found standing) {
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
func (f standing) note() string {
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
