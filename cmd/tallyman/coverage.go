package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // for --tz, where the system has none

	"github.com/spf13/cobra"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/cmd/tallyman/internal/config"
	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/fetch"
	"tallyman/verify/archive/catalog"
	"tallyman/verify/archive/coverage"
	"tallyman/worker"
)

func newCoverageCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "coverage [PLACE...]",
		Short: "Tell which time the exports cover, and which they lack",
		Long: `Coverage adds up the times that exports span which landed, for each place, log store
and query: how much of it all is covered, where there are gaps, and what is there
twice. A file that landed is proven; an hour that nobody exported is seen here alone.

A gap is a fault only where the time is to be covered: where expect: in the
configuration file says so, or ensure:, or between --since and --until. Then coverage exits with
9, and tells how to settle it. What ended less than the grace ago (2 hours) may be
under way, and is not looked at. Exports that are damaged or gone cover nothing; what
was accepted or forgotten is settled.

Of services whose exports span no time it tells what else can be known: of dis://
whether all that was delivered has landed, of dbs:// how far landings are apart, and
of the others that nothing tells.`,
		Example: `  tallyman coverage
  tallyman coverage sls://cn-hangzhou/ali-test-project/ --since 2026-11-01 --until 2026-12-01
  tallyman coverage --logstore access-log --tz Asia/Shanghai`,
		ValidArgsFunction: a.completePlaces,
		RunE:              func(cmd *cobra.Command, args []string) error { return a.coverage(cmd, args) },
	}
	f := cmd.Flags()
	a.Since = flagvalue.New("TIME", "", flagvalue.ParseTime)
	a.Until = flagvalue.New("TIME", "", flagvalue.ParseTime)
	a.Zone = flagvalue.New("ZONE", "UTC", flagvalue.ParseZone)
	f.StringVar(&a.LogStore, "logstore", "", "only the exports of this `LOGSTORE`")
	f.StringVar(&a.Query, "query", "", "of that log store, only the exports of this `QUERY`; * is all")
	f.Var(&a.Since, "since", "the time from `TIME` on is to be covered: a duration ago,\nyesterday, a weekday, a date, or a time (RFC 3339)")
	f.Var(&a.Until, "until", "the time before `TIME` is to be covered")
	f.Var(&a.Zone, "tz", "show times of this zone, such as Asia/Shanghai or Local")
	f.StringVar(&a.SVG, "svg", "", "draw a calendar into `FILE` too, as an image that browsers show")
	cli.GroupFlags(f, "What to tell", "logstore", "query", "since", "until", "tz", "svg")
	a.AddCatalog(f)
	return cmd
}

// coverageCommand is a run of the command.
type coverageCommand struct {
	app      *app
	catalog  *catalog.Catalog
	now      time.Time
	places   []catalog.Place    // in their order
	findings []coverage.Finding // of what is expected of them
	isAsked  bool               // --since or --until was given
	within   coverage.Span      // the time that they give
	lines    []coverageLine
}

func (a *app) coverage(cmd *cobra.Command, args []string) error {
	c := &coverageCommand{app: a, now: time.Now(), isAsked: !a.Since.Value.IsZero() || !a.Until.Value.IsZero()}
	if a.Query != "" && a.LogStore == "" {
		return cli.Usagef("--query goes with --logstore")
	}
	if err := c.askWithin(); err != nil {
		return err
	}
	store, err := a.openRequired()
	if err != nil {
		return err
	}
	if c.catalog, err = a.openCatalog(cmd, store); err != nil {
		return err
	}
	defer c.catalog.Close()
	if err := c.choosePlaces(args); err != nil {
		return err
	}
	if c.findings, err = coverage.Check(c.catalog, c.expectations(), c.now); err != nil {
		return err
	}
	for i := range c.places {
		if err := c.addPlace(&c.places[i]); err != nil {
			return err
		}
	}
	if len(c.lines) == 0 && a.LogStore != "" {
		return cli.Usagef("--logstore %s: no export of it has landed that says which time it spans", a.LogStore)
	}
	if err := cmp.Or(c.print(cmd.OutOrStdout()), c.draw()); err != nil {
		return err
	}
	if err := cutOf(c.catalog); err != nil {
		return err
	}
	if slices.ContainsFunc(c.lines, func(l coverageLine) bool { return l.isFault() }) {
		return cli.ExitError(worker.ExitDoubts)
	}
	return nil
}

