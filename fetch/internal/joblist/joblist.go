// Package joblist holds what listing the jobs of a place has in common: jobs come
// page by page from a list that changes meanwhile, each is to be named once, and
// the listing is to end. How a page is asked for and where the list ends differs
// by service.
package joblist

import (
	"fmt"
	"hash/maphash"
	"iter"
	"strconv"
	"strings"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/internal/api"
	"tallyman/verify"
)

// A Listing is a listing of one place.
type Listing struct {
	Form  string // of its places: "sls://REGION/PROJECT/"
	Call  string // its name in errors: "ListDownloadJobs"
	Names string // what names a job, for errors: "names of jobs"
	Place fetch.Ref
	Since time.Time // leave out jobs that were created before, to the second

	// Last reports whether all pages behind one are older than since, so that
	// they need not be asked for. nil asks for all.
	Last func(page []Job, since time.Time) bool
}

// A Job is one job on a page.
type Job struct {
	Name    string // the last segment of its reference
	State   fetch.State
	Status  string    // the service's word, fit to print
	Created time.Time // zero if it can't be read: then it is since any time
	Life    fetch.Lifetime
}

// maxNamed is how many names an error shows.
const maxNamed = 10

// Jobs yields the jobs of the pages, where jobsOf returns those of one page. Jobs
// whose names no reference can hold are one ErrRefused that names some of them,
// behind all others. Any other error ends the listing; a place of another service is
// one, and then no page is asked for.
func Jobs[P any](l Listing, pages iter.Seq2[P, error], jobsOf func(P) []Job) iter.Seq2[fetch.Listed, error] {
	since := l.Since.Truncate(time.Second)
	return func(yield func(fetch.Listed, error) bool) {
		if scheme, _, _ := strings.Cut(l.Form, ":"); l.Place.Scheme() != scheme || !l.Place.IsPlace() {
			yield(fetch.Listed{}, fmt.Errorf("list %s: not a place of %s: want %s", l.Place, strings.ToUpper(scheme), l.Form))
			return
		}
		var unnameable []string
		for page, err := range pages {
			if err != nil {
				yield(fetch.Listed{}, err)
				return
			}
			jobs := jobsOf(page)
			for _, job := range jobs {
				if !job.Created.IsZero() && job.Created.Before(since) {
					continue
				}
				ref, err := l.Place.Job(job.Name)
				if err != nil {
					unnameable = append(unnameable, api.OneLine(strconv.Quote(job.Name)))
					continue
				}
				if !yield(fetch.Listed{Ref: ref, State: job.State, Status: job.Status, Created: job.Created, Life: job.Life}, nil) {
					return
				}
			}
			if l.Last != nil && l.Last(jobs, since) {
				break
			}
		}
		if len(unnameable) > 0 {
			shown := unnameable
			if len(unnameable) > maxNamed {
				shown = append(unnameable[:maxNamed:maxNamed], "…")
			}
			yield(fetch.Listed{}, &fetch.CallError{Call: l.Call, Kind: fetch.ErrRefused,
				Message: fmt.Sprintf("%s that no reference can hold (%d): %s", l.Names, len(unnameable), strings.Join(shown, ", "))})
		}
	}
}

// Pages yields page after page of a list. start begins a walk through it, anew each
// time that the pages are ranged over. ask asks for the walk's next page, and take
// takes that in, leaves on it what is new, and reports whether there are more. Any
// error ends it.
func Pages[P any](start func() (ask func() (P, error), take func(P) (more bool, err error))) iter.Seq2[P, error] {
	return func(yield func(P, error) bool) {
		ask, take := start()
		for more := true; more; {
			page, err := ask()
			if err == nil {
				more, err = take(page)
			}
			if !yield(page, err) || err != nil {
				return
			}
		}
	}
}

const (
	maxJobs    = 1_000_000 // no place has so many
	maxRewalks = 2
)

// A Walk remembers what was seen on the pages of a list that changes meanwhile.
// New jobs come first and push others to a later page, where they are seen
// again. Jobs that go pull others to a page that was asked for already: then the
// list is walked again.
type Walk struct {
	noun    string
	seed    maphash.Seed
	seen    map[uint64]struct{} // hashes of the names: see New
	total   int64
	shrank  bool // the total did, on this way through
	rewalks int
}

// NewWalk begins a walk through a list of what the noun says, for errors: "jobs".
func NewWalk(noun string) *Walk {
	return &Walk{noun: noun, seed: maphash.MakeSeed(), seen: map[uint64]struct{}{}, total: verify.Unknown}
}

// New reports whether a job is seen for the first time. In one of forty million listings
// of a million jobs it takes one for another, since it remembers 64 bits of each; the next
// listing, which hashes otherwise, shows that one.
func (w *Walk) New(name string) bool {
	before := len(w.seen)
	w.seen[maphash.String(w.seed, name)] = struct{}{}
	return len(w.seen) > before
}

// Seen returns how many jobs were seen.
func (w *Walk) Seen() int64 { return int64(len(w.seen)) }

// SetTotal takes in how many jobs a page says there are, or verify.Unknown. It
// need not be true.
func (w *Walk) SetTotal(total int64) {
	w.shrank = w.shrank || total != verify.Unknown && total < w.total
	w.total = total
}

// Rewalk reports whether, at the end of the list, it is to be walked once more.
func (w *Walk) Rewalk() bool {
	if !w.shrank || w.rewalks == maxRewalks {
		return false
	}
	w.shrank = false
	w.rewalks++
	return true
}

// Check fails if there are too many jobs, or if the walk is stuck on jobs that
// were seen before, and those are not all.
func (w *Walk) Check(a *api.Answer, stuck bool) error {
	switch seen := w.Seen(); {
	case seen > maxJobs:
		return a.Refusal("", fmt.Sprintf("more than %d %s", maxJobs, w.noun), fetch.ErrRefused)
	case stuck && seen < w.total:
		return a.Refusal("", fmt.Sprintf("the same %d %s of %d again and again", seen, w.noun, w.total), fetch.ErrRefused)
	}
	return nil
}
