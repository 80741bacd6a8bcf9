package dbs

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strconv"

	"tallyman/fetch"
	"tallyman/fetch/internal/acs"
	"tallyman/fetch/internal/api"
	"tallyman/verify"
)

const pageSize = 50

// A page is the Data of an answer of DescribeDownloadTask.
type page struct {
	TotalPages    api.LenientString
	TotalElements api.LenientString
	Content       content

	answer *api.Answer
	tasks  []*task
}

// content is the tasks of a page, which the service has as a list, or as a
// List of its own.
type content struct {
	told  bool
	tasks []json.RawMessage
}

// UnmarshalJSON takes any value.
func (c *content) UnmarshalJSON(b []byte) error {
	var inner struct{ List []json.RawMessage }
	switch {
	case string(b) == "null":
	case json.Unmarshal(b, &c.tasks) == nil:
		c.told = true
	case json.Unmarshal(b, &inner) == nil:
		c.tasks, c.told = inner.List, true
	}
	return nil
}

// An asker asks for one page of an instance's tasks.
type asker func(ctx context.Context, place fetch.Ref, number int64) (*page, error)

// page asks for a page, once.
func (p *Provider) page(ctx context.Context, place fetch.Ref, number int64) (*page, error) {
	told := new(page)
	a, err := p.call(ctx, tasksCall, place.Parts()[0], map[string]string{
		"InstanceName": place.Parts()[1],
		"PageSize":     strconv.Itoa(pageSize), "CurrentPage": strconv.FormatInt(number, 10),
		"OrderColumn": "gmt_create", "OrderDirect": "desc",
	}, told)
	if err != nil {
		return nil, err
	}
	if !told.Content.told && told.TotalElements != "0" {
		return nil, a.Refusal("", "the answer is not a list of download tasks: "+a.Excerpt(), fetch.ErrTemporary)
	}
	told.answer = a
	for _, text := range told.Content.tasks {
		told.tasks = append(told.tasks, readTask(a, text))
	}
	return told, nil
}

// patiently asks for a page, a few times if it must.
func (p *Provider) patiently(ctx context.Context, place fetch.Ref, number int64) (*page, error) {
	return api.Retry(ctx, api.ServiceBackoff, tasksCall, func() (*page, error) { return p.page(ctx, place, number) })
}

// hastily is patient only where there is something to lose: the pages before.
func (p *Provider) hastily(ctx context.Context, place fetch.Ref, number int64) (*page, error) {
	if number == 1 {
		return p.page(ctx, place, number)
	}
	return p.patiently(ctx, place, number)
}

// read decodes the Data of an answer. It goes by Success alone, which may be
// text: a success may well have the code and the message of an error.
func read(a *api.Answer, data any) error {
	var said struct {
		Success api.LenientString
		Data    json.RawMessage
	}
	if err := api.Unmarshal(a.Body, &said); err != nil || !said.Success.True() {
		return acs.Refusal(a)
	}
	if said.Data != nil {
		_ = api.Unmarshal(said.Data, data) // it is JSON, or the answer would be none
	}
	return nil
}

// pages are those of an instance's tasks, newest first, each without the tasks
// that were on one before.
func (p *Provider) pages(ctx context.Context, place fetch.Ref, ask asker) iter.Seq2[*page, error] {
	return func(yield func(*page, error) bool) {
		w := walk{number: 1, total: verify.Unknown, seen: map[string]bool{}, again: mostAgain}
		for more := true; more; {
			page, err := ask(ctx, place, w.number)
			if err == nil {
				more, err = w.step(page)
			}
			if !yield(page, err) || err != nil {
				return
			}
		}
	}
}

// A walk goes through the pages of a list that changes meanwhile. New tasks come
// first and push others to a later page, where they are seen again. Tasks that
// go pull others to a page that was seen already: then the list is walked
// again.
type walk struct {
	number   int64 // of the page that is next
	furthest int64 // page that was walked
	told     int64 // tasks on the pages of this way through
	total    int64 // as told last, or verify.Unknown; it need not be true
	seen     map[string]bool
	stale    int  // pages in a row, none walked before, that had no new task
	fell     bool // the total did, on this way through
	again    int  // times that the list is walked yet
}

const (
	mostAgain = 2
	mostStale = 3 // more than tasks come while the list is walked
)

// step takes in the page that was next, leaves on it what is new, and moves on.
// There is more unless the page was empty, or short and by both totals the
// last: each may be missing or wrong. A service that tells of the same tasks
// again and again, and not of all, is an error.
func (w *walk) step(p *page) (more bool, err error) {
	n, total, number := int64(len(p.tasks)), p.TotalElements.Count(), w.number
	w.fell = w.fell || total != verify.Unknown && total < w.total
	w.total = total
	w.told += n
	w.number++
	w.drop(p, number)
	seen := int64(len(w.seen))
	switch {
	case seen > api.MaxJobs:
		return false, p.answer.Refusal("", fmt.Sprintf("more than %d tasks", api.MaxJobs), fetch.ErrRefused)
	case w.stale == mostStale && seen < total:
		return false, p.answer.Refusal("", fmt.Sprintf("the same %d tasks of %d again and again", seen, total), fetch.ErrRefused)
	case w.stale == mostStale:
		return false, nil
	case n >= pageSize || n > 0 && (w.told != total || number < p.TotalPages.Count()):
		return true, nil
	case w.fell && w.again > 0:
		w.number, w.told, w.fell, w.again = 1, 0, false, w.again-1
		return true, nil
	}
	return false, nil
}

// drop drops the tasks from a page that were seen before.
func (w *walk) drop(p *page, number int64) {
	any := len(p.tasks) > 0
	p.tasks = slices.DeleteFunc(p.tasks, func(t *task) bool {
		was := w.seen[string(t.ID)]
		w.seen[string(t.ID)] = true
		return was
	})
	switch {
	case len(p.tasks) > 0:
		w.stale = 0
	case any && number > w.furthest:
		w.stale++
	}
	w.furthest = max(w.furthest, number)
}
