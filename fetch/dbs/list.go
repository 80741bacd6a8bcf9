package dbs

import (
	"context"
	"encoding/json"
	"iter"
	"slices"
	"strconv"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/internal/api"
	"tallyman/fetch/internal/joblist"
)

// List implements fetch.Lister: it names the download tasks of an instance,
// page by page as they are ranged over, newest first, and asks for no page
// behind one that ends before since. Each task is named once, however pages
// shift while tasks come and go. A task whose GmtCreate can't be read is since
// any time.
//
// Tasks whose IDs no reference can hold are one error that names them, behind
// all others. Any other error ends the listing.
func (p *Provider) List(ctx context.Context, place fetch.Ref, since time.Time) iter.Seq2[fetch.Listed, error] {
	l := joblist.Listing{Form: "dbs://REGION/INSTANCE/", Call: tasksCall, Names: "IDs of tasks", Place: place, Since: since, Last: endsBefore}
	return joblist.Jobs(l, p.pages(ctx, place, true), (*page).jobs)
}

// endsBefore reports whether all tasks behind a page are older: the page is in
// the order that the service was asked for, and its last task is older.
func endsBefore(page []joblist.Job, since time.Time) bool {
	var times []time.Time
	for _, t := range page {
		if !t.Created.IsZero() {
			times = append(times, t.Created)
		}
	}
	ordered := slices.IsSortedFunc(times, func(a, b time.Time) int { return b.Compare(a) })
	return ordered && len(times) > 0 && times[len(times)-1].Before(since)
}

const pageSize = 50

// A page is the Data of an answer of DescribeDownloadTask.
type page struct {
	TotalPages    api.LenientString
	TotalElements api.LenientString
	Content       content

	answer *api.Answer
	tasks  []*task
}

// content is the tasks of a page: a list, or an object with the field List.
type content struct {
	isList bool
	tasks  []json.RawMessage
}

// UnmarshalJSON takes any value.
func (c *content) UnmarshalJSON(b []byte) error {
	var inner struct{ List []json.RawMessage }
	switch {
	case string(b) == "null":
	case json.Unmarshal(b, &c.tasks) == nil:
		c.isList = true
	case json.Unmarshal(b, &inner) == nil:
		c.tasks, c.isList = inner.List, true
	}
	return nil
}

func (p *page) jobs() (jobs []joblist.Job) {
	for _, t := range p.tasks {
		jobs = append(jobs, joblist.Job{
			Name: string(t.ID), State: t.state(), Status: api.OneLine(string(t.DownloadStatus)), Created: timeOf(t.GmtCreate), Life: t.life(),
		})
	}
	return jobs
}

// pages yields the pages of an instance's tasks, newest first, each without the
// tasks that were on one before. It asks for each with retry, or, if retryFirst is
// false, for all but the first: before that there is nothing to lose.
func (p *Provider) pages(ctx context.Context, place fetch.Ref, retryFirst bool) iter.Seq2[*page, error] {
	return joblist.Pages(func() (func() (*page, error), func(*page) (bool, error)) {
		w := &walk{Walk: joblist.NewWalk("tasks"), number: 1}
		ask := func() (*page, error) {
			page := new(page)
			a, err := p.call(ctx, tasksCall, place.Parts()[0], map[string]string{
				"InstanceName": place.Parts()[1],
				"PageSize":     strconv.Itoa(pageSize), "CurrentPage": strconv.FormatInt(w.number, 10),
				"OrderColumn": "gmt_create", "OrderDirect": "desc",
			}, page)
			if err != nil {
				return nil, err
			}
			if !page.Content.isList && page.TotalElements != "0" {
				return nil, a.Refusal("", "the answer is not a list of download tasks: "+a.Excerpt(), fetch.ErrTemporary)
			}
			page.answer = a
			for _, text := range page.Content.tasks {
				own := *a
				own.Body = text
				t := &task{answer: &own}
				_ = api.Unmarshal(text, t) // what can be read of it
				page.tasks = append(page.tasks, t)
			}
			return page, nil
		}
		return func() (*page, error) {
			if w.number == 1 && !retryFirst {
				return ask()
			}
			return api.Retry(ctx, api.ServiceBackoff, tasksCall, ask)
		}, w.take
	})
}

// A walk goes through the pages of a list by number.
type walk struct {
	*joblist.Walk
	number   int64 // of the next page
	furthest int64 // page that was asked for
	got      int64 // tasks on the pages of this way through
	stale    int   // pages in a row, asked for the first time, without a new task
}

// maxStale is more pages than tasks fill that come while the list is walked.
const maxStale = 3

// take takes in the next page, leaves on it what is new, and moves on. There is
// more unless the page was empty, or short and by both totals the last: each of
// them may be missing or wrong. If the service repeats the same tasks, and those
// are not all, it fails.
func (w *walk) take(p *page) (more bool, err error) {
	n, total, number := int64(len(p.tasks)), p.TotalElements.Count(), w.number
	w.SetTotal(total)
	w.got += n
	w.number++
	p.tasks = slices.DeleteFunc(p.tasks, func(t *task) bool { return !w.New(string(t.ID)) })
	switch {
	case len(p.tasks) > 0:
		w.stale = 0
	case n > 0 && number > w.furthest:
		w.stale++
	}
	w.furthest = max(w.furthest, number)
	stuck := w.stale == maxStale
	if err := w.Check(p.answer, stuck); err != nil || stuck {
		return false, err
	}
	if n >= pageSize || n > 0 && (w.got != total || number < p.TotalPages.Count()) {
		return true, nil
	}
	if more = w.Rewalk(); more {
		w.number, w.got = 1, 0
	}
	return more, nil
}
