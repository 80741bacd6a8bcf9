package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/fetch/redact"
	"tallyman/verify/archive/catalog"
	"tallyman/worker"
)

// statusLine is what --json prints of an export.
type statusLine struct {
	place     string             // that has the export, or ""
	Schema    string             `json:"schema"`
	Reference string             `json:"reference"`
	State     worker.ExportState `json:"state"`
	Landed    *time.Time         `json:"landed,omitempty"`
	Path      string             `json:"path,omitempty"`
	Bytes     *int64             `json:"bytes,omitempty"` // of content
	Doubts    []string           `json:"doubts,omitempty"`
	FirstSeen *time.Time         `json:"first_seen,omitempty"`
	Changed   *time.Time         `json:"changed,omitempty"`
	Next      *time.Time         `json:"next,omitempty"`  // when it is tried again
	Ends      *time.Time         `json:"ends,omitempty"`  // until when it is there at least, to be fetched
	Lands     *time.Time         `json:"lands,omitempty"` // when it lands at the present rate, of one that ends
	Received  int64              `json:"received,omitempty"`
	Polls     int                `json:"polls,omitempty"`
	Attempts  int                `json:"attempts,omitempty"` // how many failed
	Cause     worker.Cause       `json:"cause,omitempty"`
	Message   string             `json:"message,omitempty"`
	Command   string             `json:"command,omitempty"` // the command that helps
	Hint      string             `json:"hint,omitempty"`
	Accepted  string             `json:"accepted,omitempty"` // the reason why a person takes what is wrong as it is
}

// newStatusLine returns the line for an export, with the command that helps it, and without
// the hint.
func (c *statusCommand) newStatusLine(status worker.Status) statusLine {
	line := statusLine{
		Schema: "tallyman.status/v1", Reference: status.Reference, State: status.State, Received: status.Received, Polls: status.Counters.Polls,
		Cause: status.Cause, Message: status.Message,
	}
	if !status.Next.IsZero() {
		line.Next = &status.Next
	}
	if record := status.Record; record != nil {
		line.FirstSeen, line.Attempts = &record.FirstSeen, record.Attempts
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

// accept notes that a person takes what is wrong with an export as it is. What is accepted
// are the doubts of what landed, or one failure: it tells nothing of what is wrong otherwise.
func (s *statusLine) accept(e catalog.Export, status worker.Status) {
	isDoubted := e.Phase == catalog.Landed && status.Receipt != nil
	isFailure := e.Phase == catalog.Failed && status.Record != nil && e.Cause == status.Record.Cause && e.Message == status.Record.Message
	if isDoubted {
		s.Doubts = e.Doubts // with those of a witness, which the receipt has not
	}
	if e.Accepted != nil && (isDoubted || isFailure) {
		s.Accepted, s.Command = cmp.Or(e.Accepted.Reason, e.Accepted.By), ""
	}
}

// withHint returns the line with the hint for the cause of an export that has not landed.
// Of thousands that failed by one cause, one is shown.
func (s statusLine) withHint() statusLine {
	if s.FirstSeen != nil && s.Accepted == "" {
		s.Hint = hintFor(s.Cause, s.Reference, nil)
	}
	return s
}

func (c *statusCommand) print(line statusLine) {
	line = line.withHint()
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
	if s.Ends != nil {
		parts = append(parts, "there until "+s.Ends.Local().Format("2006-01-02 15:04"))
	}
	if s.Landed != nil {
		parts = append(parts, s.Path)
	}
	if len(parts) == 0 {
		return ""
	}
	return "  " + strings.Join(parts, ": ")
}

// group says which lines are listed together: those of one state, and of those that failed
// the ones of one cause.
func (s *statusLine) group() string {
	return fmt.Sprint(s.State, " ", s.Cause, " ", s.Accepted != "", " ", s.Path != "")
}
