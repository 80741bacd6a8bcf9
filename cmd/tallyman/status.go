package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/fetch"
	"tallyman/fetch/redact"
	"tallyman/verify/archive"
	"tallyman/verify/archive/catalog"
	"tallyman/worker"
)

func newStatusCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status [REF|PLACE...]",
		Short: "Show what has landed, what is under way, and what needs you",
		Long: `Status begins with the places that exports are in: when each was last listed, when
something landed there, when that was last proven, its sums, and why it can't be
listed. Then it lists what needs someone, failures by their causes, with the command
that helps. It shows everything about the exports that are named. With --redis it
also knows exports that no worker has seen yet, and when the others are tried again.
If Redis is away, it says so, and tells what the archive knows.

It reads the catalog of the archive, and looks at no bag: what is damaged or gone is
known once 'tallyman verify' has found it.

  landed     in the archive, verified
  running    an attempt is being made
  waiting    for its job, or to be tried again
  queued     for a worker
  idle       begun, but in no queue that status knows of
  failed     needs someone: see the cause
  not ready  its job was not, when the time to wait for it was over
  cancelled  by 'tallyman cancel'
  accepted   by 'tallyman accept': known, counted apart, and red no longer`,
		Example: `  tallyman status
  tallyman status sls://cn-hangzhou/ali-test-project/
  tallyman status --since fri --json
  tallyman status sls://cn-hangzhou/ali-test-project/download-123`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.status(cmd, args) },
	}
	f := cmd.Flags()
	a.AddSince(f, "what landed or changed")
	a.AddAllowHost(f)
	f.BoolVar(&a.ExitCode, "exit-code", false, "exit with the worst of 12: damaged or gone, 7: failed,\n9: doubts, 5: a place can't be listed, or Redis is away")
	cli.GroupFlags(f, "What to show", "since", "exit-code", "allow-host")
	a.AddQueue(f)
	a.AddCatalog(f)
	return cmd
}

func (a *app) status(cmd *cobra.Command, args []string) error {
	store, err := a.openRequired()
	if err != nil {
		return err
	}
	c := &statusCommand{app: a, archive: store, stdout: cmd.OutOrStdout(), counts: map[worker.ExportState]int{}}
	stop, err := c.readQueue(cmd)
	if err != nil {
		return err
	}
	defer stop()
	defer func() {
		if c.catalog != nil {
			c.catalog.Close()
		}
	}()
	places, refs := placesAmong(args)
	if len(args) == 0 || len(places) > 0 {
		if c.catalog, err = a.openCatalog(cmd, store); err != nil {
			return err
		}
		if err := c.printAll(cmd.Context(), places); err != nil {
			return err
		}
		if err := cutOf(c.catalog); err != nil && a.ExitCode {
			return err
		} else if err != nil {
			fmt.Fprintln(cmd.ErrOrStderr(), redact.Text(err.Error()))
		}
	}
	providers := a.newProviders()
	for _, arg := range refs {
		ref, err := a.reference(arg, providers)
		if err != nil {
			return err
		}
		status, err := c.reader.Export(ref)
		if err != nil {
			return usageError(ref, err)
		}
		line := c.newStatusLine(status)
		if status.State == worker.StateFailed || len(line.Doubts) > 0 {
			if err := c.readAcceptance(cmd, &line, status); err != nil {
				return err
			}
		}
		c.worsen(&line)
		c.print(line)
	}
	if a.ExitCode && c.worst != worker.ExitLanded {
		return cli.ExitError(c.worst)
	}
	return nil
}

// placesAmong tells the places among arguments from the references.
func placesAmong(args []string) (places, refs []string) {
	for _, arg := range args {
		if place, err := fetch.ParsePlace(arg); err == nil {
			places = append(places, place.String())
		} else if strings.HasSuffix(arg, "/") && strings.Count(arg, "/") == 3 { // how placeOf groups what is in no place
			places = append(places, arg)
		} else {
			refs = append(refs, arg)
		}
	}
	return places, refs
}

// readQueue reads the queue, if there is one and its Redis answers. The caller calls stop.
func (c *statusCommand) readQueue(cmd *cobra.Command) (stop func(), err error) {
	client, stop := &worker.Client{Archive: c.archive}, func() {}
	if c.app.Redis.Value != "" {
		var queue *worker.Queue
		if queue, stop, err = c.app.openQueue(cmd, c.archive, nil, statusPatience); err == nil {
			client.Queue = queue
			c.reader, err = client.Status(cmd.Context())
		} else {
			stop = func() {}
		}
		if err != nil && !errors.Is(err, worker.ErrRedis) {
			stop()
			return nil, err
		}
		c.away = err
	}
	if c.away != nil {
		c.raise(worker.ExitTemporary)
		fmt.Fprintf(cmd.ErrOrStderr(), "Redis is away: %s\nThis is what the archive alone knows: exports that no worker has seen yet are not among it.\nhint: %s\n",
			redact.Text(c.away.Error()), hint("", c.away))
	}
	if c.reader == nil {
		client.Queue = nil
		c.reader, _ = client.Status(cmd.Context())
	}
	return stop, nil
}

