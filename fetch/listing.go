package fetch

import (
	"context"
	"errors"
	"maps"
	"time"

	"tallyman/verify"
)

const (
	listedPage     = 100 // jobs that one call of a listing brings, or thereabouts
	mostCalls      = 100 // a minute, of the listings of a place
	leastFresh     = 2 * time.Second
	mostFresh      = 2 * time.Minute
	longestListing = 5 * time.Minute
)

// A listing is what one listing of a place has told.
type listing struct {
	named   map[string]note          // by name; once it was made, of jobs that have yet to end
	missing map[string]struct{}      // names of awaited jobs that it has not come to
	turns   map[string]chan struct{} // by name; closed once it has come to the job, or has ended
	jobs    int                      // that it has come to
	idle    int                      // of them, in a row, that have ended
	short   bool                     // it would have cost too much to go on

	// Once it was made.
	awaited int // jobs
	made    time.Time
	lasts   time.Duration
	failed  error
}

// A note is what a listing tells of one job.
type note struct {
	state  State
	status string
}

// export is what it answers to who asks for the job, or nil.
func (n note) export() *Export {
	if !waits(n.state) {
		return nil
	}
	return &Export{State: n.state, Status: n.status, Percent: -1, Records: verify.Unknown}
}

func newListing(awaited map[string]time.Time) *listing {
	l := &listing{named: map[string]note{}, missing: map[string]struct{}{}, turns: map[string]chan struct{}{}}
	for name := range awaited {
		l.missing[name] = struct{}{}
	}
	return l
}

// list makes a listing of a place.
func (b *StatusCache) list(ctx context.Context, w *pending, l *listing) {
	ctx, stop := context.WithTimeout(ctx, longestListing)
	defer stop()
	err := b.read(ctx, w, l)
	b.mu.Lock()
	defer b.mu.Unlock()
	w.took(l, err, time.Now())
	b.tidy(w)
}

// read takes in the jobs of a place as they come. A panic is the listing's
// failure: it must not end the process for all who wait for other jobs.
func (b *StatusCache) read(ctx context.Context, w *pending, l *listing) (err error) {
	defer Recover(&err)
	for job, err := range b.lister.List(ctx, w.place, time.Time{}) {
		if err != nil {
			return err
		}
		if !b.take(w, l, job) {
			return nil
		}
	}
	return context.Cause(ctx)
}

func (b *StatusCache) take(w *pending, l *listing, job Listed) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return w.take(l, job)
}

// take takes in a job, of so many that are awaited, and reports whether to go
// on: until all of those have come, and the jobs that have yet to end seem to
// have, since who asks for one is likely to ask for the others next.
func (l *listing) take(job Listed, awaited int) bool {
	name := job.Ref.name()
	l.named[name] = note{job.State, job.Status}
	delete(l.missing, name)
	if turn, ok := l.turns[name]; ok {
		close(turn)
		delete(l.turns, name)
	}
	l.jobs++
	l.idle++
	if waits(job.State) {
		l.idle = 0
	}
	l.short = l.jobs >= listedPage*awaited
	return !l.short && (len(l.missing) > 0 || l.idle < listedPage)
}

// turn is closed once the listing has come to a job, or has ended.
func (l *listing) turn(name string) <-chan struct{} {
	if l.turns[name] == nil {
		l.turns[name] = make(chan struct{})
	}
	return l.turns[name]
}

// end ends a listing. Jobs that can't be told of by reference are refused
// behind all others, and take nothing from those.
func (l *listing) end(err error, awaited int, now time.Time) {
	if l.jobs == 0 || !errors.Is(err, ErrRefused) {
		l.failed = err
	}
	for _, turn := range l.turns {
		close(turn)
	}
	l.turns = nil
	maps.DeleteFunc(l.named, func(_ string, n note) bool { return !waits(n.state) })
	calls, aMinute := l.pages()+l.checks(), max(1, min(awaited, mostCalls))
	l.awaited, l.made = awaited, now
	l.lasts = min(max(leastFresh, time.Duration(calls)*time.Minute/time.Duration(aMinute)), mostFresh)
}

func (l *listing) pages() int { return (l.jobs + listedPage - 1) / listedPage }

// checks is how many of its answers are to be checked.
func (l *listing) checks() int { return (l.pages() + 3) / 4 }

// fresh reports whether the listing may still answer for a job. One that fell
// short is made anew for jobs that it did not come to, once so many more are
// awaited that it can go twice as far.
func (l *listing) fresh(name string, awaited int, now time.Time) bool {
	if l == nil || now.Sub(l.made) >= l.lasts {
		return false
	}
	_, named := l.named[name]
	return named || !l.short || awaited < 2*l.awaited
}

// old reports whether the listing may not even answer while the next is made.
func (l *listing) old(now time.Time) bool { return l == nil || now.Sub(l.made) > 2*l.lasts }

// note is what the listing tells of a job, if anything.
func (l *listing) note(name string) (n note, ok bool) {
	if l != nil {
		n, ok = l.named[name]
	}
	return n, ok
}

// forget forgets a job that has ended.
func (l *listing) forget(name string) {
	if l != nil {
		delete(l.named, name)
		delete(l.missing, name)
	}
}
