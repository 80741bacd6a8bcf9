package sls

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/internal/api"
)

// List implements fetch.Lister: it names the download jobs of a project, page
// by page as they are ranged over, in the service's order. Each is named once,
// however pages shift while jobs come and go. A job whose time of creation
// can't be read is one since any time.
//
// Jobs whose names no reference can hold are one error that names them, behind
// all others. Any other error ends the listing.
func (p *Provider) List(ctx context.Context, place fetch.Ref, since time.Time) iter.Seq2[fetch.Listed, error] {
	return func(yield func(fetch.Listed, error) bool) {
		if place.Scheme() != "sls" || !place.IsPlace() {
			yield(fetch.Listed{}, fmt.Errorf("list %s: not a place of SLS: want sls://REGION/PROJECT/", place))
			return
		}
		l := &listing{place: place, since: since.Truncate(time.Second)}
		for page, err := range p.pages(ctx, place) {
			if err != nil {
				yield(fetch.Listed{}, err)
				return
			}
			for _, job := range l.listed(page) {
				if !yield(job, nil) {
					return
				}
			}
		}
		if len(l.nameless) > 0 {
			yield(fetch.Listed{}, l.unnamed())
		}
	}
}

// A listing is the jobs of a place since some time.
type listing struct {
	place    fetch.Ref
	since    time.Time
	nameless []string // names of jobs that no reference can hold
}

// listed are those jobs of a page that are meant.
func (l *listing) listed(p *page) (jobs []fetch.Listed) {
	for _, j := range p.Results {
		created := j.CreateTime.Seconds()
		if !created.IsZero() && created.Before(l.since) {
			continue
		}
		ref, err := l.place.Job(string(j.Name))
		if err != nil {
			l.nameless = append(l.nameless, api.OneLine(strconv.Quote(string(j.Name))))
			continue
		}
		jobs = append(jobs, fetch.Listed{Ref: ref, State: j.state(), Status: api.OneLine(string(j.Status)), Created: created})
	}
	return jobs
}

// shown is how many names an error shows.
const shown = 10

func (l *listing) unnamed() error {
	names := l.nameless[:min(len(l.nameless), shown)]
	if len(l.nameless) > shown {
		names = append(names[:shown:shown], "…")
	}
	return &fetch.CallError{Call: listCall, Kind: fetch.ErrRefused,
		Message: fmt.Sprintf("names of jobs that no reference can hold (%d): %s", len(l.nameless), strings.Join(names, ", "))}
}
