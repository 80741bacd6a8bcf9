package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/cmd/tallyman/internal/page"
	"tallyman/fetch"
	"tallyman/fetch/redact"
	"tallyman/verify/archive/catalog"
	"tallyman/worker"
)

// How much a list of exports has at once, and for how long it looks for what is rare.
const (
	listLimit = 50
	listTime  = 100 * time.Millisecond
)

// sumLists are what lists have, by the kinds of sums.
var sumLists = map[string]page.Query{
	"landed": {State: "landed"}, "doubts": {State: page.Doubts}, "waiting": {State: "waiting"}, "failed": {State: "failed", Open: true},
	"damaged": {State: "damaged,absent"},
}

// listedSums are the sums of a place, or of all if that is "", with the lists of the exports
// that they count.
func listedSums(place string, sums []page.Sum) []page.Sum {
	for i, sum := range sums {
		q, listed := sumLists[sum.Kind]
		switch {
		case listed:
			q.Place = place
			sums[i].List = q.Address()
		case place == "":
		case sum.Kind == "gap" || sum.Kind == "late":
			sums[i].List = page.CoverageAddress(place, "", nil)
		}
	}
	return sums
}

// Exports implements page.Source.
func (o *observer) Exports(ctx context.Context, q page.Query) (list page.ExportList, err error) {
	for _, cause := range worker.Causes() {
		list.Causes = append(list.Causes, string(cause))
	}
	err = o.ask(ctx, func(c *statusCommand) error {
		for p, err := range c.catalog.Places() {
			if err != nil {
				return err
			}
			if p.Name != "" {
				list.Places = append(list.Places, p.Name)
			}
		}
		filter, paging, err := parseQuery(q)
		if err != nil {
			return &page.QueryError{Err: err}
		}
		if !filter.Since.IsZero() {
			list.Since = filter.Since.UTC().Format(time.RFC3339)
		}
		if cause := worker.Cause(q.Cause); q.State == "failed" && slices.Contains(retryIsVain, cause) {
			list.Vain, list.Help = true, hintFor(cause, "", nil)
		}
		found, err := findExports(c.catalog, filter, paging)
		if err == nil {
			err = tellPage(&list, c.catalog, filter, paging, found)
		}
		return err
	})
	if _, ok := errors.AsType[*page.QueryError](err); ok {
		return list, err
	}
	return list, unsecret(err)
}

// findExports is the page of a list. A text that is the reference of an export finds that,
// and what landed of it once more.
func findExports(c *catalog.Catalog, f catalog.Filter, p catalog.Paging) (found catalog.Page, err error) {
	if f = byKey(c, f); f.Key == "" {
		return c.List(f, p)
	}
	f.Order, f.Desc, f.Limit = catalog.ByWhen, true, listLimit
	for e, err := range c.Exports(f) {
		if err != nil {
			return found, err
		}
		found.Exports = append(found.Exports, e)
	}
	return found, nil
}

// byKey is a filter that has the key in place of a text that is the reference of an export.
func byKey(c *catalog.Catalog, f catalog.Filter) catalog.Filter {
	ref, err := fetch.ParseRef(f.Name)
	if err == nil {
		_, err = c.Export(ref.Key())
	}
	if err == nil {
		f.Key, f.Name = ref.Key(), ""
	}
	return f
}

// tellPage tells of a page of a list, where the list goes on, and how long it is if that is known.
func tellPage(list *page.ExportList, c *catalog.Catalog, f catalog.Filter, p catalog.Paging, found catalog.Page) error {
	list.Looked = found.Looked
	behind, before := found.Next, &p.From // where the list goes on from its last export and from its first
	if p.From == (catalog.Position{}) {
		before = nil
	}
	if n := len(found.Exports); n > 0 && before != nil {
		before = new(found.Exports[0].Position())
		if p.Newer {
			before = new(found.Exports[n-1].Position())
		}
	}
	if p.Newer {
		behind, before = before, behind
	}
	for to, from := range map[*string]*catalog.Position{&list.Older: behind, &list.Newer: before} {
		if from != nil {
			*to = formatPosition(*from)
		}
	}
	for _, e := range found.Exports {
		list.Exports = append(list.Exports, listedExport(&e))
	}
	if f.Name != "" || !f.Since.IsZero() {
		return nil
	}
	total, err := c.Total(f)
	list.Total = &total
	return err
}

// listedExport is an export as a list shows it.
func listedExport(e *catalog.Export) page.Export {
	shown := page.Export{
		Ref: e.Ref, State: flagvalue.FormatPhase(e.Phase), Cause: e.Cause, Message: redact.Text(e.Message),
		Doubted: e.Open > 0, Failed: e.Accepted == nil && (e.Phase == catalog.Failed || e.Phase == catalog.Damaged || e.Phase == catalog.Absent),
	}
	if !e.When.IsZero() {
		shown.When = &e.When
	}
	if !e.Landed.IsZero() {
		if shown.Bytes = flagvalue.FormatSize(e.Bytes); e.Bytes < 0 {
			shown.Bytes = ""
		}
		if e.Records >= 0 {
			shown.Records = &e.Records
		}
	}
	for _, doubt := range e.Doubts {
		shown.Doubts = append(shown.Doubts, redact.Text(doubt))
	}
	if e.Accepted != nil {
		shown.Accepted = redact.Text(cmp.Or(e.Accepted.Reason, e.Accepted.By))
	}
	return shown
}

// parseQuery is a query as the catalog understands it.
func parseQuery(q page.Query) (f catalog.Filter, p catalog.Paging, err error) {
	f = catalog.Filter{Name: q.Text, Unaccepted: q.Open}
	p = catalog.Paging{Limit: listLimit, Time: listTime}
	if q.Place != "" {
		f.Places = []string{q.Place}
	}
	if q.Cause != "" {
		f.Causes = []string{q.Cause}
	}
	if q.State == page.Doubts {
		f.Doubts = true
	} else if q.State != "" {
		if f.Phases, err = flagvalue.ParsePhases(q.State); err != nil {
			return f, p, fmt.Errorf("state: %w", err)
		}
	}
	if q.Since != "" {
		if f.Since, err = flagvalue.ParseTime(q.Since); err != nil {
			return f, p, fmt.Errorf("since: %w", err)
		}
		f.Since = f.Since.Truncate(time.Second) // as actions for the list have it
	}
	position := q.Older
	if p.Newer = q.Newer != ""; p.Newer {
		position = q.Newer
	}
	if position != "" {
		p.From, err = parsePosition(position)
	}
	return f, p, err
}

// formatPosition writes a position for the address of a list.
func formatPosition(p catalog.Position) string { return strconv.FormatInt(p.At, 10) + "." + p.Key }

// parsePosition reads what formatPosition has written.
func parsePosition(text string) (catalog.Position, error) {
	at, key, _ := strings.Cut(text, ".")
	ms, err := strconv.ParseInt(at, 10, 64)
	if err != nil || key == "" {
		return catalog.Position{}, fmt.Errorf("no list goes on from %q", text)
	}
	return catalog.Position{At: ms, Key: key}, nil
}
