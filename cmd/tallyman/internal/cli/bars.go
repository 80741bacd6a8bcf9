package cli

import (
	"fmt"
	"io"
	"math"
	"sync"
	"sync/atomic"
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

	mu      sync.Mutex
	byKey   map[string]*mpb.Bar
	extents map[string]*extent // of the exports that are or were received, by key
	sum     extent             // of them all
	all     *mpb.Bar           // for the sum, once there are two of them
	closed  bool               // no bar is added any more

	exports, kept atomic.Int64 // of the bar for all: how many, and the bytes that were here before
}

// An extent is how much of an export is here, of what is known of it.
type extent struct {
	current, total int64
	object         int64 // the part of total that is of the object being received
	kept           int64 // the part of current that was here before
}

// add moves the bar of an export on. Each object of the export has a bar of its
// own, one after the other.
func (b *progressBars) add(p fetch.Progress) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || p.Note != "" {
		return
	}
	key := p.Ref.Key()
	e := b.extents[key]
	if e == nil {
		e = &extent{}
		b.extents[key] = e
		b.exports.Store(int64(len(b.extents)))
	}
	bar := b.byKey[key]
	if bar == nil || bar.Completed() {
		kept := p.Bytes // the first event of an object has the bytes that were here before
		bar = b.newBar(decor.Name(cutMiddle(p.Ref.String(), b.columns/3)+"  "), max(p.Size, 0), func() int64 { return kept })
		b.byKey[key] = bar
		b.kept.Add(kept)
		e.object, e.kept = 0, e.kept+kept
	}
	if p.Size != verify.Unknown {
		bar.SetTotal(p.Size, false)
		e.total, b.sum.total, e.object = e.total+p.Size-e.object, b.sum.total+p.Size-e.object, p.Size
	}
	bar.IncrInt64(p.Bytes)
	e.current, b.sum.current = e.current+p.Bytes, b.sum.current+p.Bytes
	if b.all == nil && len(b.extents) > 1 {
		name := func(decor.Statistics) string { return fmt.Sprintf("%d exports  ", b.exports.Load()) }
		b.all = b.newBar(decor.Any(name), 0, b.kept.Load, mpb.BarPriority(math.MaxInt))
	}
	b.showSum()
}

// newBar adds a bar of total bytes, or 0 if they are not known, to the terminal. kept
// returns how many of them were here before.
func (b *progressBars) newBar(name decor.Decorator, total int64, kept func() int64, options ...mpb.BarOption) *mpb.Bar {
	began := time.Now()
	return b.progress.AddBar(total, append(options,
		mpb.BarRemoveOnComplete(), mpb.PrependDecorators(name),
		mpb.AppendDecorators(decor.CountersKibiByte("% .1f / % .1f "), decor.Any(func(s decor.Statistics) string {
			return pace(s.Current, s.Total, s.Current-kept(), time.Since(began))
		})))...)
}

func (b *progressBars) showSum() {
	if b.all != nil {
		b.all.SetTotal(b.sum.total, false)
		b.all.SetCurrent(b.sum.current)
	}
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

// remove removes the bar of an export until it is received again. Unless it landed,
// what was received of it no longer counts.
func (b *progressBars) remove(ref fetch.Ref, landed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := ref.Key()
	if bar := b.byKey[key]; bar != nil {
		bar.Abort(true)
		delete(b.byKey, key)
	}
	if e := b.extents[key]; e != nil && !landed {
		b.sum.current, b.sum.total = b.sum.current-e.current, b.sum.total-e.total
		b.kept.Add(-e.kept)
		delete(b.extents, key)
		b.exports.Store(int64(len(b.extents)))
		b.showSum()
	}
}

// close removes all bars.
func (b *progressBars) close() {
	b.mu.Lock()
	b.closed = true
	for _, bar := range b.byKey {
		bar.Abort(true)
	}
	if b.all != nil {
		b.all.Abort(true)
	}
	b.mu.Unlock()
	b.progress.Wait()
}
