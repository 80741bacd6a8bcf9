package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/cmd/tallyman/internal/page"
	"tallyman/fetch"
	"tallyman/fetch/redact"
	"tallyman/verify/archive/catalog"
	"tallyman/verify/archive/coverage"
	"tallyman/worker"
)

// placeLine is what --json prints of a place. What is not known is missing.
type placeLine struct {
	Schema      string     `json:"schema"`
	Place       string     `json:"place"`
	Profile     string     `json:"profile,omitempty"` // whose credentials listed it
	Listed      *time.Time `json:"listed,omitempty"`
	LastLanded  *time.Time `json:"last_landed,omitempty"`
	Proven      *time.Time `json:"proven,omitempty"` // when all of it was last rechecked
	Next        *time.Time `json:"next,omitempty"`   // when it is due by the schedule of the configuration file
	Landed      int64      `json:"landed"`
	Doubts      int64      `json:"doubts"`                 // of these, with doubts that nobody has accepted
	Waiting     int64      `json:"waiting"`                // or running, queued or idle
	PolledEvery string     `json:"polled_every,omitempty"` // how far apart the last two listings were that its jobs are waited for by
	Failed      int64      `json:"failed"`
	Gone        int64      `json:"gone"`              // damaged or absent
	Missing     *int64     `json:"missing,omitempty"` // found when it was listed, and not asked for
	Partial     bool       `json:"partial,omitempty"` // of these, only those are counted that a listing with a filter has shown
	Counted     *time.Time `json:"counted,omitempty"` // when they were counted: later listings may have been of a part
	Accepted    int64      `json:"accepted,omitempty"`
	Gaps        int        `json:"gaps,omitempty"`         // of the time that is to be covered
	Ending      int        `json:"ending,omitempty"`       // of what waits, that which won't land before it is gone, at the present rate
	FirstEnd    *time.Time `json:"first_end,omitempty"`    // until when the first of these is there at least
	Late        int        `json:"late,omitempty"`         // of what is expected, that which is late
	FailedSince *time.Time `json:"failed_since,omitempty"` // it can't be listed
	Cause       string     `json:"cause,omitempty"`
	Message     string     `json:"message,omitempty"`
	RequestID   string     `json:"request_id,omitempty"`
	AcceptedBy  string     `json:"accepted_by,omitempty"` // that it can't be listed
	Command     string     `json:"command,omitempty"`

	findings []coverage.Finding // expectations that are not met
}

// An overview is what status tells of places, by name.
type overview map[string]*placeLine

// newOverview begins with what the catalog knows of places: of those that are named, or all.
func (c *statusCommand) newOverview(places []string) (overview, error) {
	o := overview{}
	var whole []catalog.Recheck
	for p, err := range c.catalog.Places() {
		if err != nil {
			return nil, err
		}
		if p.Name == "" {
			whole = p.Rechecked
		}
		if p.Name == "" && len(p.Phases) == 0 || len(places) > 0 && !slices.Contains(places, p.Name) {
			continue
		}
		line := o.of(p.Name)
		line.Profile, line.Cause, line.Message, line.RequestID = p.Profile, p.Cause, redact.Text(p.Message), p.RequestID
		set := func(to **time.Time, at time.Time) {
			if !at.IsZero() {
				*to = &at
			}
		}
		set(&line.Listed, p.Listed)
		set(&line.LastLanded, p.LastLanded)
		if !p.LastLanded.IsZero() {
			set(&line.Proven, provenAt(append(slices.Clone(whole), p.Rechecked...)))
		}
		if p.Message != "" {
			set(&line.FailedSince, p.FailedSince)
			line.Command = "tallyman accept " + cli.ShellQuote(p.Name) + " --reason TEXT"
			if p.Accepted != nil {
				line.AcceptedBy = p.Accepted.By
			}
		}
		if err := c.countMissing(line, &p); err != nil {
			return nil, err
		}
		for _, e := range c.app.Schedule {
			if e.Place.String() == p.Name && (e.Cron != "" || !p.Tried.IsZero()) { // else it is due once a worker runs
				set(&line.Next, e.Due(p.Tried))
			}
		}
	}
	return o, nil
}

// countMissing tells how many exports of a place are missing.
func (c *statusCommand) countMissing(line *placeLine, p *catalog.Place) error {
	missing, err := missingOf(c.catalog, p)
	if missing != nil {
		line.Missing, line.Partial, line.Counted = &missing.Exports, missing.Partial, &missing.Counted
	}
	return err
}

// A missing is how many exports of a place are missing, by a listing.
type missing struct {
	Exports int64
	Partial bool // of a part of the place
	Counted time.Time
}

