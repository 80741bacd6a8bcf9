package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"tallyman/fetch"
	"tallyman/verify/archive"
)

// checkEvery is how often a worker looks whether Redis still is what it was.
const maintenanceInterval = 5 * time.Second

// startMaintenance makes the queue one of this archive, with all in it that should be.
// What it returns keeps it so until ctx ends.
func (w *Worker) startMaintenance(ctx context.Context) (func(context.Context) error, error) {
	if w.local != nil {
		return func(ctx context.Context) error { <-ctx.Done(); return nil }, nil
	}
	if err := w.Queue.CheckRedis(ctx); err != nil {
		return nil, err
	}
	if err := w.Queue.Register(ctx, w.Archive.ID()); err != nil {
		return nil, err
	}
	return w.maintain, nil
}

// maintain tops the queue up at first, and then whenever Redis has started anew
// or lost what it knew: the last second of it, or all.
func (w *Worker) maintain(ctx context.Context) error {
	tick := time.NewTicker(maintenanceInterval)
	defer tick.Stop()
	for life := ""; ; {
		now, err := w.Queue.redisRunID(ctx)
		if err == nil && now != life {
			err = w.requeueAll(ctx)
		}
		if errors.Is(err, ErrOtherArchive) {
			return err
		}
		if err == nil {
			life = now
			w.quarantineUnreadable(ctx)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (w *Worker) requeueAll(ctx context.Context) error {
	if err := w.Queue.Register(ctx, w.Archive.ID()); err != nil {
		return err
	}
	n, err := w.Queue.Requeue(ctx, w.Archive)
	if n > 0 {
		w.warn("exports that the archive knows of were enqueued", "exports", n)
	}
	return err
}

// redisRunID is a text that changes when Redis starts anew or is emptied.
func (q *Queue) redisRunID(ctx context.Context) (string, error) {
	said, err := q.redis.Info(ctx, "server").Result()
	if err != nil {
		return "", wrapRedisError(ctx, err)
	}
	known, err := q.redis.Exists(ctx, archiveKey).Result()
	if err != nil {
		return "", wrapRedisError(ctx, err)
	}
	return fmt.Sprint(parseInfo(said)["run_id"], " ", known), nil
}

// Requeue enqueues each export that the archive's ingest area knows of, and that
// has neither failed nor was cancelled, unless the queue has it. It returns how
// many there were.
func (q *Queue) Requeue(ctx context.Context, a *archive.Archive) (int, error) {
	var n atomic.Int64
	var group errgroup.Group
	group.SetLimit(redisPool / 2)
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
			return err
		})
	}
	err := errors.Join(group.Wait(), context.Cause(ctx))
	return int(n.Load()), err
}

func (q *Queue) requeueMissing(ctx context.Context, a *archive.Archive, state archive.State) (bool, error) {
	ref, o, ok := RefOf(state)
	if !ok || o.Signed || !isPending(state) {
		return false, nil // another version's, or one that only a person can bring back
	}
	if _, err := a.Landed(ref.Key()); err == nil {
		return false, nil
	}
	queued, err := q.Queued(ref.Hash())
	if err != nil || queued {
		return false, err
	}
	state, _, err = a.State(ref.Key())
	if errors.Is(err, fs.ErrNotExist) || err == nil && !isPending(state) {
		return false, nil // it has ended meanwhile, which is why it is not queued
	}
	if err != nil {
		return false, err
	}
	if _, err := q.Remove(ref.Hash()); err != nil { // a task that was given up, before the export was renewed
		return false, err
	}
	return q.Enqueue(ctx, ref, o)
}

func isPending(state archive.State) bool {
	return state.Phase != archive.Failed && state.Phase != archive.Cancelled
}

// RefOf reads a state's reference and its options. It is not ok if the state
// is not one that this version can have written.
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
