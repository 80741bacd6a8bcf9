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
)

// A room is what the file system of an archive has left, less what attempts of
// this process have been promised of it.
type room struct {
	mu       sync.Mutex
	held     int64         // promised in all to those who still receive
	freed    chan struct{} // closed when one of them ends
	promised atomic.Int64  // of what they hold that is not written yet
}

// A claim is the room that one object being received may fill.
type claim struct {
	room *room
	held int64
	left atomic.Int64
}

// Some room is for what no promise tells of, the archive's own books among it:
// of a small file system a hundredth.
const (
	reserve      = 64 << 20
	reserveFiles = 16
)

// A NoSpaceError says that an object does not fit on the disk, before any of it
// is received. It is syscall.ENOSPC.
type NoSpaceError struct {
	Object string
	Dir    string // of the archive
	Need   int64  // bytes
	Free   int64  // of which Reserve bytes are kept free
	Reserve,
	Files int64 // that may be made yet, or verify.Unknown
}

// Error tells what is needed, what is free, and where.
func (e *NoSpaceError) Error() string {
	if e.Files != verify.Unknown && e.Files < reserveFiles {
		return fmt.Sprintf("no room for %s: the file system of %s can hold %d files more", e.Object, e.Dir, e.Files)
	}
	return fmt.Sprintf("no room for %s: it needs %s, and %s has %s free, of which %s are kept free",
		e.Object, inUnits(e.Need), e.Dir, inUnits(e.Free), inUnits(e.Reserve))
}

// Unwrap is what the disk itself would say.
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

// Reserve takes room on the disk for what is missing of the object, if its size
// is known, and for so many bytes of content. What others in this process have
// reserved and not yet written is taken. Where it would do if those ended, it
// calls waits once, and waits for that; otherwise, a *NoRoomError. What it took
// before is given back first, so that none waits for another that waits, and all
// of it by Close. It is called before the first byte is kept, and again by who
// knows better how much the content is.
func (p *Partial) Reserve(ctx context.Context, content int64, waits func()) error {
	p.claim.drop()
	need := content
	if size := p.Want().Size; size != verify.Unknown {
		need += max(size-p.Received(), 0)
	}
	return p.claim.take(ctx, p, need, sync.OnceFunc(waits))
}

func (c *claim) take(ctx context.Context, p *Partial, need int64, waits func()) error {
	for {
		freed, err := c.try(p, need)
		if freed == nil || err != nil {
			return err
		}
		waits()
		select {
		case <-freed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// try takes the room, or returns what to wait for before trying again.
func (c *claim) try(p *Partial, need int64) (freed <-chan struct{}, err error) {
	a, r := p.in.archive, c.room
	r.mu.Lock()
	defer r.mu.Unlock()
	space, known := a.space()
	usable := space.free - space.reserve()
	switch {
	case !known || space.hasFiles() && need <= usable-r.promised.Load():
		c.hold(need)
		return nil, nil
	case space.hasFiles() && r.held > 0 && need <= usable+r.held:
		return r.freed, nil
	}
	return nil, &NoSpaceError{p.name, a.dir, need, space.free, space.reserve(), space.files}
}

// hold makes the room the claim's, under the room's lock.
func (c *claim) hold(n int64) {
	r := c.room
	if r.freed == nil {
		r.freed = make(chan struct{})
	}
	r.held += n
	r.promised.Add(n)
	c.held = n
	c.left.Store(n)
}

// spend tells that so many bytes were written, which the file system knows of.
func (c *claim) spend(n int64) {
	for {
		left := c.left.Load()
		n = min(n, left)
		if n <= 0 {
			return
		}
		if c.left.CompareAndSwap(left, left-n) {
			c.room.promised.Add(-n)
			return
		}
	}
}

// drop gives back what is left.
func (c *claim) drop() {
	c.spend(math.MaxInt64)
	if c.held == 0 {
		return
	}
	r := c.room
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held -= c.held
	c.held = 0
	close(r.freed)
	r.freed = make(chan struct{})
}

// A space is what is left of a file system.
type space struct {
	total, free int64 // bytes
	files       int64 // that may be made yet, or verify.Unknown
	longest     int   // bytes of a file name, or 0: not known
}

func (s space) reserve() int64 { return min(reserve, s.total/100) }

func (s space) hasFiles() bool { return s.files == verify.Unknown || s.files >= reserveFiles }

// space is what is left of the archive's file system, where that can be told.
func (a *Archive) space() (space, bool) {
	if a.measure != nil {
		return a.measure()
	}
	return spaceIn(a.dir)
}
