package sls

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"tallyman/fetch"
	"tallyman/fetch/internal/api"
	"tallyman/verify"
)

const (
	listCall = "ListDownloadJobs"
	pageSize = 100
)

// A page is an answer of ListDownloadJobs.
type page struct {
	Total   api.LenientString `json:"total"`
	Results []job             `json:"results"`

	answer *api.Answer
}

// pages are those of a project's jobs, each without the jobs that were on one
// before.
func (p *Provider) pages(ctx context.Context, place fetch.Ref) iter.Seq2[*page, error] {
	return func(yield func(*page, error) bool) {
		w := walk{total: verify.Unknown, seen: map[string]bool{}, again: mostAgain}
		for more := true; more; {
			page, err := p.page(ctx, place, w.offset)
			if err == nil {
				more, err = w.step(page)
			}
			if !yield(page, err) || err != nil {
				return
			}
		}
	}
}

// page asks for a page, a few times if it must.
func (p *Provider) page(ctx context.Context, place fetch.Ref, offset int64) (*page, error) {
	return api.Retry(ctx, api.ServiceBackoff, listCall, func() (*page, error) {
		a, err := p.call(ctx, listCall, place, fmt.Sprintf("/downloadjobs?offset=%d&size=%d", offset, pageSize))
		if err != nil {
			return nil, err
		}
		return readPage(a)
	})
}

func readPage(a *api.Answer) (*page, error) {
	p := &page{answer: a}
	if err := api.Unmarshal(a.Body, p); err != nil || p.Results == nil && p.Total != "0" {
		return nil, refusal(a, "", "the answer is not a list of download jobs: "+a.Excerpt())
	}
	return p, nil
}

// A walk goes through the pages of a list that changes meanwhile. New jobs come
// first and push others to a later page, where they are seen again. Jobs that
// go pull others to a page that was seen already: then the list is walked
// again.
type walk struct {
	offset int64
	total  int64 // as told last, or verify.Unknown; it need not be true
	seen   map[string]bool
	fell   bool // the total did, on this way through
	again  int  // times that the list is walked yet
}

const (
	mostAgain = 2
	// mostAhead is how far the offset may be ahead of the jobs that were seen:
	// more than come while a list is walked.
	mostAhead = 3 * pageSize
)

// step takes in the page at the offset, leaves on it what is new, and moves on.
// There is more unless the page was empty, or short and at the end by the
// total. A service that tells of the same jobs again and again, and not of all,
// is an error.
func (w *walk) step(p *page) (more bool, err error) {
	total, n := p.Total.Count(), int64(len(p.Results))
	w.fell = w.fell || total != verify.Unknown && total < w.total
	w.total = total
	w.drop(p)
	w.offset += n
	seen := int64(len(w.seen))
	switch {
	case seen > api.MaxJobs:
		return false, p.answer.Refusal("", fmt.Sprintf("more than %d jobs", api.MaxJobs), fetch.ErrRefused)
	case len(p.Results) == 0 && w.offset-seen >= mostAhead && seen < total:
		return false, p.answer.Refusal("", fmt.Sprintf("the same %d jobs of %d again and again", seen, total), fetch.ErrRefused)
	case len(p.Results) == 0 && w.offset-seen >= mostAhead:
		return false, nil
	case n >= pageSize || n > 0 && w.offset != total:
		return true, nil
	case w.fell && w.again > 0:
		w.offset, w.fell, w.again = 0, false, w.again-1
		return true, nil
	}
	return false, nil
}

// drop drops the jobs from a page that were seen before.
func (w *walk) drop(p *page) {
	p.Results = slices.DeleteFunc(p.Results, func(j job) bool {
		was := w.seen[string(j.Name)]
		w.seen[string(j.Name)] = true
		return was
	})
}
