package cli

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/fetch"
	"tallyman/verify"
)

// progressBars shows a bar on a terminal for each export that is being
// received. Lines written to it appear above the bars.
type progressBars struct {
	io.Writer
	progress *mpb.Progress
	columns  int // of the terminal

	mu     sync.Mutex
	byKey  map[string]*mpb.Bar
	closed bool // no bar is added any more
}

// add moves the bar of an export on. Each object of the export has a bar of its
// own, one after the other.
func (b *progressBars) add(p fetch.Progress) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || p.Note != "" {
		return
	}
	bar := b.byKey[p.Ref.Key()]
	if bar == nil || bar.Completed() {
		began, kept := time.Now(), p.Bytes // the first event of an object has the bytes that were here before
		bar = b.progress.AddBar(max(p.Size, 0),
			mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Name(cutMiddle(p.Ref.String(), b.columns/3)+"  ")),
			mpb.AppendDecorators(decor.CountersKibiByte("% .1f / % .1f "), decor.Any(func(s decor.Statistics) string {
				return pace(s.Current, s.Total, s.Current-kept, time.Since(began))
			})),
		)
		b.byKey[p.Ref.Key()] = bar
	}
	if p.Size != verify.Unknown {
		bar.SetTotal(p.Size, false)
	}
	bar.IncrInt64(p.Bytes)
}

// pace says how much of a transfer is done, how fast it is, and how long it will take.
// The speed is that of the bytes that were received by this call.
func pace(current, total, received int64, elapsed time.Duration) string {
	text := ""
	if total > 0 {
		text = fmt.Sprintf("%d%% ", 100*current/total)
	}
	speed := float64(received) / elapsed.Seconds()
	if received <= 0 || elapsed <= 0 {
		return text
	}
	text += flagvalue.FormatSize(int64(speed)) + "/s "
	if left := total - current; left > 0 {
		text += "ETA " + time.Duration(float64(left)/speed*float64(time.Second)).Round(time.Second).String() + " "
	}
	return text
}

// cutMiddle returns text, or its two ends where it has more characters than width:
// references differ at both.
func cutMiddle(text string, width int) string {
	runes := []rune(text)
	width = max(width, 9)
	if len(runes) <= width {
		return text
	}
	head := (width - 1) / 2
	return string(runes[:head]) + "…" + string(runes[len(runes)-(width-1-head):])
}

// remove removes the bar of an export until it is received again.
func (b *progressBars) remove(ref fetch.Ref) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if bar := b.byKey[ref.Key()]; bar != nil {
		bar.Abort(true)
		delete(b.byKey, ref.Key())
	}
}

// close removes all bars.
func (b *progressBars) close() {
	b.mu.Lock()
	b.closed = true
	for _, bar := range b.byKey {
		bar.Abort(true)
	}
	b.mu.Unlock()
	b.progress.Wait()
}
