package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/cmd/tallyman/internal/page"
	"tallyman/fetch"
	"tallyman/fetch/redact"
	"tallyman/verify/archive/catalog"
	"tallyman/worker"
)

// Overview implements page.Source.
func (o *observer) Overview(ctx context.Context) (view page.Overview, err error) {
	err = o.ask(ctx, func(c *statusCommand) error {
		places, err := c.observedPlaces()
		if err != nil {
			return err
		}
		covered, err := c.coveredPlaces(places, time.Now())
		if err != nil {
			return err
		}
		view.Sums = sumsOfAll(places, time.Now())
		for _, p := range places {
			shown := p.shown(time.Now())
			shown.Covered = covered[p.placeLine.Place]
			view.Places = append(view.Places, shown)
		}
		for cause, err := range c.catalog.Causes(catalog.Filter{Unaccepted: true, Phases: []catalog.Phase{catalog.Failed, catalog.Damaged, catalog.Absent}}) {
			if err != nil {
				return err
			}
			view.Groups = append(view.Groups, groupOf(cause))
		}
		return nil
	})
	return view, unsecret(err)
}

// unsecret is an error without secrets, which may be shown.
func unsecret(err error) error {
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return errors.New(redact.Text(err.Error()))
}

// shown is the place as the page shows it.
func (p *observedPlace) shown(now time.Time) page.Place {
	line := p.placeLine
	shown := page.Place{
		Name: line.Place, Listed: line.Listed, LastLanded: line.LastLanded, Proven: line.Proven, Sums: line.shownSums(now),
		Doubted: line.Doubts > 0, Waits: line.Waiting > 0, Bad: line.Failed+line.Gone > 0 || line.Message != "" && line.AcceptedBy == "",
	}
	if line.Place != "" {
		shown.Sums = listedSums(line.Place, shown.Sums)
	}
	switch {
	case line.Message != "" && line.AcceptedBy == "":
		shown.Problem, shown.Command = line.Cause+": "+line.Message, line.Command
		shown.Help = redact.Text(hintFor(worker.Cause(line.Cause), line.Place, &fetch.CallError{Message: line.Message}))
	case line.Missing != nil && *line.Missing > 0 && line.Next == nil:
		shown.Command = "tallyman discover " + cli.ShellQuote(line.Place) + " --missing | tallyman fetch -f -"
	}
	switch {
	case p.interval == 0:
	case line.Listed == nil:
		shown.Schedule = "never listed"
	case now.Sub(*line.Listed) > p.interval+p.interval/4+15*time.Minute:
		shown.Schedule = "late"
	default:
		shown.Schedule = "on schedule"
	}
	return shown
}

// sumsOfAll are the sums of all places; none if there are not two of them.
func sumsOfAll(places []observedPlace, now time.Time) (sums []page.Sum) {
	if len(places) < 2 {
		return nil
	}
	var all placeLine
	var missing, unlisted int64
	for _, p := range places {
		line := p.placeLine
		all.Landed, all.Doubts, all.Waiting, all.Failed = all.Landed+line.Landed, all.Doubts+line.Doubts, all.Waiting+line.Waiting, all.Failed+line.Failed
		all.Gone, all.Accepted, all.Gaps, all.Late = all.Gone+line.Gone, all.Accepted+line.Accepted, all.Gaps+line.Gaps, all.Late+line.Late
		all.Ending += line.Ending
		if line.Missing != nil {
			missing += *line.Missing
		}
		if line.Message != "" && line.AcceptedBy == "" {
			unlisted++
		}
	}
	all.Missing = &missing
	sums = listedSums("", all.shownSums(now))
	if unlisted > 0 {
		sums = append(sums, page.Sum{Kind: "failed", Text: cli.Plural(unlisted, "place") + " not listed"})
	}
	return sums
}