// readAcceptance reads whether a person takes what is wrong with an export as it is.
func (c *statusCommand) readAcceptance(cmd *cobra.Command, line *statusLine, status worker.Status) (err error) {
	if c.catalog == nil {
		if c.catalog, err = c.app.openCatalog(cmd, c.archive); err != nil {
			return err
		}
	}
	if e, err := c.catalog.Export(status.Key); err == nil {
		line.accept(e, status)
	}
	return nil
}

// accept notes that a person takes what is wrong with an export as it is. What is accepted
// are the doubts of what landed, or one failure: it tells nothing of what is wrong otherwise.
func (s *statusLine) accept(e catalog.Export, status worker.Status) {
	isDoubted := e.Phase == catalog.Landed && status.Receipt != nil
	isFailure := e.Phase == catalog.Failed && status.Record != nil && e.Cause == status.Record.Cause && e.Message == status.Record.Message
	if e.Accepted != nil && (isDoubted || isFailure) {
		s.Accepted, s.Command, s.Hint = cmp.Or(e.Accepted.Reason, e.Accepted.By), "", ""
	}
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
	catalog *catalog.Catalog

	unseen bool // the bags of what landed were not looked at, since they are many

	overview overview
	worst    int // the exit code of the worst that was met; 0: nothing

	counts   map[worker.ExportState]int
	doubts   int          // exports that landed with doubts that nobody has accepted
	accepted int          // exports of which what is wrong is accepted
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
		line.Path, line.Command = c.archive.Path(status.Key), "tallyman verify --repair "+cli.ShellQuote(status.Reference)
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

// printAll counts the exports of places, or all, and prints those that someone should know
// of; with --json, all.
func (c *statusCommand) printAll(ctx context.Context, places []string) (err error) {
	if c.overview, err = c.newOverview(places); err != nil {
		return err
	}
	if err := c.addLanded(ctx, places); err != nil {
		return err
	}
	for status, err := range c.reader.Pending(ctx) {
		if err != nil {
			return err
		}
		if status.State == worker.StateRemoved || len(places) > 0 && !slices.Contains(places, placeOf(status.Reference, "")) {
			continue
		}
		line := c.newStatusLine(status)
		e, err := c.catalog.Export(status.Key)
		if err == nil && status.State == worker.StateFailed {
			line.accept(e, status)
		}
		if err == nil && (e.Phase == catalog.Damaged || e.Phase == catalog.Absent) {
			continue // an earlier version was asked for what is known to be damaged
		}
		if err := c.add(line); err != nil {
			return err
		}
	}
	if c.doubts > 0 {
		c.raise(worker.ExitDoubts)
	}
	for _, name := range slices.Sorted(maps.Keys(c.overview)) {
		p := c.overview[name]
		if interval := c.reader.Intervals[name]; interval > 0 && p.Waiting > 0 {
			p.PolledEvery = interval.Round(time.Second).String()
		}
		if p.Message != "" && p.AcceptedBy == "" {
			c.raise(worker.ExitTemporary)
		}
		if c.app.JSON {
			if err := cli.PrintJSON(c.stdout, p); err != nil {
				return err
			}
		}
	}
	if c.catalog.Cut != nil {
		c.raise(worker.ExitDamaged)
	}
	if !c.app.JSON {
		c.overview.print(c.stdout, time.Now())
	}
	c.printCounts()
	if c.unseen && !c.app.JSON {
		fmt.Fprintln(c.stdout, "The bags are many, and none was looked at: what is damaged or gone is as 'tallyman verify' saw it last.")
	}
	return nil
}

// badness orders exit codes: the last is the worst.
var badness = []int{worker.ExitLanded, worker.ExitTemporary, worker.ExitDoubts, worker.ExitGone, worker.ExitDamaged}

// raise has the command end with an exit code, unless a worse one was met.
func (c *statusCommand) raise(exit int) {
	if slices.Index(badness, exit) > slices.Index(badness, c.worst) {
		c.worst = exit
	}
}

// worsen raises the exit code by what is wrong with an export.
func (c *statusCommand) worsen(line *statusLine) {
	switch {
	case line.Accepted != "":
	case line.State == worker.StateFailed && line.Path != "":
		c.raise(worker.ExitDamaged)
	case line.State == worker.StateFailed:
		c.raise(worker.ExitGone)
	case len(line.Doubts) > 0:
		c.raise(worker.ExitDoubts)
	}
}

// add counts an export unless it is older than --since. It prints it with
// --json, or keeps it to be listed if someone should know of it. It returns an
// error if nobody reads on.
func (c *statusCommand) add(line statusLine) error {
	if when := cmp.Or(line.Landed, line.Changed, line.FirstSeen); when != nil && when.Before(c.app.Since.Value) {
		return nil
	}
	c.worsen(&line)
	c.overview.add(&line)
	switch {
	case line.Accepted != "":
		c.accepted++
	case len(line.Doubts) > 0:
		c.doubts++
	case line.notReady():
		c.notReady++
	}
	if line.Accepted == "" || line.State == worker.StateLanded {
		c.counts[line.State]++
	}
	if c.app.JSON {
		return cli.PrintJSON(c.stdout, line)
	}
	isKnown := line.State == worker.StateLanded && len(line.Doubts) == 0 && c.app.Since.Value.IsZero()
	if !isKnown && line.State != worker.StateQueued && line.State != worker.StateCancelled {
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
		counts := countsLine{"tallyman.counts/v1", c.counts, c.doubts, c.notReady, len(c.reader.Quarantined), len(c.reader.Unreadable), c.accepted, ""}
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
	if c.accepted > 0 {
		parts = append(parts, fmt.Sprintf("%d accepted", c.accepted))
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
	printed, groups := map[string]int{}, map[string][]statusLine{}
	for _, line := range c.listed {
		groups[line.group()] = append(groups[line.group()], line)
	}
	for _, line := range c.listed {
		group := groups[line.group()]
		size := len(group)
		if line.State == worker.StateLanded && line.Accepted == "" {
			size = max(size, c.doubts) // of many that landed, some of the doubted are in the list
		}
		printed[line.group()]++
		switch n := printed[line.group()]; {
		case line.State == worker.StateFailed && line.Accepted == "" && line.Path == "":
			if n == 1 {
				c.printGroup(group)
			}
		case n <= maxListed:
			c.print(line)
		case n == maxListed+1:
			fmt.Fprintf(c.stdout, "%-9s and %d more: --json lists all\n", line.State, size-maxListed)
		}
	}
}

// group says which lines are listed together: those of one state, and of those that failed
// the ones of one cause.
func (s *statusLine) group() string {
	return fmt.Sprint(s.State, " ", s.Cause, " ", s.Accepted != "", " ", s.Path != "")
}

// printGroup prints exports that failed by one cause: a sample, how many there are and since
// when, and the command for all of them.
func (c *statusCommand) printGroup(group []statusLine) {
	sample := group[0]
	first, last := sample.Changed, sample.Changed
	for _, line := range group {
		if line.Changed != nil && (first == nil || line.Changed.Before(*first)) {
			first = line.Changed
		}
		if line.Changed != nil && (last == nil || line.Changed.After(*last)) {
			last = line.Changed
		}
	}
	isVain := slices.Contains(retryIsVain, sample.Cause)
	command, age := sample.Command, ""
	if first != nil {
		age = ", " + cli.FormatAge(*last, time.Now())
	}
	if len(group) > 1 {
		if age != "" && cli.FormatAge(*first, time.Now()) != cli.FormatAge(*last, time.Now()) {
			age = ", first " + cli.FormatAge(*first, time.Now()) + ", last" + strings.TrimPrefix(age, ",")
		}
		command = "tallyman retry --cause " + string(sample.Cause)
	}
	sample.Command = ""
	c.print(sample)
	fmt.Fprintf(c.stdout, "          %s by %s%s\n", cli.Plural(int64(len(group)), "export"), cmp.Or(string(sample.Cause), "no cause that is known"), age)
	hint := ""
	if sample.Hint != "" {
		hint = "   # " + sample.Hint
	}
	if command != "" && !(isVain && len(group) > 1) {
		fmt.Fprintf(c.stdout, "          %s%s\n", command, hint)
		hint = ""
	}
	if sample.Cause == "job-failed" || sample.Cause == "not-found" || isVain {
		which := cli.ShellQuote(sample.Reference)
		if len(group) > 1 {
			which = "--cause " + string(sample.Cause)
		}
		fmt.Fprintf(c.stdout, "          tallyman forget %s --reason TEXT%s\n", which, hint)
	}
}

func (c *statusCommand) print(line statusLine) {
	if c.app.JSON {
		_ = cli.PrintJSON(c.stdout, line)
		return
	}
	state := string(line.State)
	switch {
	case line.Accepted != "":
		state = "accepted"
	case line.notReady():
		state = "not ready"
	}
	fmt.Fprintf(c.stdout, "%-9s %s%s\n", state, line.Reference, line.details())
	if line.Accepted != "" {
		fmt.Fprintf(c.stdout, "          it is taken as it is: %s\n", redact.Text(line.Accepted))
	}
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
