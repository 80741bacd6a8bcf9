package fetch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"tallyman/fetch/internal/memory"
	"tallyman/fetch/internal/unpack"
	"tallyman/verify/archive"
)

// A Fetcher fetches exports into an archive. Its methods may be called by many
// goroutines at once; its fields must not change after the first call.
type Fetcher struct {
	Providers    map[string]Provider // by the scheme of the reference
	StatusCaches map[string]Provider // by scheme; Poll asks these in place of Providers
	Archive      *archive.Archive
	Parallel     int           // of one export: requests in flight, objects at once, unpacking goroutines; 0 means 8
	PartSize     int64         // bytes of a range request; 0 means 4 MiB
	IdleTimeout  time.Duration // how long a store may send nothing; 0 means 30 s
	MinRate      int64         // bytes a second, over a minute, that an object must come at; 0 means 1024, negative: any
	MaxSize      int64         // bytes as transferred, of an object without a promised size; 0 means 1 TiB

	// Progress is called with each event of an attempt, by many goroutines at
	// once. It may be nil.
	Progress func(Progress)

	Version string           // of the program, for receipts
	Profile func(Ref) string // the name of the credentials for a reference, for receipts; nil: none

	Keep   Keep          // what of an object goes into the bag; "" means KeepContent
	Limit  *rate.Limiter // of bytes a second, over all that the Fetcher does; nil: none
	Limits unpack.Limits // of what a container may unpack to

	// MaxDecoded is how many bytes an object may decode to, in all its content
	// files. 0 means 1100 times its size as transferred, but at least 64 MiB and
	// at most 1 TiB.
	MaxDecoded int64

	// MaxMemory is how many bytes the decoders of all attempts may hold at once: most
	// of that are the windows of zstd frames. What does not fit waits. A frame whose
	// window is larger than that is an ErrBomb. 0 means 512 MiB.
	MaxMemory int64

	// Soft is the soft context: once it ends, the attempts under way start nothing
	// new. They make no request, let those in flight finish their part, keep what
	// they received, and fail with ErrDrained. An attempt that lacks no byte any
	// more goes on. Nil never ends. The context that Fetch is called with is the
	// hard one: it ends the requests in flight, too.
	Soft context.Context

	retryWait time.Duration // before the second try of a request; 0 means defaultRetryWait
	ready     readyCache    // of jobs that Poll found ready
	peeks     peekSlots

	budgetOnce sync.Once
	budget     *memory.Budget // of all decoders
}

// Keep says what of an object goes into the bag. What is not kept is decoded
// all the same, to check and to count it.
type Keep string

// What may be kept.
const (
	KeepContent Keep = "content"
	KeepWire    Keep = "wire" // the bytes as transferred
	KeepBoth    Keep = "both"
)

// Progress is an event of an attempt.
type Progress struct {
	Ref    Ref
	Object string
	Bytes  int64  // of the object as transferred that were just received, or were here before
	Kept   bool   // Bytes were here before the attempt
	Size   int64  // of the object as transferred, or verify.Unknown
	Note   string // what a person should know: "the URL has expired: asking the job again"
}

// WithReceived returns a context that has Fetch call received once the whole export is
// there and verified, and only its commit is left. The commit waits for the disk alone, and
// is shared by exports that are ready at the same time: a caller that limits its fetches
// may then begin another. received is called once at most, and must not wait.
func WithReceived(ctx context.Context, received func()) context.Context {
	return context.WithValue(ctx, receivedKey{}, received)
}

// Received calls the function that WithReceived was given, if any. A Fetch calls it when
// only its commit is left.
func Received(ctx context.Context) {
	if received, ok := ctx.Value(receivedKey{}).(func()); ok {
		received()
	}
}

type receivedKey struct{}

// WithLifetime returns a context that has Poll call found with the Lifetime of what the job
// yielded, if it is ready. found must not wait.
func WithLifetime(ctx context.Context, found func(Lifetime)) context.Context {
	return context.WithValue(ctx, lifetimeKey{}, found)
}

// TellLifetime calls the function that WithLifetime was given, if any. A Poll of a job that is
// ready calls it.
func TellLifetime(ctx context.Context, life Lifetime) {
	if found, ok := ctx.Value(lifetimeKey{}).(func(Lifetime)); ok {
		found(life)
	}
}

type lifetimeKey struct{}

