package main

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/fetch"
	"tallyman/fetch/redact"
	"tallyman/verify/archive"
	"tallyman/worker"
)

// A report tells how exports fare: what landed on stdout, all else on stderr.
// Many goroutines report at once.
type report struct {
	mu       sync.Mutex
	out, err io.Writer
	o        *options
	store    *archive.Archive
	bars     *bars // nil but on a terminal

	landed, before, doubted, failed, notReady, cancelled int            // before and doubted are of the landed
	plans, stopped                                       int            // of dry runs, and by the command cancel
	last                                                 worker.Outcome // of the last that failed
}

func newReport(out, err io.Writer, o *options, store *archive.Archive) *report {
	r := &report{out: out, err: err, o: o, store: store}
	if f := unveiled(err); f != nil && !o.quiet && !o.json {
		r.bars = newBars(f)
	}
	if r.bars == nil {
		return r
	}
	r.err = &veil{r.bars, redact.Text}
	if f := unveiled(out); f != nil && isTerminal(f) {
		r.out = &veil{r.bars, redact.Known} // which would draw over it otherwise
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

// pause is told of what lies between two attempts.
func (r *report) pause(ref fetch.Ref, text string) {
	if r.bars != nil {
		r.bars.end(ref)
	}
	r.note(ref, text)
}

func (r *report) note(ref fetch.Ref, text string) {
	if r.o.quiet {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(r.err, "%s: %s\n", ref, redact.Text(text))
}

// end reports one export.
func (r *report) end(ref fetch.Ref, receipt *archive.Receipt, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bars != nil {
		r.bars.end(ref)
	}
	if err != nil {
		r.fail(ref.String(), err)
		return
	}
	r.land(receipt, false)
}

// skip reports one export that landed before, if that keeps what ref promises.
func (r *report) skip(ref fetch.Ref, receipt *archive.Receipt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := fetch.CheckReceipt(ref, receipt); err != nil {
		r.fail(ref.String(), err)
		return
	}
	r.before++
	r.land(receipt, true)
}

// refuse reports a line that names no export, or the end of a list before its
// time.
func (r *report) refuse(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail("", err)
}

// planned reports one export that would be fetched, or why it would not.
func (r *report) planned(ref fetch.Ref, p planned, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err != nil:
		r.fail(ref.String(), err)
		return
	case r.o.json:
		writeJSON(r.out, p)
	default:
		fmt.Fprintln(r.out, p.String())
	}
	r.plans++
}

func (r *report) land(receipt *archive.Receipt, before bool) {
	path := r.store.Path(receipt.Key)
	switch {
	case r.o.json:
		writeJSON(r.out, landed{"tallyman.landed/v1", "landed", path, before, receipt})
	case r.o.quiet:
		fmt.Fprintln(r.out, path)
	default:
		fmt.Fprintf(r.out, "landed  %s  %s  %s\n", receipt.Reference, summary(receipt), path)
	}
	if r.o.verbose {
		prove(r.err, receipt)
	}
	for _, doubt := range receipt.Doubts {
		fmt.Fprintf(r.err, "%s: doubt: %s\n", receipt.Reference, redact.Text(doubt))
	}
	r.landed++
	if len(receipt.Doubts) > 0 {
		r.doubted++
	}
}

// summary says how much landed.
func summary(receipt *archive.Receipt) string {
	s := fmt.Sprintf("%s in %s", flagvalue.FormatSize(receipt.Bytes), plural(int64(receipt.Files), "file"))
	if receipt.Records >= 0 {
		s += ", " + plural(receipt.Records, "row")
	}
	return s
}

func plural(n int64, noun string) string {
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
	Before  bool             `json:"before,omitempty"` // this call did not fetch it
	Receipt *archive.Receipt `json:"receipt"`
}

type failed struct {
	Schema    string       `json:"schema"`
	Reference string       `json:"reference,omitempty"` // a line that can't be read has none
	State     string       `json:"state"`               // "failed", "not-ready" or "cancelled"
	Cause     worker.Cause `json:"cause,omitempty"`
	Message   string       `json:"message"`
	Hint      string       `json:"hint,omitempty"`
}

// fail reports what did not land: an export, or a line that names none, of
// which the error says all.
func (r *report) fail(ref string, err error) {
	outcome := classify(err)
	message := redact.Text(err.Error())
	if state := r.count(outcome); r.o.json && (ref != "" || state == "failed") {
		writeJSON(r.out, failed{"tallyman.failed/v1", ref, state, outcome.Cause, message, outcome.Hint})
	}
	if outcome.Exit == worker.ExitInterrupted {
		return // said once, by exit
	}
	if outcome.Cause != "" {
		message = string(outcome.Cause) + ": " + message
	}
	if ref != "" {
		message = ref + ": " + message
	}
	fmt.Fprintf(r.err, "tallyman: %s\n", message)
	hint(r.err, outcome.Hint)
}

func classify(err error) worker.Outcome {
	if _, ok := errors.AsType[*usageError](err); ok {
		return worker.Outcome{Cause: "bad-task", Exit: worker.ExitUsage}
	}
	return worker.Classify(err)
}

// count counts an export that did not land, and says what state that is.
func (r *report) count(outcome worker.Outcome) string {
	r.last = outcome
	switch outcome.Exit {
	case worker.ExitNotReady:
		r.notReady++
		return "not-ready"
	case worker.ExitInterrupted:
		r.cancelled++
		return "cancelled"
	}
	r.failed++
	return "failed"
}

// exit is nil if all landed without a doubt.
func (r *report) exit() error {
	total := r.landed + r.plans + r.stopped + r.failed + r.notReady + r.cancelled
	if (total > 1 || r.o.file != "") && !r.o.quiet {
		fmt.Fprintln(r.err, r.sums())
	}
	switch {
	case r.cancelled > 0:
		fmt.Fprintf(r.err, "tallyman: interrupted\n")
		hint(r.err, "run again: what was received is kept")
		return exit(worker.ExitInterrupted)
	case r.failed > 0 && total > 1:
		return exit(worker.ExitSomeFailed)
	case r.failed+r.notReady > 0:
		return exit(r.last.Exit)
	case r.doubted > 0:
		return exit(worker.ExitDoubts)
	}
	return nil
}

func (r *report) sums() string {
	s := fmt.Sprintf("%d landed", r.landed)
	if r.before > 0 {
		s += fmt.Sprintf(" (%d before)", r.before)
	}
	if r.o.dryRun {
		s += fmt.Sprintf(", %d to fetch", r.plans)
	}
	if r.stopped > 0 {
		s += fmt.Sprintf(", %d cancelled", r.stopped)
	}
	return s + fmt.Sprintf(", %d failed, %d not ready", r.failed, r.notReady)
}
