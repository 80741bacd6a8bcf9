package fetch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"tallyman/verify"
	"tallyman/verify/archive"
)

// ranges receives what is missing of one object.
type ranges struct {
	f       *attempt
	name    string
	source  Source
	partial *archive.Partial
	pace    *pace
	most    int64 // bytes that it may have

	first *Range        // the answer to the first request
	part  *archive.Part // that it is for
	next  func() (*archive.Part, bool)
	stop  func()
	done  sync.WaitGroup

	mu      sync.Mutex // of first and next, while several take parts
	alone   bool       // one takes all parts that are left
	ignored atomic.Int32
}

// enough is how often a store may ignore a range before it is asked for no
// other: each would bring all the bytes before it.
const enough = 2

func (a *attempt) ranges(object Object, partial *archive.Partial) *ranges {
	r := &ranges{f: a, name: object.Name, partial: partial, pace: &pace{least: a.minRate()}, most: a.most(object)}
	r.source = &renewing{f: a.Fetcher, ref: a.ref, object: object}
	r.stop = func() {}
	return r
}

// begin makes the first request, so that all that is promised is known before
// a byte is kept. If every byte is here already there is nothing to ask.
func (r *ranges) begin(ctx context.Context) error {
	size := r.partial.Want().Size
	if size <= 0 || r.missing(size) { // nothing is missing of an empty object, but its store was not heard
		if err := r.ask(ctx); err != nil {
			return err
		}
	}
	r.tell(r.partial.Received(), "")
	if r.partial.Restarted() {
		r.tell(0, "the job has changed what it promises: starting over")
	}
	return nil
}

// missing takes the first missing part of an object of known size.
func (r *ranges) missing(size int64) bool {
	r.next, r.stop = iter.Pull(r.partial.Missing(size, r.f.partSize()))
	part, ok := r.next()
	r.part = part
	return ok
}

// ask opens the first part. Where the size is not known, its answer tells.
func (r *ranges) ask(ctx context.Context) error {
	off, n := int64(0), r.f.partSize()
	if r.part != nil {
		off, n = r.part.Remaining()
	}
	err := r.retry(ctx, func() (err error) {
		r.first, err = r.open(ctx, off, n)
		return err
	}, func() bool { return false })
	if err == nil && r.part == nil {
		r.missing(r.partial.Want().Size)
	}
	return err
}

// open asks the store for a range of the version that is being received. What
// the store says of the object is held against what was said before.
func (r *ranges) open(ctx context.Context, off, n int64) (*Range, error) {
	leave, err := r.f.enter(ctx)
	if err != nil {
		return nil, err
	}
	ctx, watch := newWatch(ctx, r.f.idleTimeout(), r.pace)
	answer, err := r.source.ReadRange(ctx, off, n, r.partial.Version())
	watch.answered()
	if err != nil {
		defer leave()
		defer watch.stop()
		if errors.Is(err, ErrChanged) {
			r.partial.Discard()
		}
		return nil, watch.cause(err)
	}
	answer.ReadCloser = r.f.throttle(ctx, watch.over(answer.ReadCloser, leave), r.pace)
	err = cmp.Or(r.partial.AddPromise(answer.Want), r.fits(r.partial.Want().Size))
	if err == nil {
		err = r.skipTo(answer, off)
	}
	if err != nil {
		answer.Close()
		return nil, err
	}
	return answer, nil
}

// skipTo drops what a store that ignores ranges sends before off.
func (r *ranges) skipTo(answer *Range, off int64) error {
	if answer.Off < off {
		r.ignored.Add(1)
		defer r.f.closeOnDrain(answer)()
	}
	return answer.skipTo(off)
}

