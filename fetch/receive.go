package fetch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"

	"tallyman/fetch/internal/decode"
	"tallyman/fetch/internal/memory"
	"tallyman/fetch/redact"
	"tallyman/verify"
	"tallyman/verify/archive"
)

// An attempt is one attempt at one export.
type attempt struct {
	*Fetcher
	ref   Ref
	in    *archive.Ingest
	slots chan struct{} // one for each request in flight

	parallel int   // Fetcher.Parallel, or its default
	partSize int64 // Fetcher.PartSize, or its default
	records  int64 // that were promised of the export, or verify.Unknown
}

// receiveAll receives the objects of an export. Of those under a prefix it leaves
// out the ones that can't land, and returns a doubt for each, unless none can.
func (a *attempt) receiveAll(ctx context.Context, export *Export) (doubts []string, err error) {
	left := &leftOut{prefix: a.ref.IsPrefix(), errors: map[string]error{}}
	for pass := 1; ; pass++ {
		err = a.receiveEach(ctx, export, pass, left)
		if err == nil && left.served == nil {
			err = left.first()
		}
		if err == nil && pass == maxPasses {
			err = a.checkServed(ctx, left)
		}
		if err != nil || pass == maxPasses {
			break
		}
		// Those that may land if they are received again are no longer left out.
		again := len(left.errors)
		maps.DeleteFunc(left.errors, func(_ string, err error) bool { return !isAnyOf(err, finalFaults) })
		if again -= len(left.errors); again == 0 {
			break
		}
		if a.Progress != nil {
			a.Progress(Progress{Ref: a.ref, Size: verify.Unknown, Note: fmt.Sprintf("objects that failed and are tried again: %d", again)})
		}
	}
	if export.Snapshot && (errors.Is(err, ErrChanged) || errors.Is(err, ErrNotFound)) {
		err = errors.Join(err, a.in.Unpin()) // it is outdated: the next attempt takes a new one
	}
	for _, name := range slices.Sorted(maps.Keys(left.errors)) {
		if len(doubts) == maxDoubts {
			doubts = append(doubts, fmt.Sprintf("incomplete: %d objects in all are left out", len(left.errors)))
			break
		}
		doubts = append(doubts, fmt.Sprintf("incomplete: %q is left out: %s", name, redact.Text(left.errors[name].Error())))
	}
	return doubts, err
}

// receiveEach receives the objects of an export, several at once, but for those
// that are left out. An object that failed in an earlier pass is received as it
// is listed now.
func (a *attempt) receiveEach(ctx context.Context, export *Export, pass int, left *leftOut) error {
	// The objects are not received under the group's context: its cause is the
	// error of one object, and the others would end with that error, too.
	receiving, end := context.WithCancelCause(ctx)
	stop := func() { end(context.Cause(ctx)) } // the group may end before receiving does, with the cause of ctx
	defer stop()
	group, failed := errgroup.WithContext(ctx)
	defer context.AfterFunc(failed, stop)()
	group.SetLimit(a.parallel)
	var drained drainError
	targets := nameAll(a.ref, export.Objects)
	if export.Snapshot {
		targets = a.pinned(export, pass > 1)
	}
	first := true
	for object, err := range targets {
		if receiving.Err() != nil {
			break
		}
		if err != nil {
			if err = left.take(object, err); err == nil {
				continue
			}
			group.Go(func() error { return drained.hold(err) })
			break
		}
		left.mu.Lock()
		isLeftOut := left.errors[object.Name] != nil
		left.mu.Unlock()
		if isLeftOut {
			continue
		}
		if first { // none is being received
			a.in.Single, first = object.names.Only, false
		}
		group.Go(func() error { return drained.hold(left.take(object, a.receive(receiving, object))) })
	}
	return cmp.Or(drained.or(group.Wait()), context.Cause(ctx))
}

// receive takes one object from its store into the bag: it opens the transfer,
// fills what is missing while it decodes what is there, and judges both.
func (a *attempt) receive(ctx context.Context, object target) (err error) {
	defer Recover(&err)
	if a.in.Done(object.Name, object.Want) {
		return nil
	}
	ctx, end := context.WithCancelCause(ctx)
	stop := func() { end(nil) }
	t, err := a.newTransfer(ctx, object)
	if err != nil {
		stop()
		return err
	}
	defer func() { // what was received is kept for the next attempt, unless it is of no use
		stop()
		t.done.Wait() // for the requests in flight
		t.stop()
		t.first.drop()
		t.partial.Close()
	}()
	if err := t.open(ctx); err != nil {
		return err
	}
	wire := t.partial.Wire(ctx)
	t.done.Go(func() {
		err := t.fillAll(ctx)
		switch {
		case errors.Is(err, ErrDrained):
			end(err) // the reader of the wire need not come to what is missing
		case err != nil:
			t.partial.Fail(err) // there the reader gets it
		}
	})
	result, err := t.decode(ctx, wire, stop)
	return t.judge(ctx, wire, result, err)
}

