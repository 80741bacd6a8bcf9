package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"tallyman/verify/archive/catalog"
)

// An ending is an export that waits to be fetched, and of which it is known until when it is
// there at least.
type ending struct {
	place string
	ends  time.Time
	lands time.Time // at the present rate
}

// isLate reports whether the export may be gone before it lands.
func (e ending) isLate() bool { return e.lands.After(e.ends) }

// rateSpan is how far back landings count for the present rate.
const rateSpan = 24 * time.Hour

// endingsOf tells when the exports land of which it is known until when they are there, by
// key. They are fetched in the order in which they are gone, at the rate at which exports of
// their places have landed since the first of them was known to be there; the next is taken
// to land at once, so that nothing is told of a rate that nobody knows yet.
func endingsOf(c *catalog.Catalog, now time.Time) (map[string]ending, error) {
	var waiting []catalog.Export
	since, places := now, map[string]bool{}
	for e, err := range c.Exports(catalog.Filter{Phases: []catalog.Phase{catalog.Asked}, Ending: true, Order: catalog.ByEnd}) {
		if err != nil {
			return nil, err
		}
		waiting, places[e.Place] = append(waiting, e), true
		if e.Ready.Before(since) {
			since = e.Ready
		}
	}
	if len(waiting) == 0 {
		return nil, nil
	}
	since = laterOf(since, now.Add(-rateSpan))
	landed, err := c.Count(catalog.Filter{Places: slices.Sorted(maps.Keys(places)), Phases: []catalog.Phase{catalog.Landed}, Since: since})
	if err != nil {
		return nil, err
	}
	each := now.Sub(since) / time.Duration(landed.Exports+1)
	endings := make(map[string]ending, len(waiting))
	lands := now
	for _, e := range waiting {
		if lands.Year() < maxYear {
			lands = lands.Add(each)
		}
		endings[e.Key] = ending{e.Place, e.Ends, lands}
	}
	return endings, nil
}

// maxYear is later than anybody waits for an export.
const maxYear = 2400

// addEndings adds to places how many of their exports won't land in time.
func (c *statusCommand) addEndings() {
	for _, e := range c.endings {
		line := c.overview[e.place]
		if line == nil || !e.isLate() {
			continue
		}
		if line.Ending++; line.FirstEnd == nil || e.ends.Before(*line.FirstEnd) {
			line.FirstEnd = &e.ends
		}
	}
}

// readEnding adds to the line of an export until when that is there at least, and when it
// lands, if that is known.
func (c *statusCommand) readEnding(cmd *cobra.Command, line *statusLine, key string) (err error) {
	if c.catalog == nil {
		if c.catalog, err = c.app.openCatalog(cmd, c.archive); err != nil {
			return err
		}
	}
	if c.endings == nil {
		c.endings, err = endingsOf(c.catalog, time.Now())
	}
	line.setEnding(c.endings, key)
	return err
}

func (s *statusLine) setEnding(endings map[string]ending, key string) {
	if e, known := endings[key]; known {
		lands := e.lands.UTC().Truncate(time.Second)
		s.Ends, s.Lands = &e.ends, &lands
	}
}

// printEnding prints that exports of the place won't land in time, and what helps.
func (p *placeLine) printEnding(w io.Writer, now time.Time) {
	if p.Ending == 0 {
		return
	}
	when := "the first is there until " + p.FirstEnd.Local().Format("2006-01-02 15:04")
	if p.FirstEnd.Before(now) {
		when = "the first may be gone by now"
	}
	fmt.Fprintf(w, "    at the present rate %d won't land before they are gone at their source: %s\n", p.Ending, when)
	fmt.Fprintln(w, "    tallyman worker --parallel N   # more at once, or more workers")
}
