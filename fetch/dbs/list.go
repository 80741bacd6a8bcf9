package dbs

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/internal/api"
)

// List implements fetch.Lister: it names the download tasks of an instance,
// page by page as they are ranged over, newest first, and asks for no page
// behind one that ends before since. Each is named once, however pages shift
// while tasks come and go. A task whose time of creation can't be read is one
// since any time.
//
// Tasks whose IDs no reference can hold are one error that names them, behind
// all others. Any other error ends the listing.
func (p *Provider) List(ctx context.Context, place fetch.Ref, since time.Time) iter.Seq2[fetch.Listed, error] {
	return func(yield func(fetch.Listed, error) bool) {
		if place.Scheme() != "dbs" || !place.IsPlace() {
			yield(fetch.Listed{}, fmt.Errorf("list %s: not a place of DBS: want dbs://REGION/INSTANCE/", place))
			return
		}
		l := &listing{place: place, since: since.Truncate(time.Second)}
		for page, err := range p.pages(ctx, place, p.patiently) {
			if err != nil {
				yield(fetch.Listed{}, err)
				return
			}
			for _, task := range l.listed(page) {
				if !yield(task, nil) {
					return
				}
			}
			if page.endsBefore(l.since) {
				break
			}
		}
		if len(l.nameless) > 0 {
			yield(fetch.Listed{}, l.unnamed())
		}
	}
}

// endsBefore reports whether all that follows the page is older: where the
// service keeps the order that it was asked for, and has come to what is older.
func (p *page) endsBefore(since time.Time) bool {
	var times []time.Time
	for _, t := range p.tasks {
		if created := timeOf(t.GmtCreate); !created.IsZero() {
			times = append(times, created)
		}
	}
	ordered := slices.IsSortedFunc(times, func(a, b time.Time) int { return b.Compare(a) })
	return ordered && len(times) > 0 && times[len(times)-1].Before(since)
}

// A listing is the tasks of a place since some time.
type listing struct {
	place    fetch.Ref
	since    time.Time
	nameless []string // IDs that no reference can hold
}

// listed are those tasks of a page that are meant.
func (l *listing) listed(p *page) (tasks []fetch.Listed) {
	for _, t := range p.tasks {
		created := timeOf(t.GmtCreate)
		if !created.IsZero() && created.Before(l.since) {
			continue
		}
		ref, err := l.place.Job(string(t.ID))
		if err != nil {
			l.nameless = append(l.nameless, api.OneLine(strconv.Quote(string(t.ID))))
			continue
		}
		tasks = append(tasks, fetch.Listed{Ref: ref, State: t.state(), Status: api.OneLine(string(t.DownloadStatus)), Created: created})
	}
	return tasks
}

// shown is how many IDs an error shows.
const shown = 10

func (l *listing) unnamed() error {
	ids := l.nameless[:min(len(l.nameless), shown)]
	if len(l.nameless) > shown {
		ids = append(ids[:shown:shown], "…")
	}
	return &fetch.CallError{Call: tasksCall, Kind: fetch.ErrRefused,
		Message: fmt.Sprintf("IDs of tasks that no reference can hold (%d): %s", len(l.nameless), strings.Join(ids, ", "))}
}
