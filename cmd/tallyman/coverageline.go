package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"tallyman/cmd/tallyman/internal/calendar"
	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/fetch"
	"tallyman/fetch/redact"
	"tallyman/verify/archive/catalog"
	"tallyman/verify/archive/coverage"
	"tallyman/verify/archive/ledger"
)

// coverageLine is what --json prints of a group of windows, or of a place whose exports span
// no time. What is not known is missing.
type coverageLine struct {
	Schema     string     `json:"schema"`
	Place      string     `json:"place"`
	Group      string     `json:"group,omitempty"`  // of windows that can be compared: the log store and the query
	Header     int64      `json:"header,omitempty"` // how many exports the header of the CSV files is known from
	Rows       *int64     `json:"rows,omitempty"`   // of the exports, without that header
	Short      []spanLine `json:"short,omitempty"`  // exports of which as many records came as promised only with the header
	By         string     `json:"by"`               // what tells: "windows", "listing", "points", "landings" or "nothing"
	Exports    int64      `json:"exports"`          // that landed and are whole; of a group, those in the time
	From       *time.Time `json:"from,omitempty"`   // the time that was looked at
	To         *time.Time `json:"to,omitempty"`
	Percent    *float64   `json:"percent,omitempty"`    // of it, how much is covered, of what is not settled
	Covered    *int64     `json:"covered,omitempty"`    // seconds
	Settled    *int64     `json:"settled,omitempty"`    // seconds that are not covered, and that were accepted or forgotten
	Lacking    *int64     `json:"lacking,omitempty"`    // seconds
	Gaps       []spanLine `json:"gaps,omitempty"`       // what is lacking
	Lost       []spanLine `json:"lost,omitempty"`       // of the gaps, what was covered by exports that are damaged or gone
	Overlaps   []spanLine `json:"overlaps,omitempty"`   // what is there twice
	Continuous string     `json:"continuous,omitempty"` // why it is a fault if something is lacking: "expect" or "asked"
	Every      string     `json:"every,omitempty"`      // how far apart landings are to be
	Last       *time.Time `json:"last,omitempty"`       // when something landed last, or where the last window ends
	Late       bool       `json:"late,omitempty"`       // what was due after that is not there
	Longest    *int64     `json:"longest,omitempty"`    // seconds: how far two landings in a row are apart at most
	Complete   *bool      `json:"complete,omitempty"`   // all that was listed has landed
	Listed     *time.Time `json:"listed,omitempty"`     // when
	Missing    *int64     `json:"missing,omitempty"`    // of what was listed: what nobody asked for
	Waiting    *int64     `json:"waiting,omitempty"`    // and what was asked for and has not landed
	Failed     *int64     `json:"failed,omitempty"`     // or has failed, is damaged or gone

	windows *coverage.Group
}

// spanLine is a time.
type spanLine struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"` // not in it
}

const (
	coverageSchema = "tallyman.coverage/v1"
	byLandings     = "landings"
	byNothing      = "nothing"
)

func newCoverageLine(g *coverage.Group) coverageLine {
	seconds := func(spans []coverage.Span) *int64 { return new(int64(coverage.Length(spans) / time.Second)) }
	spans := func(spans []coverage.Span) (lines []spanLine) {
		if len(spans) > 0 {
			lines = make([]spanLine, 0, len(spans)) // there may be many
		}
		for _, s := range spans {
			lines = append(lines, spanLine{time.Unix(s.From, 0).UTC(), time.Unix(s.To, 0).UTC()})
		}
		return lines
	}
	line := coverageLine{Schema: coverageSchema, Place: g.Place, Group: g.Name, By: string(fetch.ByWindows), Exports: g.Whole, windows: g}
	if g.Within.IsEmpty() {
		return line
	}
	line.From, line.To = new(time.Unix(g.Within.From, 0).UTC()), new(time.Unix(g.Within.To, 0).UTC())
	line.Percent, line.Covered, line.Settled, line.Lacking = new(g.Percent()), seconds(g.Covered), seconds(g.Settled), seconds(g.Gaps)
	line.Gaps, line.Lost, line.Overlaps = spans(g.Gaps), spans(g.Lost), spans(g.Overlaps)
	line.Header, line.Short = g.Header.Exports, spans(g.Header.Short)
	if line.Header > 0 && g.Header.Rows != ledger.Unknown {
		line.Rows = &g.Header.Rows
	}
	return line
}

// expect notes what is expected, and whether it is late.
func (l *coverageLine) expect(f *coverage.Finding) {
	l.Continuous, l.Late, l.Every = "expect", f.Late, formatLength(f.Every)
	if !f.Last.IsZero() {
		l.Last = &f.Last
	}
}

// isFault reports whether something is lacking that is to be there.
func (l *coverageLine) isFault() bool {
	return l.Continuous != "" && (len(l.Gaps) > 0 || l.Late || l.Complete != nil && !*l.Complete)
}

