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

	"tallyman/verify"
	"tallyman/verify/archive"
)

// A transfer receives what is missing of one object, by several requests at
// once.
type transfer struct {
	*attempt
	object  target
	source  Source
	partial *archive.Partial
	speed   *minSpeed
	maxSize int64

	first *Range        // the answer to the first request
	part  *archive.Part // the part that it is for
	next  func() (*archive.Part, bool)
	stop  func() // of next
	done  sync.WaitGroup

	mu         sync.Mutex // of first and next, while several goroutines take parts
	sequential bool       // one goroutine receives all parts that are left
	ignored    atomic.Int32
}

// maxIgnoredRanges is how many ranges a store may ignore before the rest of the
// object is received by one request: each such request brings all the bytes
// before its range.
const maxIgnoredRanges = 2

// newTransfer takes up what an earlier attempt received of an object.
func (a *attempt) newTransfer(ctx context.Context, object target) (*transfer, error) {
	soft, stop := a.softly(ctx) // what is here is hashed again
	defer stop()
	partial, err := a.in.Partial(soft, object.Name, object.Want)
	if err != nil {
		return nil, err
	}
	return &transfer{
		attempt: a, object: object, partial: partial,
		source:  &refreshingSource{attempt: a, object: object.Object},
		speed:   &minSpeed{least: cmp.Or(a.MinRate, defaultMinRate)},
		maxSize: max(object.Want.Size, cmp.Or(a.MaxSize, 1<<40)),
		stop:    func() {},
	}, nil
}

// openFirst cuts what is missing of the object into parts and makes the first
// request, so that everything that is promised is known before a byte is kept. If
// every byte is here already it makes none, but for an object of no bytes, whose
// store was not heard yet.
func (t *transfer) openFirst(ctx context.Context) error {
	off, n := int64(0), t.partSize
	request := func() (err error) {
		t.first, err = t.request(ctx, off, n)
		return err
	}
	none := func() int64 { return 0 } // is received
	isSized := t.partial.Want().Size > 0
	if !isSized { // the answer may tell how many parts there are
		if err := t.retry(ctx, none, request); err != nil {
			return err
		}
	}
	t.next, t.stop = iter.Pull(t.partial.Missing(t.partial.Want().Size, t.partSize))
	t.part, _ = t.next()
	if isSized && t.part != nil {
		off, n = t.part.Remaining()
		if err := t.retry(ctx, none, request); err != nil {
			return err
		}
	}
	t.report(Progress{Bytes: t.partial.Received(), Kept: true}) // which was here before the attempt
	if t.partial.Restarted {
		t.report(Progress{Note: "the job has changed what it promises: starting over"})
	}
	return nil
}

// fillAll receives every missing part, several at once.
func (t *transfer) fillAll(ctx context.Context) (err error) {
	defer Recover(&err)
	switch {
	case t.first == nil || t.part == nil:
		return nil
	case t.first.continuesPast(t.part):
		first := t.first
		t.first = nil
		return t.fillInOrder(ctx, t.part, first)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var all sync.WaitGroup
	var first sync.Once // what fails next may fail because of stop
	var drained drainError
	parts := (t.partial.Want().Size-1)/t.partSize + 1
	for range min(parts, int64(t.parallel)) {
		all.Go(func() {
			if failed := drained.hold(t.fillParts(ctx)); failed != nil {
				first.Do(func() {
					err = failed
					stop()
				})
			}
		})
	}
	all.Wait()
	return drained.or(err)
}

// fillParts fills one part after another until none is left to take.
func (t *transfer) fillParts(ctx context.Context) (err error) {
	defer Recover(&err)
	for {
		t.mu.Lock()
		part, answer := t.part, t.first // the first part has an answer
		t.first = nil
		if answer == nil {
			part = nil
			if !t.sequential {
				part, _ = t.next()
			}
		}
		t.mu.Unlock()
		if part == nil {
			return nil
		}
		answer, err := t.fill(ctx, part, answer)
		switch {
		case err != nil:
			return err
		case answer != nil && t.takeRest():
			return t.fillInOrder(ctx, part, answer)
		}
		answer.drop()
	}
}

// takeRest takes all parts that are left, once the store has ignored too many
// ranges. It reports whether it did.
func (t *transfer) takeRest() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sequential || t.ignored.Load() < maxIgnoredRanges {
		return false
	}
	t.sequential = true
	return true
}

