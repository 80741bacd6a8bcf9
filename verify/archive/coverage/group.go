package coverage

import (
	"tallyman/verify/archive/catalog"
)

// A Group is how much of a time the windows of a group cover. Its spans are as Union has
// them, and none goes beyond Within.
type Group struct {
	Place, Name string
	Windows     int64 // of exports that landed, also of those that were removed, or are damaged or gone
	Whole       int64 // of these, the ones that cover a part of Within
	Within      Span  // the time that was looked at

	Covered  []Span
	Settled  []Span
	Gaps     []Span
	Lost     []Span // of the gaps
	Overlaps []Span // of the covered time

	Header Header
}

// Of tells how much of a time a group of a place covers. Where within has no beginning or no
// end, that is where the first window begins or the last one ends. It reads each window once,
// and keeps what it makes of them.
func Of(c *catalog.Catalog, place *catalog.Place, windows catalog.Group, within Span) (Group, error) {
	if within.From == 0 {
		within.From = windows.From
	}
	if within.To == 0 {
		within.To = windows.To
	}
	g := Group{Place: place.Name, Name: windows.Name, Windows: windows.Windows, Within: within}
	var whole, lost, settled merger
	var single doubles
	var firsts Firsts
	var rows rowCount
	for w, err := range c.Windows(g.Place, g.Name) {
		if err != nil {
			return Group{}, err
		}
		firsts.Add(w)
		span := Span{w.From, w.To}.Clip(within)
		switch w.Phase {
		case catalog.Damaged, catalog.Absent:
			lost.add(span)
		case catalog.Removed:
			settled.add(span)
		default:
			if !span.IsEmpty() {
				g.Whole++
				rows.add(w.First)
			}
			whole.add(span)
			if !w.Again { // else it is there twice since that was asked for
				single.add(span)
			}
		}
	}
	for _, a := range place.AcceptedWindows {
		if a.Group == "" || a.Group == g.Name {
			settled.union = append(settled.union, Span{a.From, a.To})
		}
	}
	g.Covered, g.Overlaps = whole.union, single.twice
	g.Gaps = Gaps(g.Covered, within)
	if g.Settled = Common(g.Gaps, settled.union); len(settled.union) > 0 {
		g.Gaps = Gaps(append(settled.union, g.Covered...), within)
	}
	g.Lost = Common(g.Gaps, lost.union)
	return g, g.addHeader(c, &firsts, &rows)
}

// Percent is how much of the time is covered that is not settled, rounded so that it is 100
// only where nothing is lacking, and 0 only where nothing is covered.
func (g *Group) Percent() float64 {
	lacking := Length(g.Gaps)
	covered := Length(g.Covered)
	switch {
	case lacking == 0:
		return 100
	case covered == 0:
		return 0
	}
	return min(max(100*float64(covered)/float64(covered+lacking), 0.1), 99.9)
}
