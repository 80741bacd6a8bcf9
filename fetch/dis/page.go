package dis

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"

	"tallyman/fetch"
	"tallyman/fetch/internal/api"
	"tallyman/verify"
)

const logCall = "ShowTransferTaskLog"

// A page of a dump task's log, newest first.
type page struct {
	rows   []*row
	total  int64 // rows of the log, or verify.Unknown; it need not be true
	answer *api.Answer
}

// pageRequest asks for a page. The vendor's sample has a list for pageInfo, its
// page an object, in which pageTotal is the size of a page.
type pageRequest struct {
	Order    string   `json:"order"`
	SortBy   string   `json:"sortBy"`
	PageInfo pageInfo `json:"pageInfo"`
}

type pageInfo struct {
	Index int `json:"pageIndex"`
	Size  int `json:"pageTotal"`
}

// pages are those of a task's log, each without the rows that were on one
// before. The first is asked for once; the others a few times if need be,
// since what was learned until then would be lost.
func (p *Provider) pages(ctx context.Context, place fetch.Ref) iter.Seq2[*page, error] {
	return func(yield func(*page, error) bool) {
		w := walk{index: 1, size: p.pageSize(), seen: map[string]bool{}}
		for more := true; more; {
			page, err := p.page(ctx, place, w.index)
			if err == nil {
				more, err = w.step(page)
			}
			if !yield(page, err) || err != nil {
				return
			}
		}
	}
}

func (p *Provider) page(ctx context.Context, place fetch.Ref, index int) (*page, error) {
	ask := func() (*page, error) {
		a, err := p.ask(ctx, call{
			name: logCall, region: place.Parts()[0], path: []string{"v1", "transfertasklog", place.Parts()[1]},
			body: pageRequest{"desc", "createTimeStr", pageInfo{index, p.pageSize()}},
		})
		if err != nil {
			return nil, err
		}
		return readPage(a)
	}
	if index == 1 {
		return ask()
	}
	return api.Retry(ctx, api.ServiceBackoff, logCall, ask)
}

// list is what holds the rows: a list, one row as it is, or null.
type list struct {
	Total api.LenientString `json:"totalNum"`
	Rows  json.RawMessage   `json:"transferTaskLogList"`
}

func readPage(a *api.Answer) (*page, error) {
	var l list
	err := api.Unmarshal(a.Body, &l)
	texts, ok := l.texts()
	if err != nil || !ok {
		return nil, refusal(a, "", "the answer is not a log of transfers: "+a.Excerpt())
	}
	p := &page{total: l.Total.Count(), answer: a}
	for _, text := range texts {
		if r, ok := readRow(a, text); ok {
			p.rows = append(p.rows, r)
		}
	}
	return p, nil
}

func hasRows(a *api.Answer) bool {
	var l list
	texts, ok := []json.RawMessage(nil), false
	if api.Unmarshal(a.Body, &l) == nil {
		texts, ok = l.texts()
	}
	return ok && len(texts) > 0
}

func (l list) texts() (texts []json.RawMessage, ok bool) {
	switch text := bytes.TrimSpace(l.Rows); {
	case len(text) == 0:
		return nil, l.Total == "0"
	case string(text) == "null":
		return nil, true
	case text[0] == '{':
		return []json.RawMessage{text}, true
	default:
		return texts, json.Unmarshal(text, &texts) == nil
	}
}

// A walk goes through the pages of a log that grows meanwhile: new rows come
// first and push others to a later page, where they are seen again.
type walk struct {
	index int
	size  int // rows of a page, as asked for
	got   int64
	seen  map[string]bool
	stale int // pages in a row that brought nothing new
}

// mostStale is how many pages in a row may bring nothing new: more rows than
// come while a page is asked for.
const mostStale = 3

// step takes in a page, leaves on it what is new, and moves on. There is more
// unless the page was empty, or short and at the end by the total. A service
// that tells of the same rows again and again, and not of all, is an error.
func (w *walk) step(p *page) (more bool, err error) {
	n := len(p.rows)
	w.got += int64(n)
	p.rows = slices.DeleteFunc(p.rows, w.again)
	w.stale++
	if len(p.rows) > 0 {
		w.stale = 0
	}
	seen := int64(len(w.seen))
	switch {
	case seen > api.MaxJobs:
		return false, p.answer.Refusal("", fmt.Sprintf("more than %d rows", api.MaxJobs), fetch.ErrRefused)
	case n == 0 || n < w.size && p.total != verify.Unknown && w.got >= p.total:
		return false, nil
	case w.stale == mostStale && seen < p.total:
		return false, p.answer.Refusal("", fmt.Sprintf("the same %d rows of %d again and again", seen, p.total), fetch.ErrRefused)
	}
	w.index++
	return w.stale < mostStale, nil
}

func (w *walk) again(r *row) bool {
	key := cmp.Or(string(r.File), string(r.answer.Body))
	was := w.seen[key]
	w.seen[key] = true
	return was
}
