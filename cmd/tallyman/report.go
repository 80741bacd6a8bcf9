package main

import (
	"fmt"
	"io"
	"os"
	"sync"

	"tallyman/fetch"
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

	landed, doubted, failed, notReady, cancelled int
	last                                         worker.Outcome // of the last that failed
}

func newReport(out, err io.Writer, o *options, store *archive.Archive) *report {
	r := &report{out: out, err: err, o: o, store: store}
	if f, ok := err.(*os.File); ok && !o.quiet && !o.json {
		r.bars = newBars(f)
	}
	if r.bars == nil {
		return r
	}
	r.err = r.bars
	if f, ok := out.(*os.File); ok && isTerminal(f) {
		r.out = r.bars // which would draw over it otherwise
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
	fmt.Fprintf(r.err, "%s: %s\n", ref, fetch.Redact(text))
}

// end reports one export.
func (r *report) end(ref fetch.Ref, receipt *archive.Receipt, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bars != nil {
		r.bars.end(ref)
	}
	if err != nil {
		r.fail(ref, err)
		return
	}
	r.land(receipt)
}

func (r *report) land(receipt *archive.Receipt) {
	path := r.store.Path(receipt.Key)
	switch {
	case r.o.json:
		writeJSON(r.out, landed{"tallyman.landed/v1", "landed", path, receipt})
	case r.o.quiet:
		fmt.Fprintln(r.out, path)
	default:
		fmt.Fprintf(r.out, "landed  %s  %s  %s\n", receipt.Reference, summary(receipt), path)
	}
	if r.o.verbose {
		prove(r.err, receipt)
	}
	for _, doubt := range receipt.Doubts {
		fmt.Fprintf(r.err, "%s: doubt: %s\n", receipt.Reference, fetch.Redact(doubt))
	}
	r.landed++
	if len(receipt.Doubts) > 0 {
		r.doubted++
	}
}

// summary says how much landed.
func summary(receipt *archive.Receipt) string {
	s := fmt.Sprintf("%s in %s", formatSize(receipt.Bytes), plural(int64(receipt.Files), "file"))
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
	Receipt *archive.Receipt `json:"receipt"`
}

type failed struct {
	Schema    string       `json:"schema"`
	Reference string       `json:"reference"`
	State     string       `json:"state"` // "failed", "not-ready" or "cancelled"
	Cause     worker.Cause `json:"cause,omitempty"`
	Message   string       `json:"message"`
	Hint      string       `json:"hint,omitempty"`
}

func (r *report) fail(ref fetch.Ref, err error) {
	outcome := worker.Classify(err)
	message := fetch.Redact(err.Error())
	if state := r.count(outcome); r.o.json {
		writeJSON(r.out, failed{"tallyman.failed/v1", ref.String(), state, outcome.Cause, message, outcome.Hint})
	}
	if outcome.Exit == worker.ExitInterrupted {
		return // said once, by exit
	}
	if outcome.Cause != "" {
		message = string(outcome.Cause) + ": " + message
	}
	fmt.Fprintf(r.err, "tallyman: %s: %s\n", ref, message)
	hint(r.err, outcome.Hint)
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
	total := r.landed + r.failed + r.notReady + r.cancelled
	if total > 1 && !r.o.quiet {
		fmt.Fprintf(r.err, "%d landed, %d failed, %d not ready\n", r.landed, r.failed, r.notReady)
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
