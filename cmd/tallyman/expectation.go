package main

import (
	"fmt"
	"io"
	"slices"
	"time"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/cmd/tallyman/internal/config"
	"tallyman/fetch/redact"
	"tallyman/verify/archive/coverage"
	"tallyman/worker"
)

// expectations are those of the configuration file.
func (a *app) expectations() (all []coverage.Expectation) {
	for _, e := range a.Expect {
		group := ""
		if e.LogStore != "" {
			group = windowGroup(e.LogStore, e.Query)
		}
		all = append(all, coverage.Expectation{Place: e.Place, Group: group, Every: e.Every, Grace: e.Grace})
	}
	for _, e := range a.Ensure {
		all = append(all, coverage.Expectation{
			Place: e.Place.String(), Group: windowGroup(e.LogStore, e.Query), Every: e.Window, Since: e.Since, Grace: e.Settle + config.DefaultGrace,
		})
	}
	return all
}

// addFindings adds what was expected of places, of those that are named or of all, and is
// not met.
func (c *statusCommand) addFindings(places []string, now time.Time) error {
	expected := slices.DeleteFunc(c.app.expectations(), func(e coverage.Expectation) bool { return len(places) > 0 && !slices.Contains(places, e.Place) })
	findings, err := coverage.Check(c.catalog, expected, now)
	if err == nil {
		c.addFound(findings)
	}
	return err
}

// addFound adds what of findings is not met.
func (c *statusCommand) addFound(findings []coverage.Finding) {
	for _, f := range findings {
		if f.IsMet() {
			continue
		}
		c.raise(worker.ExitDoubts)
		line := c.overview.of(f.Place)
		line.findings = append(line.findings, f)
		gaps := len(f.Windows.Gaps)
		if f.Late {
			line.Late++
			gaps = max(0, gaps-1) // the last is what is late
		}
		line.Gaps += gaps
	}
}

// printFindings prints what is late, and the command that tells of the gaps.
func (p *placeLine) printFindings(w io.Writer, now time.Time) {
	for _, f := range p.findings {
		every := formatLength(f.Every)
		switch {
		case !f.Late:
		case f.Last.IsZero():
			fmt.Fprintf(w, "    late: nothing has landed%s, and something is to land every %s\n", ofGroup(f.Group), every)
		case f.Group == "":
			fmt.Fprintf(w, "    late: something landed last %s, and is to land every %s\n", cli.FormatAge(f.Last, now), every)
		default:
			fmt.Fprintf(w, "    late: %s ends at %s UTC, and is to go on every %s\n", redact.Text(f.Group), f.Last.UTC().Format("2006-01-02 15:04"), every)
		}
	}
	if len(p.findings) > 0 {
		fmt.Fprintf(w, "    tallyman coverage %s\n", cli.ShellQuote(p.Place))
	}
}

func ofGroup(group string) string {
	if group == "" {
		return ""
	}
	return " of " + redact.Text(group)
}
