// Package fetch makes one attempt at one export: it asks the job, streams what
// the job yielded, holds every byte and every record against what was
// promised, and commits the result to an archive. It knows no queue and never
// waits for a job.
//
// The bytes run in one line:
//
//	ref → landed already? → Provider.Export → Archive.Begin → Partial, with the
//	parts already here → the missing ranges, in flight at once, read in order →
//	Wire, which keeps and hashes all of it → decode by magic bytes → content
//	files, records counted → hear the wire out → Commit
//
// [Fetcher.Fetch] and its receive are that line. A provider of export jobs is
// a [Provider] in a package of its own; a store is a [Source].
package fetch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"tallyman/fetch/internal/decode"
	"tallyman/fetch/internal/unpack"
	"tallyman/verify/archive"
)

// A Fetcher fetches exports into an archive. Its methods may be called by many
// goroutines at once; its fields must not change after the first call.
type Fetcher struct {
	Providers    map[string]Provider // by the scheme of the reference
	StatusCaches map[string]Provider // whom Poll asks instead, where there is one of the scheme
	Archive      *archive.Archive
	Parallel     int           // range requests in flight per object; 0 means 8
	PartSize     int64         // bytes of a range request; 0 means 4 MiB
	IdleTimeout  time.Duration // how long a store may send nothing; 0 means 30 s
	MinRate      int64         // bytes a second at which an object must come over a minute; 0 means 1024, less: any
	MaxSize      int64         // bytes as transferred of an object whose job promised no size; 0 means 1 TiB

	// Progress is told of each event of an attempt, by many goroutines at once.
	// It may be nil.
	Progress func(Progress)

	Keep   Keep          // what of an object goes into the bag; "" means KeepContent
	Limit  *rate.Limiter // of bytes a second, over all that the Fetcher does; nil: none
	Limits unpack.Limits // of what a container may unpack to

	// MaxDecoded is how many bytes an object may decode to, in all its content
	// files. 0 means 1100 times its size as transferred, but at least 64 MiB and
	// at most 1 TiB.
	MaxDecoded int64

	// Soft is the soft context: once it ends, the attempts under way start nothing
	// new. They make no request, let those in flight finish their part, keep what
	// they received, and fail with ErrDrained. An attempt that lacks no byte any
	// more goes on. Nil never ends. The context that Fetch is called with is the
	// hard one: it ends the requests in flight, too.
	Soft context.Context

	firstWait time.Duration // between two tries of a request; 0 means firstWait
	ready     readyCache    // of jobs that Poll found ready
}

// Progress is an event of an attempt.
type Progress struct {
	Ref    Ref
	Object string
	Bytes  int64  // of the object as transferred that have just come, or were here
	Size   int64  // of the object as transferred, or verify.Unknown
	Note   string // what a person should know: "the URL has expired: asking the job again"
}

// Fetch makes one attempt at the export that ref names and returns its
// receipt. What has landed before is not fetched again, but it is a
// *verify.Mismatch if ref promises otherwise. A job that has not ended is a
// *NotReadyError, one that failed a *JobError. What was received by an attempt
// that failed is kept for the next.
func (f *Fetcher) Fetch(ctx context.Context, ref Ref) (*archive.Receipt, error) {
	receipt, err := f.landed(ref)
	if !errors.Is(err, fs.ErrNotExist) {
		return receipt, err
	}
	export, err := f.asked(ctx, ref)
	if err != nil {
		return nil, err
	}
	in, err := f.begin(ctx, ref)
	if errors.Is(err, archive.ErrLanded) {
		return f.landed(ref)
	}
	if err != nil {
		return nil, err
	}
	defer in.Close()
	a := &attempt{Fetcher: f, ref: ref, in: in, slots: make(chan struct{}, f.parallel())}
	if err := a.receiveAll(ctx, export); err != nil {
		return nil, err
	}
	return in.Commit(archive.Summary{
		Reference: ref.String(), Status: export.Status, RequestID: export.RequestID,
		Records: export.Records, Doubts: export.Doubts, Answer: export.Answer,
	})
}

// Poll asks the job that ref names once, and fetches nothing: it is nil if
// Fetch would find the export ready, or has landed it before, and otherwise
// the error of Fetch, which a StatusCache may take for some minutes to see that the
// job has ended. A Fetch that follows within a minute goes on from the answer.
func (f *Fetcher) Poll(ctx context.Context, ref Ref) error {
	_, err := f.landed(ref)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	ctx, over := f.softly(ctx) // a StatusCache may have it wait
	defer over()
	ctx, loose, end := detach(ctx)
	export, err := f.askOf(ctx, cmp.Or(f.StatusCaches[ref.Scheme()], f.Providers[ref.Scheme()]), ref)
	if err != nil || !loose() {
		end(nil)
		return err
	}
	f.ready.keep(ref, readyExport{export, time.Now(), end})
	return nil
}