// enter waits for a slot, and gives it back by what it returns. No request is
// made without one.
func (a *attempt) enter(ctx context.Context) (leave func(), err error) {
	select {
	case a.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	leave = sync.OnceFunc(func() { <-a.slots })
	if err := cmp.Or(a.drained(), context.Cause(ctx)); err != nil { // it may have ended while this waited, too
		leave()
		return nil, err
	}
	return leave, nil
}

// start receives every missing part, several at once. What ends it goes to
// the reader of the wire. After a drain that need not read all that is here,
// so it ends at once.
func (r *ranges) start(ctx context.Context, end context.CancelCauseFunc) {
	r.done.Go(func() {
		if r.first == nil {
			return
		}
		err := r.fillAll(ctx)
		if err != nil {
			r.partial.Fail(err)
		}
		if errors.Is(err, ErrDrained) {
			end(err)
		}
	})
}

func (r *ranges) fillAll(ctx context.Context) (err error) {
	defer Recover(&err)
	switch {
	case r.part == nil:
		return nil
	case r.first.runsOn(r.part):
		return r.runOn(ctx, r.part, r.takeFirst())
	}
	return r.fillSeveral(ctx)
}

// fillSeveral fills parts at once. The context that ends the others when one
// fails is not the group's: the error of one is not the cause of another's.
func (r *ranges) fillSeveral(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var group errgroup.Group
	var last lastWord
	for range r.several() {
		group.Go(func() error {
			err := last.hold(r.fillParts(ctx))
			if err != nil {
				r.partial.Fail(err) // now, not when the others have ended
				stop()
			}
			return err
		})
	}
	return last.after(group.Wait())
}

// several is how many parts are filled at once: no more than there can be.
func (r *ranges) several() int64 {
	parts := (r.partial.Want().Size-1)/r.f.partSize() + 1
	return min(parts, int64(r.f.parallel()))
}

// fillParts fills one part after another until none is left to take.
func (r *ranges) fillParts(ctx context.Context) (err error) {
	defer Recover(&err)
	for {
		part, answer := r.take()
		if part == nil {
			return nil
		}
		answer, err := r.fillPart(ctx, part, answer)
		switch {
		case err != nil:
			return err
		case answer != nil && r.takeAll():
			return r.runOn(ctx, part, answer)
		}
		answer.drop()
	}
}

// take takes the next part, and the answer that is open if it is the first. It
// is nil when there are no more.
func (r *ranges) take() (*archive.Part, *Range) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if answer := r.takeFirst(); answer != nil {
		return r.part, answer
	}
	if r.alone {
		return nil, nil
	}
	part, _ := r.next()
	return part, nil
}

// takeAll takes all parts that are left, once the store has ignored enough
// ranges to be known for it. It reports whether it did.
func (r *ranges) takeAll() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.alone || r.ignored.Load() < enough {
		return false
	}
	r.alone = true
	return true
}

// takeFirst is the answer to the first request, once; then nil. One that is
// not taken is dropped in the end.
func (r *ranges) takeFirst() *Range {
	first := r.first
	r.first = nil
	return first
}

// runOn fills part after part, in order, from one answer if it lasts.
func (r *ranges) runOn(ctx context.Context, part *archive.Part, answer *Range) (err error) {
	for {
		if answer, err = r.fillPart(ctx, part, answer); err != nil {
			return err
		}
		next, ok := r.next()
		if ok {
			err = r.f.drained()
		}
		if !ok || err != nil {
			answer.drop()
			return err
		}
		answer = r.skip(answer, part, next)
		part = next
	}
}

// skip moves an answer on from the end of one part to another. It is nil if
// that failed, or if there was none.
func (r *ranges) skip(answer *Range, from, to *archive.Part) *Range {
	if answer == nil {
		return nil
	}
	defer r.f.closeOnDrain(answer)()
	end, _ := from.Remaining()
	off, _ := to.Remaining()
	if answer.skip(off-end) != nil {
		answer.drop()
		return nil
	}
	return answer
}

// fillPart receives a part: from the answer that is open, if there is one,
// then from as many as it takes. It returns the answer that goes on after it,
// if one does.
func (r *ranges) fillPart(ctx context.Context, part *archive.Part, answer *Range) (*Range, error) {
	var before int64
	err := r.retry(ctx, func() (err error) {
		before, _ = part.Remaining()
		answer, err = r.receive(ctx, part, answer)
		return err
	}, func() bool {
		off, _ := part.Remaining()
		return off > before
	})
	return answer, err
}

