package fetch

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"
)

// A StatusCache answers for jobs that are waited for. Where few jobs of a place
// are awaited, each is asked for by itself. Where many are, one listing of the
// place answers for all jobs that it names as Pending or Running. Any other job
// is asked for by itself, since no listing tells what a job yielded or why it
// failed. Now and then a job is asked for all the same, in case the service's
// listings lag behind.
//
// A listing stays good for longer the more it cost: for two seconds at least
// and two minutes at most, and in between for so long that the listings of a
// place cost no more than 100 calls a minute, nor more than asking for each
// awaited job once a minute. So it may take minutes until a job that has ended
// is seen to have. A caller that needs what a job yielded asks the Provider
// itself.
type StatusCache struct {
	provider Provider
	lister   Lister
	account  func(Ref) string

	mu      sync.Mutex
	watches map[string]*watch // by the place's reference
	expired time.Time         // when expire last ran
}

// StatusCaches returns a StatusCache for each provider that lists, by scheme,
// and none for the others. A reference that is asked for by another account than
// its place is goes to the provider directly.
func StatusCaches(providers map[string]Provider, account func(Ref) string) map[string]Provider {
	caches := map[string]Provider{}
	for scheme, provider := range providers {
		if lister, ok := provider.(Lister); ok {
			caches[scheme] = &StatusCache{provider: provider, lister: lister, account: account, watches: map[string]*watch{}}
		}
	}
	return caches
}

// Export implements Provider. An answer from a listing has a State and a
// Status, and no more. If a listing is being made, Export waits until that has come to
// the job.
func (c *StatusCache) Export(ctx context.Context, ref Ref) (*Export, error) {
	place, ok := ref.Place()
	if !ok || c.account(ref) != c.account(place) {
		return c.provider.Export(ctx, ref)
	}
	export, l, reached := c.lookUp(ctx, place, ref.name())
	var err error
	if reached != nil { // a listing is being made
		select {
		case <-ctx.Done():
			err = context.Cause(ctx)
		case <-reached:
			c.mu.Lock()
			status, listed := l.status(ref.name())
			if !listed && errors.Is(l.failed, ErrThrottled) { // who is too busy to list is too busy to be asked for each job
				err = l.failed
			}
			c.mu.Unlock()
			export = status.export()
		}
	}
	if export == nil && err == nil {
		export, err = c.provider.Export(ctx, ref)
	}
	c.record(place, ref.name(), export, err)
	return export, err
}

// lookUp returns what the listings of a place say of a job. If the job may yet
// come in one that is being made, it returns that, and a channel that is closed
// once the listing has come to the job or has ended. If all are nil, the job is
// to be asked for.
func (c *StatusCache) lookUp(ctx context.Context, place Ref, name string) (*Export, *listing, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.expire(now)
	w := c.watches[place.String()]
	if w == nil || len(w.awaited) < minAwaited || now.Before(w.pausedUntil) || now.Before(w.missing[name]) {
		return nil, nil, nil // a listing would save no calls, or does not have the job
	}
	if w.making == nil && !w.last.fresh(name, len(w.awaited), now) {
		if w.last.stale(now) {
			w.last = nil
		}
		w.making = &listing{statuses: map[string]jobStatus{}, missing: map[string]struct{}{}, reached: map[string]chan struct{}{}}
		for name := range w.awaited {
			w.making.missing[name] = struct{}{}
		}
		go c.list(context.WithoutCancel(ctx), w, w.making) // others will want it too
	}
	status, listed := w.status(name)
	if !listed && w.making != nil {
		if w.making.reached[name] == nil {
			w.making.reached[name] = make(chan struct{})
		}
		return nil, w.making, w.making.reached[name]
	}
	export := status.export()
	if export != nil && w.checks > 0 { // this answer is to be checked
		w.checks--
		export = nil
	}
	return export, nil, nil
}

// record takes in how a job was answered for. If the listings say otherwise of
// it, two more of their answers are checked: should they lag far behind, soon
// all jobs are asked for.
func (c *StatusCache) record(place Ref, name string, export *Export, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.watches[place.String()]
	if w != nil && err == nil {
		if s, listed := w.status(name); listed && isPending(s.state) && s.state != export.State {
			w.checks += 2
		}
	}
	switch {
	case err == nil && isPending(export.State), err != nil && retryable(err):
		if w == nil {
			w = &watch{place: place, awaited: map[string]time.Time{}, missing: map[string]time.Time{}}
			c.watches[place.String()] = w
		}
		if now := time.Now(); !now.Before(w.missing[name]) {
			delete(w.missing, name)
			w.awaited[name] = now
		}
	case w != nil && (err == nil || errors.Is(err, ErrNotFound)):
		delete(w.awaited, name)
		delete(w.missing, name)
		w.last.forget(name)
		w.making.forget(name)
		c.dropIfIdle(w)
	}
}

