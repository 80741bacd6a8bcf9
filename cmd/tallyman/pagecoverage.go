package main

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"tallyman/cmd/tallyman/internal/calendar"
	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/cmd/tallyman/internal/page"
	"tallyman/fetch"
	"tallyman/fetch/redact"
	"tallyman/verify/archive/catalog"
	"tallyman/verify/archive/coverage"
)

// How much the page shows of a group: cells of its strip, and gaps.
const (
	pageCells = 120
	pageGaps  = 20
)

// How much of the coverage of places the page opens on: cells of a strip, groups of a place,
// and exports that are looked at for it. Of places that have more, their own pages tell it.
const (
	openCells  = 60
	openGroups = 3
	openLooked = 30_000
)

// coveredPlaces are the groups of windows of places by their names, as the page opens on them.
// What is expected of the places and not met is added to these.
func (c *statusCommand) coveredPlaces(places []observedPlace, now time.Time) (map[string][]page.CoverageGroup, error) {
	findings, err := coverage.Check(c.catalog, c.app.expectations(), now)
	if err != nil {
		return nil, err
	}
	c.addFound(findings)
	covered, left := map[string][]page.CoverageGroup{}, int64(openLooked)
	for i := range places {
		p := &places[i]
		exports := p.Phases[catalog.Landed].Exports + p.Phases[catalog.Removed].Exports + p.Gone
		if p.Name == "" || exports == 0 || exports > left {
			continue
		}
		left -= exports
		told := &coverageCommand{app: c.app, catalog: c.catalog, now: now, findings: findings}
		if err := told.addPlace(&p.Place); err != nil {
			return nil, err
		}
		var groups []page.CoverageGroup
		for j := range told.lines {
			if line := &told.lines[j]; line.windows != nil && line.From != nil {
				shown := line.shown(now, false)
				shown.Cells = line.shownCells(openCells)
				groups = append(groups, shown)
			}
		}
		slices.SortStableFunc(groups, func(a, b page.CoverageGroup) int { return cmp.Compare(len(b.Gaps), len(a.Gaps)) })
		covered[p.Name] = groups[:min(len(groups), openGroups)]
	}
	return covered, nil
}

// Coverage implements page.Source: it is what the command of that name tells.
func (o *observer) Coverage(ctx context.Context, place, group string, window *page.Window) (shown page.Coverage, err error) {
	if ref, err := fetch.ParsePlace(place); err == nil {
		place = ref.String()
	}
	shown = page.Coverage{Place: redact.URL(place), Window: window}
	err = o.ask(ctx, func(s *statusCommand) error {
		lines, err := o.coverageLines(s, place, window)
		if err != nil {
			return err
		}
		for i := range lines {
			if line := &lines[i]; window == nil || line.Group == group && line.windows != nil {
				shown.Groups = append(shown.Groups, line.shown(time.Now(), window != nil))
			}
		}
		if len(shown.Groups) == 0 {
			return fmt.Errorf("%s: %w", redact.URL(place), fs.ErrNotExist)
		}
		return nil
	})
	return shown, unsecret(err)
}

// coverageLines are what the command coverage tells of a place, or of a window of it.
func (o *observer) coverageLines(s *statusCommand, place string, window *page.Window) ([]coverageLine, error) {
	c := &coverageCommand{app: o.app, catalog: s.catalog, now: time.Now()}
	if window != nil {
		c.isAsked, c.within = true, coverage.Span{From: window.From.Unix(), To: window.To.Unix()}
	}
	if err := c.choosePlaces([]string{place}); err != nil || place == "" {
		return nil, fmt.Errorf("%s: %w", redact.URL(place), fs.ErrNotExist)
	}
	var err error
	if c.findings, err = coverage.Check(c.catalog, c.expectations(), c.now); err != nil {
		return nil, err
	}
	err = c.addPlace(&c.places[0])
	return c.lines, err
}