// untimedLine is the line of a place whose exports span no time.
func (c *coverageCommand) untimedLine(p *catalog.Place) (line coverageLine, err error) {
	line = coverageLine{Schema: coverageSchema, Place: p.Name, By: string(fetch.CompletenessOf(p.Name)), Exports: p.Phases[catalog.Landed].Exports}
	if !p.LastLanded.IsZero() {
		line.Last = &p.LastLanded
	}
	switch fetch.Completeness(line.By) {
	case fetch.ByListing:
		err = line.addListing(c.catalog, p)
	case fetch.ByPoints:
		err = line.addPoints(c.catalog, p)
	default:
		line.By = byNothing
	}
	return line, err
}

// addListing tells whether all that was listed has landed.
func (l *coverageLine) addListing(c *catalog.Catalog, p *catalog.Place) error {
	open := func(phases ...catalog.Phase) *int64 {
		var n int64
		for _, phase := range phases {
			n += p.Phases[phase].Exports - p.Settled[phase].Exports
		}
		return &n
	}
	l.Waiting, l.Failed = open(catalog.Asked), open(catalog.Failed, catalog.Cancelled, catalog.Damaged, catalog.Absent)
	missing, err := missingOf(c, p)
	if missing != nil {
		l.Missing, l.Listed = &missing.Exports, &missing.Counted
		l.Complete = new(*l.Waiting+*l.Failed+*l.Missing == 0)
	}
	return err
}

// addPoints tells how far landings are apart.
func (l *coverageLine) addPoints(c *catalog.Catalog, p *catalog.Place) error {
	var before time.Time
	var longest time.Duration
	for e, err := range c.Exports(catalog.Filter{Places: []string{p.Name}, Phases: []catalog.Phase{catalog.Landed}, Order: catalog.ByWhen}) {
		if err != nil {
			return err
		}
		if !before.IsZero() {
			longest = max(longest, e.When.Sub(before))
		}
		before = e.When
	}
	if longest > 0 {
		l.Longest = new(int64(longest / time.Second))
	}
	return nil
}