// list makes a listing of a place. The jobs that it has not come to are believed
// missing for a while; a listing that fails is followed by a pause.
func (c *StatusCache) list(ctx context.Context, w *watch, l *listing) {
	ctx, stop := context.WithTimeout(ctx, listingTimeout)
	defer stop()
	err := c.readJobs(ctx, w, l)
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.dropIfIdle(w)
	now := time.Now()
	w.making = nil
	if l.finish(err, len(w.awaited), now); l.failed != nil {
		w.last = nil
		w.pausedUntil = now.Add(max(firstPause<<min(w.failures, maxPauseDoublings), RetryAfter(err)))
		w.failures++
		return
	}
	w.last, w.failures, w.checks = l, 0, max(w.checks, l.checks())
	for name := range l.missing {
		if _, ok := w.awaited[name]; ok {
			delete(w.awaited, name)
			w.missing[name] = now.Add(missingFor)
		}
	}
}

// readJobs takes in the jobs of a place as they are listed. A panic fails the
// listing: it must not end the process for those who wait for other jobs.
func (c *StatusCache) readJobs(ctx context.Context, w *watch, l *listing) (err error) {
	defer Recover(&err)
	for job, err := range c.lister.List(ctx, w.place, time.Time{}) {
		if err != nil {
			return err
		}
		c.mu.Lock()
		delete(w.missing, job.Ref.name())
		if !isPending(job.State) { // nobody may await it any more: another process may have fetched it
			delete(w.awaited, job.Ref.name())
		}
		more := l.add(job, len(w.awaited))
		c.mu.Unlock()
		if !more {
			return nil
		}
	}
	return context.Cause(ctx)
}

// expire forgets, once a minute, what nobody asks for any more.
func (c *StatusCache) expire(now time.Time) {
	if now.Sub(c.expired) < time.Minute {
		return
	}
	c.expired = now
	for _, w := range c.watches {
		maps.DeleteFunc(w.awaited, func(_ string, asked time.Time) bool { return now.Sub(asked) > awaitedFor })
		maps.DeleteFunc(w.missing, func(_ string, until time.Time) bool { return now.After(until) })
		if w.making == nil && w.last.stale(now) {
			w.last = nil
		}
		c.dropIfIdle(w)
	}
}

// dropIfIdle forgets a place of which there is nothing to know.
func (c *StatusCache) dropIfIdle(w *watch) {
	if len(w.awaited)+len(w.missing) == 0 && w.making == nil {
		delete(c.watches, w.place.String())
	}
}

// isPending reports whether a job in that state has yet to end.
func isPending(state State) bool { return state == Pending || state == Running }

const (
	minAwaited        = 32               // awaited jobs, from which on a place is listed
	awaitedFor        = 10 * time.Minute // since a job was last asked for
	missingFor        = 5 * time.Minute  // a job is asked for by itself that a listing should have named
	firstPause        = 10 * time.Second // after a listing that failed; each further one doubles it
	maxPauseDoublings = 6
)

// A watch is the jobs of a place that are waited for.
type watch struct {
	place       Ref
	awaited     map[string]time.Time // names of jobs that have yet to end, and when each was asked for
	missing     map[string]time.Time // names of jobs that listings don't have, and until when to believe that
	last        *listing             // the one that was made, or nil
	making      *listing             // the one that is being made, or nil
	checks      int                  // answers of listings yet to be checked: so many jobs are asked for all the same
	failures    int                  // of listings, in a row
	pausedUntil time.Time            // because of them
}

// status is what the listings say of a job, if anything.
func (w *watch) status(name string) (jobStatus, bool) {
	if s, listed := w.making.status(name); listed {
		return s, true
	}
	return w.last.status(name)
}

// A readyCache keeps what Poll found ready, each for the one Fetch that follows
// soon.
type readyCache struct {
	mu      sync.Mutex
	entries map[string]readyExport // by the hash of the reference
}

type readyExport struct {
	export *Export
	at     time.Time
	end    context.CancelCauseFunc // of what its listing has yet to ask
}

const (
	readyFor = time.Minute // far less than any signed URL lives
	maxReady = 1000        // kept at once
)

// keep keeps an export. If too many are kept, it drops those that are no longer
// fresh, or else all.
func (c *readyCache) keep(ref Ref, kept readyExport) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.entries) >= maxReady {
		maps.DeleteFunc(c.entries, func(_ string, kept readyExport) bool { return time.Since(kept.at) > readyFor })
	}
	if len(c.entries) >= maxReady {
		clear(c.entries)
	}
	if c.entries == nil {
		c.entries = map[string]readyExport{}
	}
	c.entries[ref.Hash()] = kept
}

// take returns the export that was kept, once, and nil if it is not fresh. From
// then on the calls that list its objects end with ctx.
func (c *readyCache) take(ctx context.Context, ref Ref) *Export {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept, ok := c.entries[ref.Hash()]
	delete(c.entries, ref.Hash())
	if !ok || time.Since(kept.at) > readyFor {
		return nil
	}
	context.AfterFunc(ctx, func() { kept.end(context.Cause(ctx)) })
	return kept.export
}