// Fetch makes one attempt at the export that ref names and returns its
// receipt. What has landed before is not fetched again; if ref promises
// otherwise than what landed, that is an ErrReceiptMismatch and a
// *verify.Mismatch. A job that has not ended is a *NotReadyError, one that
// failed a *JobError. What a failed attempt received is kept for the next.
//
// The end of ctx stops the attempt at once; see Soft for a gentler end.
func (f *Fetcher) Fetch(ctx context.Context, ref Ref) (*archive.Receipt, error) {
	export := f.ready.take(ctx, ref)
	if export == nil || ref.repair { // else it is found out once the export is locked
		receipt, err := f.Landed(ctx, ref)
		if !errors.Is(err, fs.ErrNotExist) {
			return receipt, err
		}
	}
	if export == nil {
		var err error
		if export, err = f.ask(ctx, f.Providers[ref.Scheme()], ref); err != nil {
			return nil, err
		}
	}
	soft, stop := f.softly(ctx) // the objects that are done are hashed again
	in, err := f.Archive.Begin(soft, ref.String(), ref.Key())
	stop()
	if errors.Is(err, archive.ErrLanded) {
		return f.Landed(ctx, ref)
	}
	if err != nil {
		return nil, err
	}
	defer in.Close()
	in.Hidden = f.Archive.HashHidden(ref.query)
	parallel := cmp.Or(f.Parallel, 8)
	a := &attempt{
		Fetcher: f, ref: ref, in: in, slots: make(chan struct{}, parallel),
		parallel: parallel, partSize: cmp.Or(f.PartSize, 4<<20), records: export.Records,
	}
	doubts, err := a.receiveAll(ctx, export)
	if err != nil {
		return nil, err
	}
	summary := archive.Summary{
		Reference: ref.String(), Status: export.Status, RequestID: export.RequestID,
		Records: export.Records, Doubts: slices.Concat(export.Doubts, doubts), Answer: export.Answer,
		Version: f.Version, Endpoint: export.Endpoint, Window: export.Window.recorded(),
	}
	if f.Profile != nil {
		summary.Profile = f.Profile(ref)
	}
	Received(ctx)
	receipt, err := in.Commit(summary)
	if errors.Is(err, archive.ErrLanded) { // by an earlier version, which does not see the lock
		return f.Landed(ctx, ref)
	}
	return receipt, err
}

// Poll asks the job that ref names once, and fetches nothing. It returns nil if
// the export is ready or has landed, and otherwise the error that Fetch would.
// It may take a StatusCache some minutes to see that a job has ended. A Fetch
// that follows within a minute uses the answer.
func (f *Fetcher) Poll(ctx context.Context, ref Ref) error {
	_, err := f.Landed(ctx, ref)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	ctx, stop := f.softly(ctx) // it may wait for a listing
	defer stop()
	// The answer outlives ctx, since a fetch may use it. While the job is asked,
	// asking ends with ctx; once outlive is called, only end ends it.
	asking, end := context.WithCancelCause(context.WithoutCancel(ctx))
	outlive := context.AfterFunc(ctx, func() { end(context.Cause(ctx)) })
	export, err := f.ask(asking, cmp.Or(f.StatusCaches[ref.Scheme()], f.Providers[ref.Scheme()]), ref)
	if err != nil || !outlive() { // false if ctx has ended
		end(nil)
		return err
	}
	TellLifetime(ctx, export.Life)
	f.ready.keep(ref, readyExport{export, time.Now(), end})
	return nil
}

// ask asks the job once. An export that is not Ready is an error. Once the soft
// context ends, its Objects yield ErrDrained in place of the next object.
func (f *Fetcher) ask(ctx context.Context, provider Provider, ref Ref) (*Export, error) {
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
		ready, objects := *export, export.Objects
		ready.Objects = func(yield func(Object, error) bool) {
			for object, err := range objects {
				if drained := f.drained(); drained != nil {
					yield(Object{}, drained)
					return
				}
				if !yield(object, err) {
					return
				}
			}
		}
		return &ready, nil
	case Failed, Expired:
		return nil, &JobError{export.State, export.Status, export.Message}
	}
	// The job is Pending or Running, or its status is a word that the provider
	// does not know: then the State is "", which is counted and not waited out.
	return nil, &NotReadyError{export.State, export.Status, export.Percent}
}

// drained returns ErrDrained once the soft context has ended.
func (f *Fetcher) drained() error {
	if f.Soft != nil && f.Soft.Err() != nil {
		return ErrDrained
	}
	return nil
}

// softly returns a context that ends with ctx, and with ErrDrained once the soft
// context ends: for work that costs nothing to repeat.
func (f *Fetcher) softly(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, end := context.WithCancelCause(ctx)
	stop := context.AfterFunc(cmp.Or(f.Soft, context.Background()), func() { end(ErrDrained) })
	return ctx, func() {
		stop()
		end(nil)
	}
}

// closeOnDrain closes an answer once the soft context ends, unless stop is
// called before: for the time in which none of its bytes can be kept.
func (f *Fetcher) closeOnDrain(answer io.Closer) (stop func() bool) {
	return context.AfterFunc(cmp.Or(f.Soft, context.Background()), func() { answer.Close() })
}

// A drainError defers ErrDrained until all workers have returned, so that a
// drain neither cancels the others nor hides why one of them failed.
type drainError struct{ drained atomic.Bool }

// hold takes the error of one worker, and returns it unless it is ErrDrained.
func (d *drainError) hold(err error) error {
	if !errors.Is(err, ErrDrained) {
		return err
	}
	d.drained.Store(true)
	return nil
}

// or returns the error of all workers, given that of those who did not drain.
func (d *drainError) or(err error) error {
	if err == nil && d.drained.Load() {
		return ErrDrained
	}
	return err
}
