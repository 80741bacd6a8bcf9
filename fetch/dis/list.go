package dis

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

// List implements fetch.Lister: it names the files that a dump task delivered,
// page by page as they are ranged over, newest first, and ends behind the first
// page that is all older than since. Each is named once, however pages shift
// while files come. One whose time can't be read is one since any time.
//
// Files whose names no reference can hold are one error that names them, behind
// all others. Any other error ends the listing.
func (p *Provider) List(ctx context.Context, place fetch.Ref, since time.Time) iter.Seq2[fetch.Listed, error] {
	return func(yield func(fetch.Listed, error) bool) {
		if place.Scheme() != "dis" || !place.IsPlace() {
			yield(fetch.Listed{}, fmt.Errorf("list %s: not a place of DIS: want dis://REGION/TASK_ID/", place))
			return
		}
		l := &listing{place: place, since: since.Truncate(time.Second)}
		for page, err := range p.pages(ctx, place) {
			if err != nil {
				yield(fetch.Listed{}, err)
				return
			}
			files, older := l.listed(page)
			for _, file := range files {
				if !yield(file, nil) {
					return
				}
			}
			if older {
				break
			}
		}
		if len(l.nameless) > 0 {
			yield(fetch.Listed{}, l.unnamed())
		}
	}
}

// A listing is the files of a place since some time.
type listing struct {
	place    fetch.Ref
	since    time.Time
	nameless []string // names of files that no reference can hold
}

// listed are those files of a page that are meant, and whether all that is on
// it is older.
func (l *listing) listed(p *page) (files []fetch.Listed, older bool) {
	older = len(p.rows) > 0
	for _, r := range p.rows {
		created := r.created()
		if !created.IsZero() && created.Before(l.since) {
			continue
		}
		older = false
		ref, err := l.place.Job(string(r.File))
		if err != nil {
			l.nameless = append(l.nameless, api.OneLine(strconv.Quote(string(r.File))))
			continue
		}
		files = append(files, fetch.Listed{Ref: ref, State: r.state(), Status: r.status(), Created: created})
	}
	return files, older
}

// shown is how many names an error shows.
const shown = 10

func (l *listing) unnamed() error {
	names := l.nameless[:min(len(l.nameless), shown)]
	if len(l.nameless) > shown {
		names = append(names[:shown:shown], "…")
	}
	return &fetch.CallError{Call: logCall, Kind: fetch.ErrRefused,
		Message: fmt.Sprintf("names of files that no reference can hold (%d): %s", len(l.nameless), strings.Join(names, ", "))}
}
