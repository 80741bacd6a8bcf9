package cli

import (
	"io"
	"sync"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"tallyman/fetch"
	"tallyman/verify"
)

// progressBars shows a bar on a terminal for each export that is being
// received. Lines written to it appear above the bars.
type progressBars struct {
	io.Writer
	progress *mpb.Progress
	mu       sync.Mutex
	byKey    map[string]*mpb.Bar
}

// add moves the bar of an export on. Each object of the export has a bar of its
// own, one after the other.
func (b *progressBars) add(p fetch.Progress) {
	b.mu.Lock()
	defer b.mu.Unlock()
	bar := b.byKey[p.Ref.Key()]
	if bar == nil || bar.Completed() {
		bar = b.progress.AddBar(max(p.Size, 0),
			mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Name(p.Ref.String()+"  ")),
			mpb.AppendDecorators(decor.CountersKibiByte("% .1f / % .1f "), decor.AverageSpeed(decor.SizeB1024(0), "% .1f ")),
		)
		b.byKey[p.Ref.Key()] = bar
	}
	if p.Size != verify.Unknown {
		bar.SetTotal(p.Size, false)
	}
	bar.IncrInt64(p.Bytes)
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
