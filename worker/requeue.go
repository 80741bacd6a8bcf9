package worker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"tallyman/fetch"
	"tallyman/verify/archive"
)

// Requeue enqueues each export that has a record in the archive and has neither
// failed nor was cancelled, unless the queue has it. It returns how many it
// enqueued.
func (q *Queue) Requeue(ctx context.Context, a *archive.Archive) (int, error) {
	var n atomic.Int64
	var group errgroup.Group
	group.SetLimit(redisPool / 2)
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	for state, err := range a.States() {
		if err != nil {
			err = errors.Join(err, group.Wait())
			return int(n.Load()), err
		}
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			added, err := q.requeueMissing(ctx, a, state)
			if added {
				n.Add(1)
			}
			if errors.Is(err, ErrRedis) || errors.Is(err, ErrUnsuitableRedis) {
				stop(err) // each of the others would wait as long
			}
			return err
		})
	}
	err := cmp.Or(group.Wait(), context.Cause(ctx))
	return int(n.Load()), err
}

func (q *Queue) requeueMissing(ctx context.Context, a *archive.Archive, state archive.State) (bool, error) {
	ref, o, ok := requeuable(a, state)
	if !ok {
		return false, nil
	}
	queued, err := q.Queued(ref.Hash())
	if err != nil || queued {
		return false, err
	}
	state, _, err = a.State(ref.Key())
	if errors.Is(err, fs.ErrNotExist) || err == nil && !isPending(state) {
		return false, nil // it ended meanwhile: that is why it is not queued
	}
	if err != nil {
		return false, err
	}
	for _, t := range taskLocations(ref.Hash()) { // asynq may keep a task of it that was given up before its budget was reset
		if _, err := q.deleteDead(ctx, t); err != nil {
			return false, err
		}
	}
	return q.Enqueue(ctx, ref, o)
}

// requeuable returns an export that its state says is still to be fetched, unless only
// another version, or a person, can bring it back.
func requeuable(a *archive.Archive, state archive.State) (ref fetch.Ref, o Options, ok bool) {
	ref, o, ok = RefOf(state)
	if !ok || o.Signed || !isPending(state) {
		return ref, o, false
	}
	_, err := a.Landed(ref.Key())
	return ref, o, err != nil && !isA[*archive.Damage](err) // what is damaged or gone is never fetched anew by itself
}

// isPending reports whether workers are still to fetch an export.
func isPending(state archive.State) bool {
	return state.Phase != archive.Failed && state.Phase != archive.Cancelled && state.Phase != archive.Removed
}

// RefOf reads the reference and the options of a record. It is not ok if this
// version can't have written the record.
func RefOf(state archive.State) (ref fetch.Ref, o Options, ok bool) {
	if len(state.Options) > 0 && json.Unmarshal(state.Options, &o) != nil {
		return ref, o, false
	}
	ref, err := fetch.ParseRef(state.Reference)
	if err != nil {
		return ref, o, false
	}
	ref = o.applyTo(ref)
	return ref, o, ref.Key() == state.Key
}