// missingOf counts the exports of a place that are missing: as many as the last listing of
// all of it, or a later one of a part, has shown and nobody has asked for since. It is nil if
// the place was never listed.
func missingOf(c *catalog.Catalog, p *catalog.Place) (most *missing, err error) {
	for _, count := range []catalog.Count{p.Whole, p.Part} {
		if count.At.IsZero() {
			continue
		}
		n := count.Missing
		if n > 0 {
			later, err := c.Count(catalog.Filter{Places: []string{p.Name}, Phases: catalog.Phases, Since: count.At, Asked: count.At})
			if err != nil {
				return nil, err
			}
			n = max(0, n-later.Exports)
		}
		if most == nil || n > most.Exports {
			most = &missing{n, count == p.Part, count.At}
		}
	}
	return most, nil
}

// of returns the line of a place.
func (o overview) of(name string) *placeLine {
	if o[name] == nil {
		o[name] = &placeLine{Schema: "tallyman.place/v1", Place: name}
	}
	return o[name]
}

// add counts an export in its place.
func (o overview) add(line *statusLine) {
	p := o.of(line.place)
	switch {
	case line.Accepted != "":
		p.Accepted++
		if line.State == worker.StateLanded {
			p.Landed++
		}
	case line.State == worker.StateLanded:
		p.Landed++
		if len(line.Doubts) > 0 {
			p.Doubts++
		}
	case line.State == worker.StateFailed && line.Path != "":
		p.Gone++
	case line.State == worker.StateFailed:
		p.Failed++
	case line.State != worker.StateCancelled:
		p.Waiting++
	}
}

// provenAt is when the last run of rechecks ended that had all in it, or when the oldest of
// the last parts did that make up all; zero if there was none.
func provenAt(runs []catalog.Recheck) (at time.Time) {
	oldest, parts := map[string]time.Time{}, map[string]int{}
	for _, r := range runs {
		_, n, isPart := strings.Cut(r.Part, "/")
		if !isPart {
			at = laterOf(at, r.At)
			continue
		}
		if parts[n]++; parts[n] == 1 || r.At.Before(oldest[n]) {
			oldest[n] = r.At
		}
		if fmt.Sprint(parts[n]) == n {
			at = laterOf(at, oldest[n])
		}
	}
	return at
}