// fits reports whether an object may have so many bytes. Of one that a store
// does not tell the end of, that is all there is to tell that there is one.
func (r *ranges) fits(size int64) error {
	if size <= r.most {
		return nil
	}
	r.partial.Discard()
	return fmt.Errorf("receive %s: it has more than %d bytes, and the job promised no size (--max-size allows more): %w", r.name, r.most, ErrBomb)
}

// receive fills a part. A store may send less of it than it was asked for, so
// one answer need not be enough.
func (r *ranges) receive(ctx context.Context, part *archive.Part, answer *Range) (*Range, error) {
	for {
		off, n := part.Remaining()
		if n == 0 {
			return answer, nil
		}
		if answer == nil {
			var err error
			if answer, err = r.open(ctx, off, n); err != nil {
				return nil, err
			}
		}
		goesOn := n != verify.Unknown && answer.runsOn(part)
		err := r.copy(part, answer)
		if err != nil || !goesOn {
			answer.drop()
			answer = nil
		}
		if err != nil {
			return nil, err
		}
	}
}

var buffers = sync.Pool{New: func() any { return new([128 << 10]byte) }}

// copy keeps what the part lacks, or all there is where that is not known, as
// far as the answer lasts.
func (r *ranges) copy(part *archive.Part, from *Range) error {
	buffer := buffers.Get().(*[128 << 10]byte)
	defer buffers.Put(buffer)
	begun, n := part.Remaining()
	if n == verify.Unknown { // what is here can't be gone on from
		defer r.f.closeOnDrain(from)()
	}
	for {
		_, n := part.Remaining()
		if n == 0 {
			return nil
		}
		b := buffer[:]
		if n > 0 {
			b = b[:min(n, int64(len(b)))]
		}
		read, err := from.Read(b)
		if err := r.keep(part, from, b[:read]); err != nil {
			return err
		}
		if err != nil && int64(read) != n {
			return r.end(part, from, begun, err)
		}
	}
}

// end takes the end of an answer for what it is: that of an object of unknown
// size, that of a range as it was announced, or a transfer cut short.
func (r *ranges) end(part *archive.Part, from *Range, begun int64, err error) error {
	off, n := part.Remaining()
	switch {
	case !errors.Is(err, io.EOF):
		return &transferError{"read " + r.name, err}
	case n == verify.Unknown && (from.Want.Size == verify.Unknown || from.Want.Size == off):
		return part.End()
	case off > begun && from.Len != verify.Unknown && off == from.Off+from.Len:
		return nil
	}
	return &transferError{"read " + r.name, io.ErrUnexpectedEOF}
}

// keep writes bytes of a part. Where the store did not announce how many it
// sends, the object's last must be the last sent.
func (r *ranges) keep(part *archive.Part, from *Range, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	off, n := part.Remaining()
	size := r.partial.Want().Size
	if n == int64(len(b)) && off+n == size && from.Len == verify.Unknown {
		if more, _ := io.ReadFull(from, make([]byte, 1)); more > 0 {
			return &verify.Mismatch{Object: r.name, Check: verify.CheckSize, Got: fmt.Sprintf("%d or more", size+1), Want: fmt.Sprint(size)}
		}
	}
	if err := r.fits(off + int64(len(b))); err != nil {
		return err
	}
	if _, err := part.Write(b); err != nil {
		return err
	}
	r.tell(int64(len(b)), "")
	return nil
}

// wait returns when all that start began has ended.
func (r *ranges) wait() {
	r.done.Wait()
	r.stop()
	r.first.drop()
}

func (r *ranges) tell(n int64, note string) {
	r.f.tell(Progress{Ref: r.f.ref, Object: r.name, Bytes: n, Size: r.partial.Want().Size, Note: note})
}
