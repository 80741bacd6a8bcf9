package archive

import (
	"context"
	"fmt"
	"io/fs"
	"math"
	"sync"
	"sync/atomic"
	"syscall"

	"tallyman/verify"
	"tallyman/verify/archive/internal/durable"
)

// ErrFileSystem is of a file system that lacks what an archive needs: hard links, or
// locks that hold for all who use it.
var ErrFileSystem = durable.ErrFileSystem

// keptFree and keptFiles are left free for what no promise covers, such as the
// archive's own files. Of a small file system a hundredth is kept free.
const (
	keptFree  = 64 << 20
	keptFiles = 16
)

// A Space says what is left of the file system of an archive.
type Space struct {
	Total, Free int64 // bytes
	Kept        int64 // of Free, the bytes that no export is let fill
	Files       int64 // that can still be made, or verify.Unknown
	KeptFiles   int64 // likewise
}

// Space measures the archive's file system. It is false if the system can't say.
func (a *Archive) Space() (Space, bool) {
	s, ok := a.measure(a.dir)
	return Space{s.Total, s.Free, min(keptFree, s.Total/100), s.Files, keptFiles}, ok
}

// A NoSpaceError says that an object does not fit on the disk, before any of it
// is received. It is syscall.ENOSPC.
type NoSpaceError struct {
	Object  string
	Dir     string // of the archive
	Need    int64  // bytes
	Free    int64  // bytes, Reserve included
	Reserve int64  // bytes that are kept free
	Files   int64  // that can still be made, or verify.Unknown
}

// Error says what is needed, what is free, and where.
func (e *NoSpaceError) Error() string {
	if e.Files != verify.Unknown && e.Files < keptFiles {
		return fmt.Sprintf("no room for %s: the file system of %s can hold %d files more", e.Object, e.Dir, e.Files)
	}
	return fmt.Sprintf("no room for %s: it needs %s, and %s has %s free, of which %s are kept free",
		e.Object, inUnits(e.Need), e.Dir, inUnits(e.Free), inUnits(e.Reserve))
}

// Unwrap is the error that the disk itself would give.
func (e *NoSpaceError) Unwrap() error {
	return &fs.PathError{Op: "reserve", Path: e.Dir, Err: syscall.ENOSPC}
}

// inUnits rounds down.
func inUnits(n int64) string {
	unit, name := int64(1), "bytes"
	for _, next := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if n < 10*1024*unit {
			break
		}
		unit, name = 1024*unit, next
	}
	return fmt.Sprintf("%d %s", n/unit, name)
}

// reservations are those of all objects that this process receives into an
// archive.
type reservations struct {
	mu       sync.Mutex
	total    int64         // as they were made
	released chan struct{} // closed when one of them is released
	unspent  atomic.Int64  // what is left of them
}

// A reservation is disk space that one object may fill.
type reservation struct {
	all     *reservations
	size    int64 // as it was made
	unspent atomic.Int64
}

// Reserve reserves disk space for the missing bytes of the object, if its size is
// known, and for content bytes of content. Space that other objects of this
// process have reserved and not yet written is not available. If there is not
// enough now, but would be once those objects end, Reserve calls waits once and
// waits for that. Otherwise it fails with a *NoSpaceError.
//
// Each call first releases what the one before reserved, so that no two objects
// wait for each other; Close releases it, too. Reserve is called before the first
// byte is written, and again when more is known about the content's size.
func (p *Partial) Reserve(ctx context.Context, content int64, waits func()) error {
	p.reserved.release()
	need := content
	if size := p.Want().Size; size != verify.Unknown {
		need += max(size-p.Received(), 0)
	}
	waits = sync.OnceFunc(waits)
	a, r := p.in.archive, p.reserved.all
	for {
		r.mu.Lock()
		space, known := a.measure(a.dir)
		kept := min(keptFree, space.Total/100)
		usable := space.Free - kept
		hasFiles := space.Files == verify.Unknown || space.Files >= keptFiles
		fits := !known || hasFiles && need <= usable-r.unspent.Load()
		willFit := hasFiles && r.total > 0 && need <= usable+r.total // once what others reserved is released
		if fits {
			if r.released == nil {
				r.released = make(chan struct{})
			}
			r.total += need
			r.unspent.Add(need)
			p.reserved.size = need
			p.reserved.unspent.Store(need)
		}
		released := r.released
		r.mu.Unlock()
		switch {
		case fits:
			return nil
		case !willFit:
			return &NoSpaceError{p.name, a.dir, need, space.Free, kept, space.Files}
		}
		waits()
		select {
		case <-released:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// spend says that n bytes were written: the file system counts them from now on.
func (r *reservation) spend(n int64) {
	for {
		unspent := r.unspent.Load()
		n = min(n, unspent)
		if n <= 0 {
			return
		}
		if r.unspent.CompareAndSwap(unspent, unspent-n) {
			r.all.unspent.Add(-n)
			return
		}
	}
}

// release gives back what is left, and wakes the objects that wait for it.
func (r *reservation) release() {
	r.spend(math.MaxInt64)
	if r.size == 0 {
		return
	}
	r.all.mu.Lock()
	defer r.all.mu.Unlock()
	r.all.total -= r.size
	r.size = 0
	close(r.all.released)
	r.all.released = make(chan struct{})
}
