package sls

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"

	"tallyman/fetch"
	"tallyman/fetch/internal/api"
	"tallyman/verify"
)

// How long a histogram is asked for until it is complete. Its calls cost money.
const (
	maxCounts    = 20
	firstWait    = 200 * time.Millisecond
	longestWait  = 5 * time.Second
	histogramAPI = "GetHistograms"
)

// Count implements fetch.Witness by the histogram of the log store and the query that the
// window's Group names. A query "S | select *" counts as S, and no other with a |. A count
// can only grow until it is complete, so that the greater one counts of the last two.
func (p *Provider) Count(ctx context.Context, w fetch.Window) (fetch.Count, error) {
	var count fetch.Count
	logStore, query, err := SplitGroup(w.Group)
	if err == nil {
		query, err = searchOf(query)
	}
	if err != nil {
		return count, fmt.Errorf("count %s in %s: %w", w.Group, w.Place, err)
	}
	parameters := url.Values{"type": {"histogram"}, "query": {query},
		"from": {fmt.Sprint(w.From.Unix())}, "to": {fmt.Sprint(w.To.Unix())}}.Encode()
	completed := false
	for wait := firstWait; ; {
		h, err := api.Retry(ctx, api.ServiceBackoff, histogramAPI, func() (*histogram, error) {
			return p.histogram(ctx, w.Place, logStore, parameters)
		})
		if err != nil {
			return count, err
		}
		count.Calls++
		count.Records, count.RequestID, count.Endpoint = max(h.records, count.Records), h.answer.RequestID, h.answer.Host
		switch {
		case h.complete && completed:
			return count, nil
		case count.Calls == maxCounts:
			return count, h.answer.Refusal("", fmt.Sprintf("the count is not complete after %d calls", maxCounts), fetch.ErrTemporary)
		case !h.complete:
			if err := fetch.Sleep(ctx, wait); err != nil {
				return count, fmt.Errorf("%s: %w", histogramAPI, err)
			}
			wait = min(2*wait, longestWait)
		}
		completed = completed || h.complete
	}
}

// histogram asks for one once. The service has two paths for it, and a place may know the
// older alone.
func (p *Provider) histogram(ctx context.Context, place fetch.Ref, logStore, parameters string) (*histogram, error) {
	if p.CountLimit != nil {
		if err := p.CountLimit.Wait(ctx); err != nil {
			if ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			return nil, fmt.Errorf("%s: %w", histogramAPI, err)
		}
	}
	path := "/logstores/" + url.PathEscape(logStore)
	if !p.olderPath.Load() {
		a, err := p.call(ctx, histogramAPI, place, path+"/index?"+parameters)
		refused, isRefusal := errors.AsType[*fetch.CallError](err)
		if !isRefusal || refused.Status != http.StatusNotFound || kinds[refused.Code] != nil {
			return readHistogram(a, err)
		}
	}
	h, err := readHistogram(p.call(ctx, histogramAPI, place, path+"?"+parameters))
	if err == nil {
		p.olderPath.Store(true)
	}
	return h, err
}

// A histogram is the answer to GetHistograms.
type histogram struct {
	records  int64
	complete bool
	answer   *api.Answer
}

// readHistogram reads an answer that is the error err or else the histogram. Its intervals
// must add up to the total in the header, if there is one.
func readHistogram(a *api.Answer, err error) (*histogram, error) {
	if err != nil {
		return nil, err
	}
	var intervals []struct {
		Count    api.LenientString `json:"count"`
		Progress api.LenientString `json:"progress"`
	}
	err = api.Unmarshal(a.Body, &intervals)
	total, progress := api.LenientString(a.Header.Get("X-Log-Count")), a.Header.Get("X-Log-Progress")
	h := &histogram{complete: progress == "" || isComplete(progress), answer: a}
	for _, i := range intervals {
		n := i.Count.Count()
		if n == verify.Unknown || n > math.MaxInt64-h.records {
			return nil, refusal(a, "", "the answer is not a histogram: "+a.Excerpt())
		}
		h.records += n
		h.complete = h.complete && isComplete(string(i.Progress))
	}
	switch {
	case err != nil || intervals == nil || len(intervals) == 0 && total == "":
		return nil, refusal(a, "", "the answer is not a histogram: "+a.Excerpt())
	case total != "" && total.Count() != h.records:
		return nil, refusal(a, "", fmt.Sprintf("the histogram has %d records, and its header says %s", h.records, api.OneLine(string(total))))
	}
	return h, nil
}

// isComplete reports whether all is counted. Any other word is taken for Incomplete.
func isComplete(progress string) bool {
	return strings.EqualFold(strings.TrimSpace(progress), "Complete")
}

// Countable implements fetch.Witness: rows are gone after the log store's ttl, and a
// histogram counts what is in the index, which may be younger or keep rows shorter.
func (p *Provider) Countable(ctx context.Context, w fetch.Window) (fetch.Countable, error) {
	logStore, _, err := SplitGroup(w.Group)
	if err != nil {
		return fetch.Countable{}, fmt.Errorf("count %s in %s: %w", w.Group, w.Place, err)
	}
	path := "/logstores/" + url.PathEscape(logStore)
	store, _, err := p.settings(ctx, "GetLogStore", w.Place, path)
	if err != nil {
		return fetch.Countable{}, err
	}
	index, a, err := p.settings(ctx, "GetIndex", w.Place, path+"/index")
	if err != nil {
		return fetch.Countable{}, err
	}
	now := time.Now()
	c := fetch.Countable{RequestID: a.RequestID}
	for _, limit := range []struct {
		since time.Time
		why   string
		gone  bool
	}{
		{store.kept(now), fmt.Sprintf("the log store keeps rows for %s days", store.TTL), true},
		{index.kept(now), fmt.Sprintf("its index keeps rows for %s days", index.TTL), false},
		{index.Modified.Seconds(), "its index was made or changed on " + index.Modified.Seconds().Format("2006-01-02 15:04 MST"), false},
	} {
		if limit.since.After(c.Since) {
			c.Since, c.Why, c.Gone = limit.since, limit.why, limit.gone
		}
	}
	return c, nil
}

// settings are those of a log store, or of its index.
type settings struct {
	TTL      api.LenientString `json:"ttl"`            // days
	Modified api.LenientString `json:"lastModifyTime"` // seconds since 1970
}

// forever is the ttl of what is kept for ever.
const forever = 3650

// kept returns since when rows are kept, or the zero time if all are.
func (s *settings) kept(now time.Time) time.Time {
	if days := s.TTL.Count(); days > 0 && days < forever {
		return now.Add(-time.Duration(days) * 24 * time.Hour)
	}
	return time.Time{}
}

func (p *Provider) settings(ctx context.Context, name string, place fetch.Ref, path string) (*settings, *api.Answer, error) {
	a, err := api.Retry(ctx, api.ServiceBackoff, name, func() (*api.Answer, error) { return p.call(ctx, name, place, path) })
	if err != nil {
		return nil, nil, err
	}
	s := new(settings)
	if err := api.Unmarshal(a.Body, s); err != nil || s.TTL == "" && s.Modified == "" {
		return nil, nil, refusal(a, "", "the answer has no ttl: "+a.Excerpt())
	}
	return s, a, nil
}