// asked is the answer that Poll has just got, or a new one.
func (f *Fetcher) asked(ctx context.Context, ref Ref) (*Export, error) {
	if export := f.ready.take(ctx, ref); export != nil {
		return export, nil
	}
	return f.ask(ctx, ref)
}

// ask asks the job once. An export that is not Ready is an error.
func (f *Fetcher) ask(ctx context.Context, ref Ref) (*Export, error) {
	return f.askOf(ctx, f.Providers[ref.Scheme()], ref)
}

func (f *Fetcher) askOf(ctx context.Context, provider Provider, ref Ref) (*Export, error) {
	if provider == nil {
		return nil, fmt.Errorf("fetch %s: %w: no provider for %s references", ref, errors.ErrUnsupported, ref.Scheme())
	}
	if err := f.drained(); err != nil {
		return nil, err
	}
	export, err := provider.Export(ctx, ref)
	if err != nil {
		return nil, err
	}
	switch export.State {
	case Ready:
		ready := *export
		ready.Objects = f.untilDrained(export.Objects)
		return &ready, nil
	case Failed, Expired:
		return nil, &JobError{export.State, export.Status, export.Message}
	}
	return nil, &NotReadyError{export.State, export.Status, export.Percent}
}

func (f *Fetcher) begin(ctx context.Context, ref Ref) (*archive.Ingest, error) {
	ctx, begun := f.softly(ctx) // what is done is hashed again
	defer begun()
	return f.Archive.Begin(ctx, ref.String(), ref.Key())
}

// An attempt is one at one export.
type attempt struct {
	*Fetcher
	ref   Ref
	in    *archive.Ingest
	slots chan struct{} // one for each request in flight
}

// receiveAll receives the objects of an export, several at once.
func (a *attempt) receiveAll(ctx context.Context, export *Export) error {
	receiving, end := context.WithCancelCause(ctx) // not the group's: what ended one object is no verdict on another
	stop := func() { end(context.Cause(ctx)) }     // ctx ends both, and the group may be the first to hear of it
	defer stop()
	group, failed := errgroup.WithContext(ctx)
	defer context.AfterFunc(failed, stop)()
	group.SetLimit(a.parallel())
	var drained drainError
	for object, err := range a.objects(export) {
		if receiving.Err() != nil {
			break
		}
		group.Go(func() error {
			if err != nil {
				return drained.hold(err)
			}
			return drained.hold(a.receive(receiving, object))
		})
		if err != nil {
			break
		}
	}
	err := drained.or(group.Wait())
	if export.Snapshot && snapshotChanged(err) {
		err = errors.Join(err, a.in.Unpin()) // the next attempt takes a new one
	}
	return cmp.Or(err, context.Cause(ctx))
}

// receive takes one object from its store into the bag. A decode error is
// judged only once the wire was heard out: if the wire is bad, the transfer
// is at fault; if it is good, the file is corrupt as the source holds it.
func (a *attempt) receive(ctx context.Context, object target) (err error) {
	defer Recover(&err)
	if a.in.Done(object.Name, object.Want) {
		return nil
	}
	partial, err := a.takeUp(ctx, object.Object)
	if err != nil {
		return err
	}
	defer partial.Close()
	ctx, end := context.WithCancelCause(ctx)
	stop := func() { end(nil) }
	defer stop()
	transfer := a.newTransfer(object.Object, partial)
	defer transfer.wait()
	if err := a.openFirst(ctx, object, partial, transfer); err != nil {
		return err
	}
	if a.Keep == KeepWire || a.Keep == KeepBoth {
		partial.KeepWire(object.names.Wire) // before Wire, which hashes what is kept
	}
	wire := partial.Wire(ctx)
	transfer.start(ctx, end)
	defer stop() // before ranges.wait, which waits for what it stops
	result, err := a.decode(ctx, object, partial, wire, stop)
	if decode.IsLocal(err) {
		return err
	}
	if verdict := cmp.Or(wire.Verdict(), context.Cause(ctx)); verdict != nil && !errors.Is(verdict, io.EOF) {
		return verdict
	}
	if err != nil {
		return err
	}
	doubt, err := result.Accept(wire.Proof())
	if err != nil {
		return err
	}
	if doubt != "" {
		partial.AddDoubt(doubt)
	}
	return nameError(partial.Finish(result.Codec, result.Checked))
}

func (a *attempt) takeUp(ctx context.Context, object Object) (*archive.Partial, error) {
	ctx, taken := a.softly(ctx) // what is here is hashed again
	defer taken()
	return a.in.Partial(ctx, object.Name, object.Want)
}

func (f *Fetcher) parallel() int { return cmp.Or(f.Parallel, 8) }

func (f *Fetcher) partSize() int64 { return cmp.Or(f.PartSize, 4<<20) }

func (f *Fetcher) tell(p Progress) {
	if f.Progress != nil {
		f.Progress(p)
	}
}
