package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"golang.org/x/term"

	"tallyman/fetch"
	"tallyman/fetch/redact"
	"tallyman/verify/archive"
	"tallyman/worker"
)

// Output says how a command prints.
type Output struct {
	JSON    bool // one JSON object a line
	Quiet   bool // only paths, doubts and errors
	Verbose bool // each promise too
	DryRun  bool // nothing lands: exports are planned

	// Many makes the command end with a line of counts even if there was one
	// reference or none.
	Many bool

	// Hint returns what to do about an error of the export of that reference, or "".
	// The reference is "" for an error of no export.
	Hint func(reference string, err error) string
}

// Report prints how exports fare: what landed to stdout, everything else to
// stderr. It counts them too, and decides the exit code. Its methods may be
// called by many goroutines at once.
type Report struct {
	output         Output
	archive        *archive.Archive
	stdout, stderr io.Writer
	bars           *progressBars // nil unless stderr is a terminal

	plainOut, plainErr io.Writer // where they are printed without bars

	mu          sync.Mutex
	landed      int // includes before and doubted
	before      int // had landed before this call
	doubted     int
	planned     int
	cancelled   int // by the command cancel
	repaired    int
	settled     int // by the commands accept and forget
	removed     int // before this call
	failed      int
	notReady    int
	idle        int  // exports whose attempts this call's end interrupted
	interrupted bool // this call
	lastFailure worker.Outcome
	outages     int               // that last
	lastNotes   map[string]string // of the fetcher's, by the key of the export
}

// NewReport returns a Report of exports that land in store. Close ends its
// progress bars.
func NewReport(stdout, stderr io.Writer, output Output, store *archive.Archive) *Report {
	r := &Report{output: output, archive: store, stdout: stdout, stderr: stderr, lastNotes: map[string]string{}}
	if output.Quiet || output.JSON {
		return r
	}
	if f := terminal(stderr); f != nil {
		progress := mpb.New(mpb.WithOutput(f))
		columns, _, err := term.GetSize(int(f.Fd()))
		if err != nil || columns == 0 {
			columns = 80
		}
		r.bars = &progressBars{Writer: progress, progress: progress, columns: columns, byKey: map[string]*mpb.Bar{}, extents: map[string]*extent{}}
		r.plainOut, r.plainErr = stdout, stderr
		r.stderr = &RedactingWriter{To: r.bars, Redact: redact.Text}
		if terminal(stdout) != nil { // bars would be drawn over what is printed there
			r.stdout = &RedactingWriter{To: r.bars, Redact: redact.Known}
		}
	}
	return r
}

// Close removes the progress bars. What is reported after it is printed without them.
// It may be called twice.
func (r *Report) Close() {
	if r.bars != nil {
		r.bars.close()
		r.mu.Lock()
		r.stdout, r.stderr = r.plainOut, r.plainErr
		r.mu.Unlock()
	}
}

// Progress reports that a part of an export was received.
func (r *Report) Progress(p fetch.Progress) {
	if p.Note != "" && r.isNews(p) {
		r.note(p.Ref, p.Note)
	}
	if r.bars != nil {
		r.bars.add(p)
	}
}

// isNews reports whether a note says more than the last one of its export, or than
// the outage that is waited for.
func (r *Report) isNews(p fetch.Progress) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := p.Ref.Key()
	repeated := r.lastNotes[key] == p.Note
	r.lastNotes[key] = p.Note
	return !repeated && r.outages == 0
}

// Outage reports that something begins to be away that exports wait for, that it
// still is, or that it is over.
func (r *Report) Outage(e worker.OutageEvent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case e.Err == nil:
		r.outages--
	case e.Lasted == 0:
		r.outages++
	}
	if r.output.Quiet {
		return
	}
	fmt.Fprintf(r.stderr, "tallyman: %s\n", redact.Text(e.String()))
	if hint := r.output.Hint("", e.Err); e.Err != nil && e.Lasted == 0 && !strings.HasPrefix(hint, "run again") {
		PrintHint(r.stderr, hint)
	}
}

// Pause reports what an export waits for between two attempts.
func (r *Report) Pause(ref fetch.Ref, text string) {
	if r.bars != nil {
		r.bars.remove(ref, false)
	}
	r.note(ref, text)
}