func laterOf(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// print prints the places: when each was listed, when something landed in it, when that was
// proven, and its sums, so far as they are known.
func (o overview) print(w io.Writer, now time.Time) {
	names := slices.Sorted(maps.Keys(o))
	widest := len("PLACE")
	for _, name := range names {
		widest = max(widest, len(cmp.Or(name, "(no place)")))
	}
	if len(names) > 0 {
		fmt.Fprintf(w, "%-*s  %-9s  %-9s  %-9s  %s\n", widest, "PLACE", "LISTED", "LANDED", "PROVEN", "EXPORTS")
	}
	ago := func(at *time.Time) string {
		if at == nil {
			return "never"
		}
		return cli.FormatAge(*at, now)
	}
	for _, name := range names {
		p := o[name]
		fmt.Fprintf(w, "%-*s  %-9s  %-9s  %-9s  %s\n", widest, cmp.Or(name, "(no place)"), ago(p.Listed), ago(p.LastLanded), ago(p.Proven), strings.Join(p.sums(now), ", "))
		p.printFindings(w, now)
		p.printEnding(w, now)
		p.printProblem(w, ago(p.FailedSince))
		if p.Missing != nil && *p.Missing > 0 && p.Next == nil {
			fmt.Fprintf(w, "    tallyman discover %s --missing | tallyman fetch -f -   # what is missing\n", cli.ShellQuote(p.Place))
		}
	}
	if len(names) > 0 {
		fmt.Fprintln(w)
	}
}

// printProblem prints why the place can't be listed, if so, and what helps.
func (p *placeLine) printProblem(w io.Writer, since string) {
	if p.Message == "" {
		return
	}
	settled := ""
	if p.AcceptedBy != "" {
		settled = "; accepted by " + p.AcceptedBy
	}
	fmt.Fprintf(w, "    can't be listed, since %s: %s: %s%s\n", since, p.Cause, p.Message, settled)
	if p.AcceptedBy != "" {
		return
	}
	if advice := hintFor(worker.Cause(p.Cause), p.Place, &fetch.CallError{Message: p.Message}); advice != "" {
		fmt.Fprintf(w, "    %s\n", advice)
	}
	fmt.Fprintf(w, "    %s   # or take this error as it is; its exports are not touched\n", p.Command)
}

// sums are how many exports of the place are in which state, and when it is due, as texts.
func (p *placeLine) sums(now time.Time) []string {
	texts := []string{cli.LandedCount(int(p.Landed), 0, int(p.Doubts))}
	for _, s := range p.otherSums(now) {
		texts = append(texts, s.Text)
	}
	return texts
}

// otherSums are the sums without what landed.
func (p *placeLine) otherSums(now time.Time) (sums []page.Sum) {
	add := func(n int64, what, more string) {
		if n > 0 {
			kind, _, _ := strings.Cut(what, " ")
			sums = append(sums, page.Sum{Kind: kind, Text: fmt.Sprintf("%d %s%s", n, what, more)})
		}
	}
	polled, counted := "", ""
	if p.PolledEvery != "" {
		polled = " (listed every " + p.PolledEvery + ")"
	}
	switch {
	case p.Partial:
		counted = " (of the part that was listed)"
	case p.Counted != nil && p.Counted.Before(*p.Listed):
		counted = " (counted " + cli.FormatAge(*p.Counted, now) + ")"
	}
	add(p.Waiting, "waiting", polled)
	add(p.Failed, "failed", "")
	add(p.Gone, "damaged or gone", "")
	add(p.Accepted, "accepted", "")
	if p.Gaps > 0 {
		sums = append(sums, page.Sum{Kind: "gap", Text: cli.Plural(int64(p.Gaps), "gap")})
	}
	add(int64(p.Late), "late", "")
	if p.Ending > 0 {
		sums = append(sums, page.Sum{Kind: "ending", Text: fmt.Sprintf("%d won't land in time", p.Ending)})
	}
	if p.Missing != nil {
		add(*p.Missing, "missing", counted)
	}
	if p.Next != nil {
		sums = append(sums, page.Sum{Kind: "next", Text: "next " + cli.FormatDue(*p.Next, now)})
	}
	return sums
}

// addLanded counts what landed by the catalog, and what is damaged or gone. With --json, or
// since a time, each export is a line; else the sums of the catalog count.
func (c *statusCommand) addLanded(ctx context.Context, places []string) error {
	f := catalog.Filter{Places: places, Since: c.app.Since.Value, Phases: []catalog.Phase{catalog.Landed, catalog.Damaged, catalog.Absent}}
	var landed int64
	for p, err := range c.catalog.Places() {
		if err != nil {
			return err
		}
		if len(places) == 0 || slices.Contains(places, p.Name) {
			landed += p.Phases[catalog.Landed].Exports
		}
	}
	if c.unseen = landed > maxLooks; c.unseen && !c.app.JSON && f.Since.IsZero() {
		if err := c.addSums(places); err != nil {
			return err
		}
		f.Phases = f.Phases[1:]
		doubted := f
		doubted.Phases, doubted.Doubts, doubted.Limit = []catalog.Phase{catalog.Landed}, true, maxListed+1
		for e, err := range c.catalog.Exports(doubted) {
			if err != nil {
				return err
			}
			line := c.landedLine(e)
			c.listed = append(c.listed, &line)
		}
	}
	for e, err := range c.catalog.Exports(f) {
		if err := cmp.Or(err, context.Cause(ctx)); err != nil {
			return err
		}
		line := c.landedLine(e)
		if ref, err := fetch.ParseRef(e.Ref); err == nil && e.Phase == catalog.Landed && !c.unseen {
			status, err := c.reader.Export(ref)
			if err == nil && status.Key == e.Key && status.State == worker.StateFailed && status.Receipt == nil {
				line = c.newStatusLine(status) // the ledger does not know yet
				line.place = e.Place
			}
		}
		if err := c.add(line); err != nil {
			return err
		}
	}
	return nil
}

// maxLooks is how many exports may have landed for status to look whether their bags are
// there. More of them would keep a person waiting.
const maxLooks = 5000

// addSums counts what landed by the sums of the catalog.
func (c *statusCommand) addSums(places []string) error {
	for p, err := range c.catalog.Places() {
		if err != nil {
			return err
		}
		n := p.Phases[catalog.Landed].Exports
		if n == 0 || len(places) > 0 && !slices.Contains(places, p.Name) {
			continue
		}
		line := c.overview.of(p.Name)
		line.Landed, line.Doubts, line.Accepted = n, p.Doubts.Exports, p.Settled[catalog.Landed].Exports
		c.counts[worker.StateLanded] += int(n)
		c.doubts += int(line.Doubts)
		c.accepted += int(line.Accepted)
	}
	return nil
}

// landedLine is the line of an export that landed, by the catalog. Doubts that are accepted
// are shown as such.
func (c *statusCommand) landedLine(e catalog.Export) statusLine {
	line := statusLine{place: e.Place, Schema: "tallyman.status/v1", Reference: e.Ref, State: worker.StateLanded, Path: c.archive.Path(e.Key), Landed: &e.Landed, Bytes: &e.Bytes, Doubts: e.Doubts}
	if e.Accepted != nil {
		line.Accepted = cmp.Or(e.Accepted.Reason, e.Accepted.By)
	}
	switch {
	case e.Phase != catalog.Landed:
		line.State, line.Landed, line.Bytes, line.Doubts, line.Changed = worker.StateFailed, nil, nil, nil, &e.Changed
		line.Cause, line.Message = "damaged", redact.Text(fmt.Sprintf("%s is %s: %s", e.Key, e.Phase, cmp.Or(e.Message, "it landed, and is gone")))
		line.Command = "tallyman verify --repair " + cli.ShellQuote(e.Ref)
	case len(e.Doubts) > 0 && line.Accepted == "":
		line.Command = "tallyman accept " + cli.ShellQuote(e.Ref) + " --reason TEXT"
	}
	return line
}