// askWithin reads the time that is to be covered, if one is given. What ended less than the
// grace ago is not asked about.
func (c *coverageCommand) askWithin() error {
	if !c.isAsked {
		return nil
	}
	due := c.now.Add(-config.DefaultGrace)
	until := due
	if given := c.app.Until.Value; !given.IsZero() && given.Before(due) {
		until = given
	}
	c.within.To = until.Unix()
	if c.app.Since.Value.IsZero() {
		return nil
	}
	switch c.within.From = c.app.Since.Value.Unix(); {
	case !c.app.Until.Value.IsZero() && !c.app.Since.Value.Before(c.app.Until.Value):
		return cli.Usagef("--since must be before --until")
	case c.within.IsEmpty():
		return cli.Usagef("--since %s: nothing of that is due yet: what ended less than %v ago may be under way", &c.app.Since, formatLength(config.DefaultGrace))
	}
	return nil
}

// choosePlaces takes the places that are named, or all. It returns a UsageError for what is
// no place, or for one of which nothing is known.
func (c *coverageCommand) choosePlaces(args []string) error {
	all := map[string]catalog.Place{}
	var known []string
	for p, err := range c.catalog.Places() {
		if err != nil {
			return err
		}
		all[p.Name], known = p, append(known, p.Name)
	}
	for _, e := range c.app.expectations() {
		if _, ok := all[e.Place]; !ok {
			all[e.Place], known = catalog.Place{Name: e.Place}, append(known, e.Place)
		}
	}
	slices.Sort(known)
	names, refs := placesAmong(args)
	if len(refs) > 0 {
		return cli.Usagef("%s is no place: 'tallyman coverage' takes places, like sls://REGION/PROJECT/", refs[0])
	}
	if len(names) == 0 {
		names = slices.DeleteFunc(slices.Clone(known), func(name string) bool { return name == "" && len(all[name].Phases) == 0 })
	}
	for _, name := range names {
		p, ok := all[name]
		if !ok {
			err := fmt.Errorf("%s: %w%s", name, worker.ErrUnknownExport, cli.DidYouMean("", name, known))
			return &cli.UsageError{Err: err, Reference: name}
		}
		c.places = append(c.places, p)
	}
	return nil
}

// expectations are those of the places and groups that are told of.
func (c *coverageCommand) expectations() (chosen []coverage.Expectation) {
	for _, e := range c.app.expectations() {
		isChosen := slices.ContainsFunc(c.places, func(p catalog.Place) bool { return p.Name == e.Place })
		if isChosen && (e.Group == "" && c.app.LogStore == "" || e.Group != "" && c.isChosen(e.Group)) {
			chosen = append(chosen, e)
		}
	}
	return chosen
}

// isChosen reports whether a group is of the log store and the query that are given.
func (c *coverageCommand) isChosen(group string) bool {
	switch {
	case c.app.LogStore == "":
		return true
	case c.app.Query == "":
		return strings.HasPrefix(group, c.app.LogStore+" ")
	}
	return group == windowGroup(c.app.LogStore, c.app.Query)
}

// addPlace adds the lines of a place: one of each group, and one of what else is known.
func (c *coverageCommand) addPlace(p *catalog.Place) error {
	isTold := map[string]bool{}
	for _, f := range c.findings {
		if f.Place != p.Name || c.isAsked && f.Group != "" {
			continue
		}
		isTold[f.Group] = true
		if f.Group == "" {
			line := coverageLine{Schema: coverageSchema, Place: p.Name, By: byLandings, Exports: p.Phases[catalog.Landed].Exports}
			if by := fetch.CompletenessOf(p.Name); by != fetch.ByWindows {
				var err error
				if line, err = c.untimedLine(p); err != nil {
					return err
				}
			}
			line.expect(&f)
			c.lines = append(c.lines, line)
			continue
		}
		line := newCoverageLine(&f.Windows)
		line.expect(&f)
		c.lines = append(c.lines, line)
	}
	for windows, err := range c.catalog.Groups(p.Name) {
		if err != nil {
			return err
		}
		if isTold[windows.Name] || !c.isChosen(windows.Name) {
			continue
		}
		isTold[windows.Name] = true
		group, err := coverage.Of(c.catalog, p, windows, c.within)
		if err != nil {
			return err
		}
		line := newCoverageLine(&group)
		if c.isAsked {
			line.Continuous = "asked"
		}
		c.lines = append(c.lines, line)
	}
	if len(isTold) > 0 || c.app.LogStore != "" {
		return nil
	}
	line, err := c.untimedLine(p)
	c.lines = append(c.lines, line)
	return err
}
