package cli

import (
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/fetch/redact"
)

// A RecheckBar shows on a terminal how many exports have been checked, and how fast
// they are read.
type RecheckBar struct {
	Stdout io.Writer // where lines are printed: above the bar, if there is one

	progress *mpb.Progress // nil unless the bar is shown
	bar      *mpb.Bar      // nil before Begin
	read     atomic.Int64  // bytes
}

// NewRecheckBar returns a bar that is shown if stderr is a terminal, unless the
// command is quiet. Close ends it.
func NewRecheckBar(stdout, stderr io.Writer, quiet bool) *RecheckBar {
	b := &RecheckBar{Stdout: stdout}
	if f := terminal(stderr); f != nil && !quiet {
		b.progress = mpb.New(mpb.WithOutput(f))
		if terminal(stdout) != nil { // the bar would be drawn over what is printed there
			b.Stdout = &RedactingWriter{To: b.progress, Redact: redact.Known}
		}
	}
	return b
}

// Visible reports whether the bar is shown.
func (b *RecheckBar) Visible() bool { return b.progress != nil }

// Begin shows the bar for a number of exports.
func (b *RecheckBar) Begin(exports int) {
	began := time.Now()
	b.bar = b.progress.AddBar(int64(exports), mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.CountersNoUnit("%d of %d exports  ")),
		mpb.AppendDecorators(decor.Any(func(s decor.Statistics) string {
			return recheckPace(s.Current, s.Total, b.read.Load(), time.Since(began))
		})))
}

// Read says that bytes were read. It may be called by many goroutines at once.
func (b *RecheckBar) Read(bytes int) { b.read.Add(int64(bytes)) }

// Increment says that one more export has been checked.
func (b *RecheckBar) Increment() {
	if b.bar != nil {
		b.bar.Increment()
	}
}

// Close removes the bar.
func (b *RecheckBar) Close() {
	if b.progress == nil {
		return
	}
	if b.bar != nil {
		b.bar.Abort(true)
	}
	b.progress.Wait()
}

// recheckPace says how much of a recheck is done, how fast it reads, and how long it
// will take if the exports that are left are like those that were checked.
func recheckPace(checked, exports, read int64, elapsed time.Duration) string {
	if exports == 0 || elapsed <= 0 {
		return ""
	}
	text := fmt.Sprintf("%d%% %s/s ", 100*checked/exports, flagvalue.FormatSize(int64(float64(read)/elapsed.Seconds())))
	if checked > 0 && checked < exports {
		text += "ETA " + (elapsed * time.Duration(exports-checked) / time.Duration(checked)).Round(time.Second).String() + " "
	}
	return text
}
