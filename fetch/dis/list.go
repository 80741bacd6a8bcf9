package dis

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"iter"
	"slices"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/internal/api"
	"tallyman/fetch/internal/joblist"
	"tallyman/verify"
)

const logCall = "ShowTransferTaskLog"

// List implements fetch.Lister: it names the files that a dump task delivered,
// page by page as they are ranged over, newest first, and ends behind the first
// page that is all older than since. Each file is named once, however pages shift
// while files come. A file whose time can't be read is since any time.
//
// Files whose names no reference can hold are one error that names them, behind
// all others. Any other error ends the listing.
func (p *Provider) List(ctx context.Context, place fetch.Ref, since time.Time) iter.Seq2[fetch.Listed, error] {
	isOlder := func(page []joblist.Job, since time.Time) bool {
		return len(page) > 0 && !slices.ContainsFunc(page, func(j joblist.Job) bool { return j.Created.IsZero() || !j.Created.Before(since) })
	}
	l := joblist.Listing{Form: "dis://REGION/TASK_ID/", Call: logCall, Names: "names of files", Place: place, Since: since, Last: isOlder}
	return joblist.Jobs(l, p.pages(ctx, place), func(p *page) (jobs []joblist.Job) {
		for _, r := range p.rows {
			jobs = append(jobs, joblist.Job{Name: string(r.File), State: r.state(), Status: r.status(), Created: r.created()})
		}
		return jobs
	})
}

// A page of a dump task's log, newest first.
type page struct {
	rows   []*row
	total  int64 // rows of the log, or verify.Unknown; it need not be true
	answer *api.Answer
}

// A pageRequest asks for a page. pageTotal is the size of a page. In the vendor's
// sample pageInfo is a list, in its documentation an object.
type pageRequest struct {
	Order    string   `json:"order"`
	SortBy   string   `json:"sortBy"`
	PageInfo pageInfo `json:"pageInfo"`
}

type pageInfo struct {
	Index int `json:"pageIndex"`
	Size  int `json:"pageTotal"`
}

// pages yields the pages of a task's log, each without the rows that were on one
// before. The first is asked for once; the others with retry, since what was
// learned until then would be lost.
func (p *Provider) pages(ctx context.Context, place fetch.Ref) iter.Seq2[*page, error] {
	return joblist.Pages(func() (func() (*page, error), func(*page) (bool, error)) {
		w := &walk{Walk: joblist.NewWalk("rows"), index: 1, size: cmp.Or(p.PageSize, 100)}
		ask := func() (*page, error) {
			a, err := p.send(ctx, call{
				name: logCall, region: place.Parts()[0], path: []string{"v1", "transfertasklog", place.Parts()[1]},
				body: pageRequest{"desc", "createTimeStr", pageInfo{w.index, w.size}},
			})
			if err != nil {
				return nil, err
			}
			total, texts, ok := readRows(a)
			if !ok {
				return nil, refusal(a, "", "the answer is not a log of transfers: "+a.Excerpt())
			}
			page := &page{total: total.Count(), answer: a}
			for _, text := range texts {
				r := new(row)
				if api.Unmarshal(text, r) != nil || *r == (row{}) {
					continue
				}
				own := *a
				own.Body = text
				r.answer = &own
				page.rows = append(page.rows, r)
			}
			return page, nil
		}
		return func() (*page, error) {
			if w.index == 1 {
				return ask()
			}
			return api.Retry(ctx, api.ServiceBackoff, logCall, ask)
		}, w.take
	})
}

// readRows reads the rows of a page: transferTaskLogList is a list, one row
// without a list around it, or null. It may be missing if totalNum is 0.
func readRows(a *api.Answer) (total api.LenientString, rows []json.RawMessage, ok bool) {
	var log struct {
		Total api.LenientString `json:"totalNum"`
		Rows  json.RawMessage   `json:"transferTaskLogList"`
	}
	err := api.Unmarshal(a.Body, &log)
	switch text := bytes.TrimSpace(log.Rows); {
	case len(text) == 0:
		ok = log.Total == "0"
	case string(text) == "null":
		ok = true
	case text[0] == '{':
		rows, ok = []json.RawMessage{text}, true
	default:
		ok = json.Unmarshal(text, &rows) == nil
	}
	return log.Total, rows, ok && err == nil
}

// A walk goes through the pages of a log that grows meanwhile.
type walk struct {
	*joblist.Walk
	index int // of the next page
	size  int // rows of a page, as asked for
	got   int64
	stale int // pages in a row that brought nothing new
}

// maxStale is more pages than rows fill that come while a page is asked for.
const maxStale = 3

// take takes in a page, leaves on it what is new, and moves on. There is more
// unless the page was empty, or short and by the total the last. If the service
// repeats the same rows, and those are not all, it fails.
func (w *walk) take(p *page) (more bool, err error) {
	n := len(p.rows)
	w.SetTotal(p.total)
	w.got += int64(n)
	w.index++
	p.rows = slices.DeleteFunc(p.rows, func(r *row) bool { return !w.New(cmp.Or(string(r.File), string(r.answer.Body))) })
	w.stale++
	if len(p.rows) > 0 {
		w.stale = 0
	}
	ended := n == 0 || n < w.size && p.total != verify.Unknown && w.got >= p.total
	stuck := !ended && w.stale == maxStale
	err = w.Check(p.answer, stuck)
	return err == nil && !ended && !stuck, err
}
