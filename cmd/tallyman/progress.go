package main

import (
	"io"
	"os"
	"sync"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"tallyman/fetch"
	"tallyman/verify"
)

// bars shows a bar for each export that is being received, on a terminal.
// What is written to it appears above them.
type bars struct {
	io.Writer
	progress *mpb.Progress
	mu       sync.Mutex
	byKey    map[string]*mpb.Bar
}

// newBars returns nil if f is not a terminal.
func newBars(f *os.File) *bars {
	if !isTerminal(f) {
		return nil
	}
	progress := mpb.New(mpb.WithOutput(f))
	return &bars{Writer: progress, progress: progress, byKey: map[string]*mpb.Bar{}}
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

func (b *bars) add(p fetch.Progress) {
	b.mu.Lock()
	defer b.mu.Unlock()
	bar := b.byKey[p.Ref.Key()]
	if bar == nil || bar.Completed() { // of the object before
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

// end removes the bar of an export, until it is received again.
func (b *bars) end(ref fetch.Ref) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if bar := b.byKey[ref.Key()]; bar != nil {
		bar.Abort(true)
		delete(b.byKey, ref.Key())
	}
}

func (b *bars) close() { b.progress.Wait() }
