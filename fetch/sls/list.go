package sls

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/internal/api"
	"tallyman/fetch/internal/joblist"
)

const (
	listCall = "ListDownloadJobs"
	pageSize = 100
)

// List implements fetch.Lister: it names the download jobs of a project, page
// by page as they are ranged over, in the service's order. Each job is named
// once, however pages shift while jobs come and go. A job whose createTime
// can't be read is since any time.
//
// Jobs whose names no reference can hold are one error that names them, behind
// all others. Any other error ends the listing.
func (p *Provider) List(ctx context.Context, place fetch.Ref, since time.Time) iter.Seq2[fetch.Listed, error] {
	l := joblist.Listing{Form: "sls://REGION/PROJECT/", Call: listCall, Names: "names of jobs", Place: place, Since: since}
	pages := joblist.Pages(func() (func() (*page, error), func(*page) (bool, error)) {
		w := &walk{Walk: joblist.NewWalk("jobs")}
		return func() (*page, error) {
			return api.Retry(ctx, api.ServiceBackoff, listCall, func() (*page, error) {
				a, err := p.call(ctx, listCall, place, fmt.Sprintf("/downloadjobs?offset=%d&size=%d", w.offset, pageSize))
				if err != nil {
					return nil, err
				}
				page := &page{answer: a}
				if err := api.Unmarshal(a.Body, page); err != nil || page.Results == nil && page.Total != "0" {
					return nil, refusal(a, "", "the answer is not a list of download jobs: "+a.Excerpt())
				}
				return page, nil
			})
		}, w.take
	})
	return joblist.Jobs(l, pages, func(p *page) (jobs []joblist.Job) {
		for _, j := range p.Results {
			jobs = append(jobs, joblist.Job{
				Name: string(j.Name), State: states[strings.ToUpper(string(j.Status))],
				Status: api.OneLine(string(j.Status)), Created: j.CreateTime.Seconds(),
			})
		}
		return jobs
	})
}

// A page is an answer of ListDownloadJobs.
type page struct {
	Total   api.LenientString `json:"total"`
	Results []listedJob       `json:"results"`

	answer *api.Answer
}

// A walk goes through the pages of a list by offset.
type walk struct {
	*joblist.Walk
	offset int64
}

// maxAhead is how far the offset may be ahead of the jobs that were seen: more
// than come while a list is walked.
const maxAhead = 3 * pageSize

// take takes in the page at the offset, leaves on it what is new, and moves on.
// There is more unless the page was empty, or short and at the end by the total.
// If the service repeats the same jobs, and those are not all, it fails.
func (w *walk) take(p *page) (more bool, err error) {
	n, total := int64(len(p.Results)), p.Total.Count()
	w.SetTotal(total)
	p.Results = slices.DeleteFunc(p.Results, func(j listedJob) bool { return !w.New(string(j.Name)) })
	w.offset += n
	stuck := len(p.Results) == 0 && w.offset-w.Seen() >= maxAhead
	if err := w.Check(p.answer, stuck); err != nil || stuck {
		return false, err
	}
	if n >= pageSize || n > 0 && w.offset != total {
		return true, nil
	}
	if more = w.Rewalk(); more {
		w.offset = 0
	}
	return more, nil
}