// fillInOrder fills part after part from one answer, as far as it lasts.
func (t *transfer) fillInOrder(ctx context.Context, part *archive.Part, answer *Range) (err error) {
	for {
		if answer, err = t.fill(ctx, part, answer); err != nil {
			return err
		}
		next, ok := t.next()
		if ok {
			err = t.drained()
		}
		if !ok || err != nil {
			answer.drop()
			return err
		}
		if answer != nil {
			end, _ := part.Remaining()
			off, _ := next.Remaining()
			if t.skip(answer, off-end) != nil {
				answer.drop()
				answer = nil
			}
		}
		part = next
	}
}

// fill receives a part: from the answer that is open, if there is one, then
// from as many requests as it takes, since a store may send less than it was
// asked for. It returns the answer that goes on after the part, if one does.
func (t *transfer) fill(ctx context.Context, part *archive.Part, answer *Range) (*Range, error) {
	received := func() int64 {
		off, _ := part.Remaining()
		return off
	}
	err := t.retry(ctx, received, func() (err error) {
		for {
			off, n := part.Remaining()
			if n == 0 {
				return nil
			}
			if answer == nil {
				if answer, err = t.request(ctx, off, n); err != nil {
					return err
				}
			}
			continues := n != verify.Unknown && answer.continuesPast(part)
			err := t.copy(part, answer)
			if err != nil || !continues {
				answer.drop()
				answer = nil
			}
			if err != nil {
				return err
			}
		}
	})
	return answer, err
}

// copyBuffers are for copy.
var copyBuffers = sync.Pool{New: func() any { return new([128 << 10]byte) }}

// copy writes what the part lacks, or all there is if its size is not known, as
// far as the answer lasts.
func (t *transfer) copy(part *archive.Part, from *Range) error {
	buffer := copyBuffers.Get().(*[128 << 10]byte)
	defer copyBuffers.Put(buffer)
	begun, n := part.Remaining()
	if n == verify.Unknown { // no later attempt can go on from what is here
		defer t.closeOnDrain(from)()
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
		if err := t.write(part, from, b[:read]); err != nil {
			return err
		}
		if err != nil && int64(read) != n {
			return t.checkEnd(part, from, begun, err)
		}
	}
}

// write writes bytes of a part. If the store did not announce how many it
// sends, the object's last byte must be the last one sent.
func (t *transfer) write(part *archive.Part, from *Range, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	off, n := part.Remaining()
	size := t.partial.Want().Size
	if n == int64(len(b)) && off+n == size && from.Len == verify.Unknown {
		if more, _ := io.ReadFull(from, make([]byte, 1)); more > 0 {
			return &verify.Mismatch{Object: t.object.Name, Check: verify.CheckSize, Got: fmt.Sprintf("%d or more", size+1), Want: fmt.Sprint(size)}
		}
	}
	if err := t.checkSize(off + int64(len(b))); err != nil {
		return err
	}
	if _, err := part.Write(b); err != nil {
		return err
	}
	t.report(Progress{Bytes: int64(len(b))})
	return nil
}

// checkEnd tells the end of an object of unknown size, and that of a range as it
// was announced, from a transfer that was cut short.
func (t *transfer) checkEnd(part *archive.Part, from *Range, begun int64, err error) error {
	off, n := part.Remaining()
	switch {
	case !errors.Is(err, io.EOF):
		return &transferError{"read " + t.object.Name, err}
	case n == verify.Unknown && (from.Want.Size == verify.Unknown || from.Want.Size == off):
		return part.End()
	case off > begun && from.Len != verify.Unknown && off == from.Off+from.Len:
		return nil
	}
	return &transferError{"read " + t.object.Name, io.ErrUnexpectedEOF}
}

// checkSize enforces MaxSize on an object without a promised size, so that an
// endless body is cut off.
func (t *transfer) checkSize(size int64) error {
	if size <= t.maxSize {
		return nil
	}
	t.partial.Discard()
	reason := fmt.Sprintf("receive %s: it has more than %d bytes, and no size was promised", t.object.Name, t.maxSize)
	return &LimitError{Limit: LimitSize, Reason: reason}
}

// report tells Progress of the object what p says: that bytes are here, or a note.
func (t *transfer) report(p Progress) {
	if t.Progress != nil {
		p.Ref, p.Object, p.Size = t.ref, t.object.Name, t.partial.Want().Size
		t.Progress(p)
	}
}

// continuesPast reports whether the answer goes on after the part: then the
// store ignores ranges, and each further request would bring all the bytes.
func (a *Range) continuesPast(part *archive.Part) bool {
	off, n := part.Remaining()
	return n == verify.Unknown || a.Len == verify.Unknown || a.Off+a.Len > off+n
}

// drop closes the answer, if there is one. An error of that says nothing of the
// bytes that came.
func (a *Range) drop() {
	if a != nil {
		a.Close()
	}
}
