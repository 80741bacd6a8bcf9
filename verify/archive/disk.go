package archive

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"

	"tallyman/verify"
	"tallyman/verify/archive/internal/durable"
)

// readOnly is the mode of the files of a bag. The process that creates a file
// may write to it all the same.
const readOnly = 0o444

// A disk makes each change that an archive makes to files, and announces each
// read that proves something.
type disk struct {
	step durable.Step
}

// mkdirs makes a directory and its parents, each durable in its own parent.
func (d disk) mkdirs(dir string) error {
	dir = filepath.Clean(dir)
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := d.mkdirs(parent); err != nil {
			return err
		}
	}
	if err := d.step("mkdir", dir); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) { // another attempt may have been first
		return err
	}
	return d.step.SyncDir(parent)
}

// syncParents makes the names in a directory durable, and those in each
// directory above it, up to top. A name that exists may still not be durable: the
// attempt that made it may have been cut short. done has the fs.FileInfo of directories
// above of which this process has made the names durable, by their paths, and gets the
// others; nil knows none.
func (d disk) syncParents(dir, top string, done *sync.Map) error {
	if err := d.step.SyncDir(dir); err != nil || dir == top {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if done != nil {
		if known, ok := done.Load(dir); ok && os.SameFile(known.(fs.FileInfo), info) {
			return nil
		}
	}
	err = d.syncParents(filepath.Dir(dir), top, done)
	if err == nil && done != nil {
		done.Store(dir, info)
	}
	return err
}

// create writes a file, read-only, and replaces one that an attempt that was cut
// short may have left. The bytes go to the hashes, too. Neither they nor the name are
// durable yet. The caller closes the file.
func (d disk) create(path string, content io.WriterTo, hashes ...io.Writer) (f *os.File, err error) {
	if err := d.step("write", path); err != nil {
		return nil, err
	}
	f, err = os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, readOnly)
	if errors.Is(err, fs.ErrExist) {
		if err := d.removeAll(path); err != nil {
			return nil, err
		}
		f, err = os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, readOnly)
	}
	if err != nil {
		return nil, err
	}
	w := bufio.NewWriter(f)
	_, err = content.WriteTo(io.MultiWriter(append(hashes, w)...))
	if err := errors.Join(err, w.Flush()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// writeJSON writes a value as indented JSON. The bytes are durable, and the name is
// not yet.
func (d disk) writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	f, err := d.create(path, bytes.NewReader(append(b, '\n')))
	if err != nil {
		return err
	}
	return errors.Join(d.step.Sync(f), f.Close())
}

// rename moves a file or a directory. The new name is not durable yet.
func (d disk) rename(from, to string) error {
	if err := d.step("rename", to); err != nil {
		return err
	}
	return os.Rename(from, to)
}

// ErrFileSystem is of a file system that lacks what an archive needs: hard links, or
// locks that hold for all who use it.
var ErrFileSystem = errors.New("the archive needs a file system")

// link gives a file a second name, which is not durable yet. FAT, which has no
// hard links, says that they are not permitted.
func (d disk) link(from, to string) error {
	err := d.step("link", to)
	if err == nil {
		err = os.Link(from, to)
	}
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EPERM) {
		return fmt.Errorf("%w that has hard links: %w", ErrFileSystem, err)
	}
	return err
}

func (d disk) removeAll(path string) error {
	if err := d.step("remove", path); err != nil {
		return err
	}
	return os.RemoveAll(path)
}

// A diskSpace says what is left of a file system.
type diskSpace struct {
	total, free int64 // bytes
	files       int64 // that can still be made, or verify.Unknown
	maxElement  int   // bytes of a file name, or 0: not known
}

// keptFree and keptFiles are left free for what no promise covers, such as the
// archive's own files. Of a small file system a hundredth is kept free.
const (
	keptFree  = 64 << 20
	keptFiles = 16
)

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
		kept := min(keptFree, space.total/100)
		usable := space.free - kept
		hasFiles := space.files == verify.Unknown || space.files >= keptFiles
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
			return &NoSpaceError{p.name, a.dir, need, space.free, kept, space.files}
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
