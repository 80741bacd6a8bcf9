package fetch

import (
	"errors"
	"maps"
	"time"

	"tallyman/verify"
)

const (
	jobsPerPage       = 100 // that one call of a listing brings, or thereabouts
	maxCallsPerMinute = 100 // of the listings of a place
	minGoodFor        = 2 * time.Second
	maxGoodFor        = 2 * time.Minute
	listingTimeout    = 5 * time.Minute
)

// A listing is what one listing of a place said. It is used under the lock of
// its StatusCache; but for add and finish, a nil one says nothing.
type listing struct {
	statuses map[string]jobStatus     // by name; once it was made, of jobs that have yet to end
	missing  map[string]struct{}      // names of awaited jobs that it has not come to
	reached  map[string]chan struct{} // by name; closed once it has come to the job, or has ended
	jobs     int                      // that it has come to
	ended    int                      // of them, in a row, that have ended
	cutOff   bool                     // it would have cost too much to go on

	// Once it was made.
	awaited int // jobs
	madeAt  time.Time
	goodFor time.Duration
	failed  error
}

// A jobStatus is what a listing says of one job.
type jobStatus struct {
	state State
	word  string // the provider's own
}

// export is the answer for the job, or nil if it is to be asked for.
func (s jobStatus) export() *Export {
	if !isPending(s.state) {
		return nil
	}
	return &Export{State: s.state, Status: s.word, Percent: -1, Records: verify.Unknown}
}

// add takes in a job, while so many are awaited, and reports whether to go on:
// until all awaited jobs have come, and a page of jobs in a row have ended,
// since who asks for one job is likely to ask for the other pending ones next.
func (l *listing) add(job Listed, awaited int) bool {
	name := job.Ref.name()
	l.statuses[name] = jobStatus{job.State, job.Status}
	delete(l.missing, name)
	if reached, ok := l.reached[name]; ok {
		close(reached)
		delete(l.reached, name)
	}
	l.jobs++
	l.ended++
	if isPending(job.State) {
		l.ended = 0
	}
	l.cutOff = l.jobs >= jobsPerPage*awaited
	return !l.cutOff && (len(l.missing) > 0 || l.ended < jobsPerPage)
}

// finish ends a listing. ErrRefused behind other jobs fails none of those: it is
// said of jobs whose names no reference can hold.
func (l *listing) finish(err error, awaited int, now time.Time) {
	if l.jobs == 0 || !errors.Is(err, ErrRefused) {
		l.failed = err
	}
	for _, reached := range l.reached {
		close(reached)
	}
	l.reached = nil
	maps.DeleteFunc(l.statuses, func(_ string, s jobStatus) bool { return !isPending(s.state) })
	calls, perMinute := l.pages()+l.checks(), max(1, min(awaited, maxCallsPerMinute))
	l.awaited, l.madeAt = awaited, now
	l.goodFor = min(max(minGoodFor, time.Duration(calls)*time.Minute/time.Duration(perMinute)), maxGoodFor)
}

func (l *listing) pages() int { return (l.jobs + jobsPerPage - 1) / jobsPerPage }

// checks is how many of its answers are to be checked.
func (l *listing) checks() int { return (l.pages() + 3) / 4 }

// fresh reports whether the listing may still answer for a job. One that was cut
// off is made anew for jobs that it did not come to, once so many more are
// awaited that it can go twice as far.
func (l *listing) fresh(name string, awaited int, now time.Time) bool {
	if l == nil || now.Sub(l.madeAt) >= l.goodFor {
		return false
	}
	_, listed := l.statuses[name]
	return listed || !l.cutOff || awaited < 2*l.awaited
}

// stale reports whether the listing may not even answer while the next is made.
func (l *listing) stale(now time.Time) bool { return l == nil || now.Sub(l.madeAt) > 2*l.goodFor }

// status is what the listing says of a job, if anything.
func (l *listing) status(name string) (s jobStatus, ok bool) {
	if l != nil {
		s, ok = l.statuses[name]
	}
	return s, ok
}

// forget forgets a job that has ended.
func (l *listing) forget(name string) {
	if l != nil {
		delete(l.statuses, name)
		delete(l.missing, name)
	}
}
