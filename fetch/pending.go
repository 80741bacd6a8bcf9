package fetch

import (
	"maps"
	"time"
)

const (
	many        = 32               // awaited jobs, from which on a place is listed
	awaitedFor  = 10 * time.Minute // since a job was last asked for
	unlistedFor = 5 * time.Minute  // a job is asked for by itself that a listing should have named
	firstPause  = 10 * time.Second // after a listing that failed; each further one doubles it
	mostPauses  = 6                // times that it doubles
)

// A pending is the jobs of a place that are waited for.
type pending struct {
	place    Ref
	awaited  map[string]time.Time // names of jobs that have yet to end, and when each was asked for
	unlisted map[string]time.Time // names of those that listings don't have, and until when to believe that
	last     *listing             // that was made, or nil
	making   *listing             // or nil
	checks   int                  // answers of listings yet to be checked: so many jobs are asked for all the same
	failures int                  // of listings, in a row
	paused   time.Time            // until then, for that
}

// pays reports whether a listing may answer for a job, and saves calls.
func (w *pending) pays(name string, now time.Time) bool {
	return len(w.awaited) >= many && !now.Before(w.paused) && !now.Before(w.unlisted[name])
}

// await notes that a job has yet to end.
func (w *pending) await(name string, now time.Time) {
	if !now.Before(w.unlisted[name]) {
		delete(w.unlisted, name)
		w.awaited[name] = now
	}
}

// take takes in a job that is listed, and reports whether the listing is to go
// on. One that has ended may be awaited no more: another process may have seen
// to it.
func (w *pending) take(l *listing, job Listed) bool {
	delete(w.unlisted, job.Ref.name())
	if !waits(job.State) {
		delete(w.awaited, job.Ref.name())
	}
	return l.take(job, len(w.awaited))
}

// note is what the listings tell of a job, if anything.
func (w *pending) note(name string) (note, bool) {
	if n, named := w.making.note(name); named {
		return n, true
	}
	return w.last.note(name)
}

// answer is the answer of a listing's note, or nil where it is to be checked.
func (w *pending) answer(n note) *Export {
	export := n.export()
	if export != nil && w.checks > 0 {
		w.checks--
		return nil
	}
	return export
}

// compare holds what listings tell of a job against how it stands. For one that
// stands otherwise two more are checked: should listings lag far behind, soon
// all jobs are asked for.
func (w *pending) compare(name string, state State) {
	if n, named := w.note(name); named && waits(n.state) && n.state != state {
		w.checks += 2
	}
}

// forget forgets a job that has ended.
func (w *pending) forget(name string) {
	delete(w.awaited, name)
	delete(w.unlisted, name)
	w.last.forget(name)
	w.making.forget(name)
}

// begin begins a listing.
func (w *pending) begin(now time.Time) *listing {
	if w.last.old(now) {
		w.last = nil
	}
	w.making = newListing(w.awaited)
	return w.making
}

// sweep forgets what nobody asks for any more.
func (w *pending) sweep(now time.Time) {
	maps.DeleteFunc(w.awaited, func(_ string, asked time.Time) bool { return now.Sub(asked) > awaitedFor })
	maps.DeleteFunc(w.unlisted, func(_ string, until time.Time) bool { return now.After(until) })
	if w.making == nil && w.last.old(now) {
		w.last = nil
	}
}

// took takes in the listing that was being made.
func (w *pending) took(l *listing, err error, now time.Time) {
	w.making = nil
	if l.end(err, len(w.awaited), now); l.failed != nil {
		w.last = nil
		w.paused = now.Add(max(firstPause<<min(w.failures, mostPauses), RetryAfter(err)))
		w.failures++
		return
	}
	w.last, w.failures, w.checks = l, 0, max(w.checks, l.checks())
	for name := range l.missing {
		if _, ok := w.awaited[name]; ok {
			delete(w.awaited, name)
			w.unlisted[name] = now.Add(unlistedFor)
		}
	}
}