func (r *Report) note(ref fetch.Ref, text string) {
	if r.output.Quiet {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(r.stderr, "%s: %s\n", ref, redact.Text(text))
}

// landedLine is what --json prints of an export that is in the archive.
type landedLine struct {
	Schema  string           `json:"schema"`
	State   string           `json:"state"`
	Path    string           `json:"path"`
	Before  bool             `json:"before,omitempty"` // this call did not fetch it
	Changes *changesLine     `json:"changes,omitempty"`
	Receipt *archive.Receipt `json:"receipt"`
}

// failedLine is what --json prints of an export that did not land.
type failedLine struct {
	Schema    string       `json:"schema"`
	Reference string       `json:"reference,omitempty"` // or what was read as one; missing if the list of them ended too early
	State     string       `json:"state"`               // "failed", "not-ready" or "cancelled"
	Cause     worker.Cause `json:"cause,omitempty"`
	Message   string       `json:"message"`
	Hint      string       `json:"hint,omitempty"`
}

// End reports how one export ended: it landed, or err says why it did not.
func (r *Report) End(ref fetch.Ref, receipt *archive.Receipt, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bars != nil {
		r.bars.remove(ref, err == nil)
	}
	if err != nil {
		r.fail(ref.String(), err)
		return
	}
	r.land(receipt, false, nil)
}

// LandedBefore reports one export that had landed before this call, and what has
// changed at its source since, if that was asked. It has failed if what landed
// does not keep the promises of ref.
func (r *Report) LandedBefore(ref fetch.Ref, receipt *archive.Receipt, changes *Changes) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := fetch.CheckReceipt(ref, receipt); err != nil {
		r.fail(ref.String(), err)
		return
	}
	r.before++
	r.land(receipt, true, changes)
}

// repairLine is what --json prints of an export that was damaged or absent.
type repairLine struct {
	Schema    string       `json:"schema"`
	Reference string       `json:"reference"` // or the key, if it is not known
	Key       string       `json:"key"`
	State     string       `json:"state"` // "repaired" or "not-repaired"
	Cause     worker.Cause `json:"cause,omitempty"`
	Message   string       `json:"message,omitempty"`
	Hint      string       `json:"hint,omitempty"`
}

// Repaired reports an export that was damaged or absent: it was fetched anew, or err says
// why it was not.
func (r *Report) Repaired(reference, key string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	line := repairLine{Schema: "tallyman.repair/v1", Reference: redact.Text(reference), Key: key, State: "repaired"}
	text := "repaired  " + line.Reference
	if err != nil {
		line.State, line.Cause, line.Message, line.Hint = "not-repaired", Classify(err).Cause, redact.Text(err.Error()), r.output.Hint(reference, err)
		text = fmt.Sprintf("not repaired  %s: %s", line.Reference, strings.TrimPrefix(line.Message, reference+": "))
	} else {
		r.repaired++
	}
	switch {
	case r.output.JSON:
		_ = PrintJSON(r.stdout, line)
	case err != nil || !r.output.Quiet:
		fmt.Fprintln(r.stdout, text)
	}
	PrintHint(r.stderr, line.Hint)
}

// CountRepaired returns how many exports were repaired.
func (r *Report) CountRepaired() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.repaired
}

// Reject reports a line that names no export, or that the list of references
// ended too early.
func (r *Report) Reject(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail("", err)
}

// Planned reports one export that would be fetched: plan with --json, else
// text.
func (r *Report) Planned(plan any, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.planned++
	if r.output.JSON {
		_ = PrintJSON(r.stdout, plan)
		return
	}
	fmt.Fprintln(r.stdout, text)
}

// cancelledLine is what --json prints of an export that is not wanted any more.
type cancelledLine struct {
	Schema    string `json:"schema"`
	Reference string `json:"reference"`
	State     string `json:"state"` // "cancelled", or "landed" if it was too late
}

// Cancelled reports one export that was cancelled, or that had landed before it
// could be.
func (r *Report) Cancelled(ref fetch.Ref, landed bool) {
	r.mu.Lock()
	state := "cancelled"
	if landed {
		state = "landed"
		r.landed++
		r.before++
	} else {
		r.cancelled++
	}
	r.mu.Unlock()
	r.Print(cancelledLine{"tallyman.cancelled/v1", ref.String(), state}, fmt.Sprintf("%-9s %s", state, ref))
}

// Settled reports one export or place that a person has settled: object with --json, else
// text.
func (r *Report) Settled(object any, text string) {
	r.mu.Lock()
	r.settled++
	r.mu.Unlock()
	r.Print(object, text)
}

// RemovedBefore reports one export of a list that a person had removed before this call:
// object with --json, else text unless the output is quiet.
func (r *Report) RemovedBefore(object any, text string) {
	r.mu.Lock()
	r.removed++
	r.mu.Unlock()
	r.Print(object, text)
}

// Print prints one line to stdout: object with --json, else text unless the
// output is quiet.
func (r *Report) Print(object any, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.output.JSON:
		_ = PrintJSON(r.stdout, object)
	case !r.output.Quiet:
		fmt.Fprintln(r.stdout, text)
	}
}