// open checks the name of the object, reserves disk space, and makes the first
// request. If no size is promised, the answer to that request tells how much to
// reserve, and nothing of it is kept before.
func (t *transfer) open(ctx context.Context) error {
	if err := nameError(t.in.CheckName(t.object.names.File())); err != nil {
		return err
	}
	size := t.partial.Want().Size
	if size != verify.Unknown {
		if err := t.reserve(ctx, size); err != nil {
			return err
		}
	}
	if err := t.openFirst(ctx); err != nil {
		return err
	}
	if size == verify.Unknown {
		if err := t.reserve(ctx, max(t.partial.Want().Size, 0)); err != nil {
			return err
		}
	}
	switch { // before Wire, which hashes what is kept
	case t.Keep == KeepWire || t.Keep == KeepBoth:
		t.partial.KeepWire(t.object.names.Wire)
	case t.object.names.KeepEncoded():
		t.partial.KeepWire(t.object.names.Encoded)
	}
	return nil
}

// decode decodes what wire transfers into content files. It reads wire to its
// end, unless it returns a local error. stop ends the transfer.
func (t *transfer) decode(ctx context.Context, wire io.Reader, stop func()) (decode.Result, error) {
	t.budgetOnce.Do(func() { t.budget = &memory.Budget{Limit: cmp.Or(t.MaxMemory, memory.DefaultLimit)} })
	result, err := decode.Run(ctx, stoppableWire{wire, stop}, decode.Target{
		Names:      t.object.names,
		Size:       t.partial.Want().Size,
		Coded:      t.object.Encoding,
		Promised:   t.object.Want,
		Records:    t.records,
		KeepWire:   t.Keep == KeepWire,
		Workers:    t.parallel,
		Limits:     t.Limits,
		MaxDecoded: t.MaxDecoded,
		Memory:     memory.Account{Budget: t.budget, OnWait: func() { t.report(Progress{Note: "waiting for memory, which other files hold"}) }},
		Output:     output{t.partial, t},
		Recover:    Recover,
	})
	if page, ok := errors.AsType[*decode.PageError](err); ok {
		t.partial.Discard()
		err = fmt.Errorf("decode %s: not the data but an error page: %w", t.object.Name, pageError(t.object.Name, page))
	}
	return result, err
}

// judge decides what became of an object whose wire was read to its end. If the
// wire is bad, the transfer is at fault, whatever decodeErr is; if it is good,
// the file is corrupt as the source holds it.
func (t *transfer) judge(ctx context.Context, wire *verify.Wire, result decode.Result, decodeErr error) error {
	if decode.IsLocal(decodeErr) {
		return decodeErr
	}
	if verdict := cmp.Or(wire.Result().Verdict, context.Cause(ctx)); verdict != nil && !errors.Is(verdict, io.EOF) {
		return verdict
	}
	if decodeErr != nil {
		return decodeErr
	}
	doubt, err := result.Accept(wire.Result().Proof)
	if err != nil {
		return err
	}
	if doubt != "" {
		t.partial.AddDoubt(doubt)
	}
	if result.Refused != nil {
		t.partial.Uncounted()
	}
	return nameError(t.partial.Finish(result.Codec, result.Checked))
}

// A stoppableWire is a wire whose transfer can be stopped.
type stoppableWire struct {
	io.Reader
	stop func()
}

func (w stoppableWire) Close() error {
	w.stop()
	return nil
}

// An output is where the content of an object goes.
type output struct {
	*archive.Partial
	transfer *transfer
}

// Create makes a content file, or only counts its records if the content is not
// kept.
func (o output) Create(name, declared string, isWire bool) (file io.WriteCloser, err error) {
	names := o.transfer.object.names
	if o.transfer.Keep == KeepWire || o.transfer.Keep != KeepBoth && names.KeepEncoded() && name == names.File() {
		file, err = o.CreateCounted(name, declared)
	} else {
		file, err = o.Partial.Create(name, declared, isWire)
	}
	return file, nameError(err)
}

// Reserve waits for disk space for content of so many bytes.
func (o output) Reserve(ctx context.Context, content int64) error {
	return nameError(o.transfer.reserve(ctx, content))
}

// reserve waits for disk space for what is missing of the object, and for
// content of so many bytes: at first no fewer than are transferred. How much
// larger the content is nobody promises; a zip tells once it is here.
func (t *transfer) reserve(ctx context.Context, content int64) error {
	if t.Keep == KeepWire {
		content = 0
	}
	ctx, stop := t.softly(ctx)
	defer stop()
	return t.partial.Reserve(ctx, content, func() {
		t.report(Progress{Note: "waiting for room on the disk, which others may leave"})
	})
}

// nameError makes ErrUnsafeName of a name that the archive can't hold. The
// archive's own error is not wrapped, since that would be a failure of the disk.
func nameError(err error) error {
	if errors.Is(err, archive.ErrName) {
		return fmt.Errorf("%w: %s", ErrUnsafeName, err.Error())
	}
	return err
}