// shown is the line as the page shows it; of a window alone, with the commands that settle
// what lacks in it.
func (l *coverageLine) shown(now time.Time, isWindow bool) page.CoverageGroup {
	g := page.CoverageGroup{Name: redact.Text(l.Group)}
	if l.Late {
		g.Late = fmt.Sprintf("late: something is to land every %s, and nothing has", l.Every)
		if l.Last != nil {
			g.Late = fmt.Sprintf("late: it ends %s, and is to go on every %s", cli.FormatAge(*l.Last, now), l.Every)
		}
	}
	switch {
	case l.windows == nil:
		g.Text = l.untimed(now)
		return g
	case l.From == nil:
		g.Text = "No export of it that was due has landed"
		return g
	}
	g.Window = &page.Window{From: *l.From, To: *l.To}
	g.Text = fmt.Sprintf("%s%% of %s is covered, by %s", formatPercent(*l.Percent), formatLength(l.To.Sub(*l.From)), cli.Plural(l.Exports, "export"))
	g.Cells = l.shownCells(pageCells)
	g.Gaps, g.Lost, g.Twice = l.shownWindows(l.Gaps, !isWindow), l.shownWindows(l.Lost, false), l.shownWindows(l.Overlaps, false)
	g.MoreGaps = len(l.Gaps) - len(g.Gaps)
	if isWindow && len(l.Gaps) > 0 {
		g.Commands = l.gapCommands()
	}
	return g
}

// shownCells are so many cells of the strip.
func (l *coverageLine) shownCells(number int) (cells []page.Cell) {
	for _, cell := range calendar.Cells(l.windows, number) {
		cells = append(cells, l.shownCell(cell))
	}
	return cells
}

// shownCell is a cell of the strip. If anything lacks in it, it leads to the first gap.
func (l *coverageLine) shownCell(cell calendar.Cell) page.Cell {
	from, to := time.Unix(cell.From, 0).UTC(), time.Unix(cell.To, 0).UTC()
	shown := page.Cell{Kind: cell.Kind, Text: from.Format("2006-01-02 15:04") + " to " + to.Format("2006-01-02 15:04 MST") + ": " + cell.Kind}
	i, _ := slices.BinarySearchFunc(l.Gaps, from, func(s spanLine, at time.Time) int { return cmp.Compare(s.To.Unix(), at.Unix()+1) })
	if i < len(l.Gaps) && l.Gaps[i].From.Before(to) {
		shown.Address = page.CoverageAddress(l.Place, l.Group, &page.Window{From: l.Gaps[i].From, To: l.Gaps[i].To})
	}
	return shown
}

// shownWindows are the first of some spans, with their addresses if they are to be led to.
func (l *coverageLine) shownWindows(spans []spanLine, linked bool) (windows []page.Window) {
	for _, s := range spans[:min(len(spans), pageGaps)] {
		w := page.Window{From: s.From, To: s.To, Length: formatLength(s.To.Sub(s.From))}
		if linked {
			w.Address = page.CoverageAddress(l.Place, l.Group, &w)
		}
		windows = append(windows, w)
	}
	return windows
}

// gapCommands settle what lacks in the window that the line is of.
func (l *coverageLine) gapCommands() (commands []page.Command) {
	place, from, to := cli.ShellQuote(l.Place), l.From.Format(time.RFC3339), l.To.Format(time.RFC3339)
	which := groupFlags(l.Place, l.Group)
	if which != "" && strings.HasPrefix(l.Place, "sls://") {
		commands = append(commands, page.Command{For: "Export what lacks, and fetch it; --dry-run says first what that is:", Text: redact.Text("tallyman ensure " + place + which + " --since " + from + " --until " + to)})
	}
	if len(l.Lost) > 0 {
		commands = append(commands, page.Command{For: "Fetch again what is damaged or gone, if its job still has it:", Text: "tallyman verify --repair " + place})
	}
	return append(commands,
		page.Command{For: "See whether jobs are there that nobody asked for, and fetch them:", Text: "tallyman discover " + place + " --since " + from + " --missing | tallyman fetch -f -"},
		page.Command{For: "Or take it as it is:", Text: redact.Text("tallyman accept " + place + which + " --from " + from + " --to " + to + " --reason TEXT")})
}

// groupFlags name a group of a place on a command line, if its exports are of log stores.
func groupFlags(place, group string) string {
	logStore, query, ok := strings.Cut(group, " ")
	if !ok || fetch.CompletenessOf(place) != fetch.ByWindows {
		return ""
	}
	return " --logstore " + cli.ShellQuote(logStore) + " --query " + cli.ShellQuote(query)
}