// print prints all lines.
func (c *coverageCommand) print(w io.Writer) error {
	var b bytes.Buffer
	hasStrip := false
	for i := range c.lines {
		line := &c.lines[i]
		switch {
		case c.app.JSON:
			if err := cli.PrintJSON(&b, line); err != nil {
				return err
			}
		case c.app.Quiet:
			for _, gap := range line.Gaps {
				fmt.Fprintf(&b, "%s\t%s\t%s\t%s\n", gap.From.Format(time.RFC3339), gap.To.Format(time.RFC3339), redact.URL(line.Place), redact.Text(line.Group))
			}
		default:
			hasStrip = hasStrip || line.windows != nil
			line.print(&b, c.app.Zone.Value, c.now)
		}
	}
	if hasStrip {
		fmt.Fprintln(&b, calendar.Legend)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// draw draws a calendar of the groups into a file, if that is asked for.
func (c *coverageCommand) draw() error {
	if c.app.SVG == "" {
		return nil
	}
	var charts []calendar.Chart
	for i := range c.lines {
		if l := &c.lines[i]; l.windows != nil {
			summary := "nothing that was due has landed"
			if l.From != nil {
				summary = fmt.Sprintf("%s%% of %s, by %s, with %s", formatPercent(*l.Percent), formatLength(l.To.Sub(*l.From)), cli.Plural(l.Exports, "export"), cli.Plural(int64(len(l.Gaps)), "gap"))
			}
			charts = append(charts, calendar.Chart{Place: redact.URL(orNoPlace(l.Place)), Group: redact.Text(l.Group), Summary: summary, Covers: l.windows})
		}
	}
	if len(charts) == 0 {
		return cli.Usagef("--svg %s: nothing that landed spans a time", c.app.SVG)
	}
	var b bytes.Buffer
	err := calendar.WriteSVG(&b, charts, c.app.Zone.Value)
	if err == nil {
		err = os.WriteFile(c.app.SVG, b.Bytes(), 0o644) //nolint:gosec // it is to be shown to others
	}
	if err != nil {
		return &cli.OutputError{Err: fmt.Errorf("--svg: %w", err)}
	}
	return nil
}

// stripCells is how many cells a strip has.
const stripCells = 72

// print prints the line for a person.
func (l *coverageLine) print(w io.Writer, zone *time.Location, now time.Time) {
	fmt.Fprintln(w, strings.TrimSpace(redact.URL(orNoPlace(l.Place))+"  "+redact.Text(l.Group)))
	at := func(t time.Time) string { return t.In(zone).Format("2006-01-02 15:04") }
	switch {
	case l.From != nil:
		length := l.To.Sub(*l.From)
		fmt.Fprintf(w, "  %s%% of %s, from %s to %s %s, by %s\n", formatPercent(*l.Percent), formatLength(length), at(*l.From), at(*l.To), l.To.In(zone).Format("MST"), cli.Plural(l.Exports, "export"))
		fmt.Fprintf(w, "  %s\n", calendar.Strip(l.windows, stripCells))
		l.printHeader(w)
		l.printSpans(w, at)
	case l.windows != nil:
		fmt.Fprintf(w, "  no export of it that was due has landed\n")
	default:
		fmt.Fprintf(w, "  %s\n", l.untimed(now))
	}
	switch {
	case l.Late && l.Last == nil:
		fmt.Fprintf(w, "  late: nothing has landed, and something is to land every %s\n", l.Every)
	case l.Late && l.windows != nil:
		fmt.Fprintf(w, "  late: it ends at %s, %s, and is to go on every %s\n", at(*l.Last), cli.FormatAge(*l.Last, now), l.Every)
	case l.Late:
		fmt.Fprintf(w, "  late: something landed last %s, and is to land every %s\n", cli.FormatAge(*l.Last, now), l.Every)
	}
	fmt.Fprintln(w)
}

// printHeader says what is known of the header of the CSV files, if anything is.
func (l *coverageLine) printHeader(w io.Writer) {
	if l.Header == 0 {
		return
	}
	text := "header known from " + cli.Plural(l.Header, "export")
	if l.Rows != nil {
		text += "; " + cli.Plural(*l.Rows, "row") + " without it"
	}
	fmt.Fprintf(w, "  %s\n", text)
}

// printSpans prints the gaps and the overlaps, the first of many, and how to settle a gap.
func (l *coverageLine) printSpans(w io.Writer, at func(time.Time) string) {
	for _, kind := range []struct {
		name, note string
		spans      []spanLine
	}{
		{"gap", "", l.Gaps},
		{"lost", "  damaged or gone: tallyman verify --repair " + cli.ShellQuote(l.Place), l.Lost},
		{"overlap", "  exported twice", l.Overlaps},
		{"short", "  a row lacks behind the header: tallyman witness " + cli.ShellQuote(l.Place) + l.selection(), l.Short},
	} {
		for i, s := range kind.spans {
			if i == maxListed {
				fmt.Fprintf(w, "  %-8s and %d more: --json lists all\n", kind.name, len(kind.spans)-maxListed)
				break
			}
			fmt.Fprintf(w, "  %-8s %s to %s  %s%s\n", kind.name, at(s.From), at(s.To), formatLength(s.To.Sub(s.From)), kind.note)
		}
	}
	if len(l.Gaps) == 0 || l.Continuous == "" {
		return
	}
	gap := l.Gaps[0]
	fmt.Fprintf(w, "  export and fetch what is lacking, or accept it, such as the first gap:\n    tallyman accept %s%s --from %s --to %s --reason TEXT\n",
		cli.ShellQuote(l.Place), l.selection(), gap.From.Format(time.RFC3339), gap.To.Format(time.RFC3339))
}

// selection are the flags that choose the group among those of its place.
func (l *coverageLine) selection() string {
	logStore, query, ok := strings.Cut(l.Group, " ")
	if !ok || fetch.CompletenessOf(l.Place) != fetch.ByWindows {
		return ""
	}
	return redact.Text(" --logstore " + cli.ShellQuote(logStore) + " --query " + cli.ShellQuote(query))
}

// untimed says what is known of a place whose exports span no time.
func (l *coverageLine) untimed(now time.Time) string {
	landed := cli.Plural(l.Exports, "export") + " landed"
	switch {
	case l.Complete != nil && *l.Complete:
		return fmt.Sprintf("complete: all that was listed %s has landed, %s", cli.FormatAge(*l.Listed, now), cli.Plural(l.Exports, "export"))
	case l.Complete != nil:
		return fmt.Sprintf("incomplete: %s; of what was listed %s %d are missing, %d wait, and %d failed", landed, cli.FormatAge(*l.Listed, now), *l.Missing, *l.Waiting, *l.Failed)
	case l.By == string(fetch.ByListing):
		return landed + "; 'tallyman discover' lists what was delivered, and has not been run"
	case l.By == string(fetch.ByPoints):
		text := landed + ", each the state at one time"
		if l.Longest != nil {
			text += fmt.Sprintf(", at most %s apart", formatLength(time.Duration(*l.Longest)*time.Second))
		}
		return text
	case l.By == byLandings:
		return landed
	}
	return landed + ", and nothing tells whether they are all: no coverage"
}

func orNoPlace(name string) string {
	if name == "" {
		return "(no place)"
	}
	return name
}

// formatPercent writes a share with as many digits as it needs.
func formatPercent(percent float64) string {
	return strings.TrimSuffix(fmt.Sprintf("%.1f", percent), ".0")
}

// formatLength is a length of time in full, such as "2d3h".
func formatLength(d time.Duration) string {
	const day = 24 * time.Hour
	text, rest := "", d%day
	if d >= day {
		text = fmt.Sprintf("%dd", d/day)
	}
	if rest > 0 || text == "" {
		clock := rest.Truncate(time.Second).String()
		if strings.HasSuffix(clock, "m0s") {
			clock = strings.TrimSuffix(clock, "0s")
		}
		if strings.HasSuffix(clock, "h0m") {
			clock = strings.TrimSuffix(clock, "0m")
		}
		text += clock
	}
	return text
}