// shownSums are the sums as the page shows them. Of a place that was never listed, and of
// which the archive has nothing, it is not known what there is.
func (p *placeLine) shownSums(now time.Time) (sums []page.Sum) {
	others := p.otherSums(now)
	if p.Landed > 0 || p.Listed != nil || len(others) > 0 {
		sums = append(sums, page.Sum{Kind: "landed", Text: fmt.Sprintf("%d landed", p.Landed)})
	} else {
		sums = append(sums, page.Sum{Kind: "unknown", Text: "not known"})
	}
	if p.Doubts > 0 {
		sums = append(sums, page.Sum{Kind: "doubts", Text: fmt.Sprintf("%d with doubts", p.Doubts)})
	}
	return append(sums, others...)
}

// groupOf is what is wrong for one cause, with the command that status gives.
func groupOf(c catalog.Cause) page.Group {
	g := page.Group{Phase: string(c.Phase), Cause: c.Cause, Exports: c.Exports, First: &c.First, Last: &c.Last, Sample: c.Sample.Ref, Message: redact.Text(c.Sample.Message)}
	if c.Phase == catalog.Failed {
		g.Vain, g.Help = slices.Contains(retryIsVain, worker.Cause(c.Cause)), redact.Text(hintFor(worker.Cause(c.Cause), c.Sample.Ref, nil))
	}
	g.List = page.Query{State: g.Phase, Cause: c.Cause, Open: true}.Address()
	switch {
	case c.Phase != catalog.Failed:
		g.Command = "tallyman verify --repair " + cli.ShellQuote(c.Sample.Ref)
	case !g.Vain:
		g.Command = "tallyman retry --cause " + c.Cause
	}
	return g
}

// Story implements page.Source: it is what explain prints.
func (o *observer) Story(ctx context.Context, reference string) (told page.Story, err error) {
	ref, err := fetch.ParseRef(reference)
	if err != nil || ref.Signed() {
		return told, fmt.Errorf("%s: %w", redact.URL(reference), fs.ErrNotExist)
	}
	err = o.ask(ctx, func(c *statusCommand) error {
		s := story{ref: ref}
		var err error
		if s.events, err = c.catalog.Events(ref.Key()); err != nil {
			return err
		}
		if c.reader, err = (&worker.Client{Archive: o.archive}).Status(ctx); err != nil {
			return err
		}
		c.reader.Of = c.phases().Of
		status, err := c.reader.Export(ref)
		switch {
		case err == nil:
			s.status, s.receipt = c.newStatusLine(status).withHint(), status.Receipt
		case len(s.events) == 0:
			return fmt.Errorf("%s: %w", ref, fs.ErrNotExist)
		default: // it was removed, or is gone
			s.status = statusLine{Schema: "tallyman.status/v1", Reference: ref.String(), State: worker.StateRemoved}
		}
		var b bytes.Buffer
		err = s.print(&b, o.archive)
		told.Text = b.String()
		if e, err := c.catalog.Export(ref.Key()); err == nil {
			told.Verbs, told.Vain = verbsFor(&e), slices.Contains(retryIsVain, worker.Cause(e.Cause))
		}
		return err
	})
	return told, unsecret(err)
}

// verbsFor are what a person may want done to an export as it stands, what helps first.
func verbsFor(e *catalog.Export) []page.Verb {
	isVain := slices.Contains(retryIsVain, worker.Cause(e.Cause))
	switch {
	case e.Phase == catalog.Failed && e.Accepted == nil && isVain:
		return []page.Verb{page.Accept, page.Cancel, page.Retry}
	case e.Phase == catalog.Failed && e.Accepted == nil:
		return []page.Verb{page.Retry, page.Accept, page.Cancel}
	case e.Phase == catalog.Failed, e.Phase == catalog.Asked:
		return []page.Verb{page.Retry, page.Cancel}
	case e.Phase == catalog.Cancelled:
		return []page.Verb{page.Retry}
	case e.Phase == catalog.Landed && e.Open > 0:
		return []page.Verb{page.Accept}
	}
	return nil
}