func (r *Report) land(receipt *archive.Receipt, before bool, changes *Changes) {
	path := r.archive.Path(receipt.Key)
	switch {
	case r.output.JSON:
		_ = PrintJSON(r.stdout, landedLine{"tallyman.landed/v1", "landed", path, before, changes.line(), receipt})
	case r.output.Quiet:
		fmt.Fprintln(r.stdout, path)
	default:
		when := ""
		if before {
			when = fmt.Sprintf("  (before, on %s)", FormatDay(receipt.Landed, time.Now()))
		}
		fmt.Fprintf(r.stdout, "landed  %s  %s  %s%s\n", receipt.Reference, Summary(receipt), path, when)
	}
	if r.output.Verbose {
		PrintChecks(r.stderr, receipt)
	}
	for _, doubt := range receipt.Doubts {
		fmt.Fprintf(r.stderr, "%s: doubt: %s\n", receipt.Reference, redact.Text(doubt))
	}
	doubted := len(receipt.Doubts) > 0
	if changes != nil {
		changes.print(r.stderr, receipt.Reference, r.output.Quiet)
		doubted = doubted || changes.HasNew()
	}
	r.landed++
	if doubted {
		r.doubted++
	}
}

// fail reports what did not land: the export ref, or a line that names none if
// ref is empty.
func (r *Report) fail(ref string, err error) {
	outcome, hint, named := Classify(err), r.output.Hint(ref, err), ref
	usage, isUsage := errors.AsType[*UsageError](err)
	if isUsage && named == "" {
		named = usage.Reference
	}
	r.lastFailure = outcome
	state := "failed"
	switch outcome.Exit {
	case worker.ExitNotReady:
		state = "not-ready"
		r.notReady++
	case worker.ExitInterrupted:
		state = "cancelled"
		r.interrupted = true
		if ref != "" {
			r.idle++
		}
	default:
		r.failed++
	}
	message := redact.Text(err.Error())
	if r.output.JSON && (ref != "" || state == "failed") {
		_ = PrintJSON(r.stdout, failedLine{"tallyman.failed/v1", redact.Text(named), state, outcome.Cause, message, hint})
	}
	if outcome.Exit == worker.ExitInterrupted {
		return // Exit says so once for all
	}
	if outcome.Cause != "" && !(isUsage && ref != "") { // whoever named the export reads of no task
		message = string(outcome.Cause) + ": " + message
	}
	if ref != "" && !strings.HasPrefix(message, ref+": ") {
		message = ref + ": " + message
	}
	fmt.Fprintf(r.stderr, "tallyman: %s\n", message)
	PrintHint(r.stderr, hint)
}

// Exit prints the counts, if there was more than one reference, and returns an
// [ExitError] unless everything landed without a doubt.
func (r *Report) Exit() error {
	r.Close() // what is interrupted still has bars, in whose place the counts would be
	total := r.landed + r.planned + r.cancelled + r.failed + r.notReady + r.idle + r.settled + r.removed
	switch {
	case total <= 1 && !r.output.Many || r.output.Quiet:
	case r.settled > 0:
		fmt.Fprintf(r.stderr, "%d done, %d failed\n", r.settled, r.failed)
	default:
		counts := LandedCount(r.landed, r.before, r.doubted)
		if r.output.DryRun {
			counts += fmt.Sprintf(", %d to fetch", r.planned)
		}
		if r.idle > 0 {
			counts += fmt.Sprintf(", %d %s", r.idle, worker.StateIdle)
		}
		if r.cancelled > 0 {
			counts += fmt.Sprintf(", %d %s", r.cancelled, worker.StateCancelled)
		}
		if r.removed > 0 {
			counts += fmt.Sprintf(", %d %s", r.removed, worker.StateRemoved)
		}
		fmt.Fprintf(r.stderr, "%s, %d failed, %d not ready\n", counts, r.failed, r.notReady)
	}
	switch {
	case r.interrupted:
		fmt.Fprintf(r.stderr, "tallyman: interrupted\n")
		PrintHint(r.stderr, r.output.Hint("", fetch.ErrDrained))
		return ExitError(worker.ExitInterrupted)
	case r.failed > 0 && total > 1:
		return ExitError(worker.ExitSomeFailed)
	case r.failed+r.notReady > 0:
		return ExitError(r.lastFailure.Exit)
	case r.doubted > 0:
		return ExitError(worker.ExitDoubts)
	}
	return nil
}

// ExitEnqueued is Exit for commands that only enqueue. It prints counts, which
// are those of exports that were dealt with; done says whether there are any.
func (r *Report) ExitEnqueued(counts string, done bool) error {
	if !r.output.Quiet {
		fmt.Fprintf(r.stderr, "%s, %d refused\n", counts, r.failed)
	}
	switch {
	case r.interrupted:
		return ExitError(worker.ExitInterrupted)
	case r.failed > 0 && (done || r.failed > 1):
		return ExitError(worker.ExitSomeFailed)
	case r.failed > 0:
		return ExitError(r.lastFailure.Exit)
	}
	return nil
}
