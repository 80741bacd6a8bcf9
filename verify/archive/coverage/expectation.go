package coverage

import (
	"cmp"
	"slices"
	"time"

	"tallyman/verify/archive/catalog"
)

// An Expectation is what a person declares of a place, or of a group of windows in it.
type Expectation struct {
	Place string
	Group string        // that is to have no gaps; "": of the place, that something lands in it
	Every time.Duration // how far apart landings are, or how far the last window may be behind
	Since time.Duration // how far back there are to be no gaps; 0: from the first window on
	Grace time.Duration // how long what is due may take
}

// A Finding is how an expectation stands at a time.
type Finding struct {
	Expectation
	Windows Group     // of a group, what it covers, and its gaps of which the grace is over
	Last    time.Time // where the last window ends, or when something landed last; zero: there is none
	Late    bool      // what was due after that is not there, and its grace is over
}

// IsMet reports whether nothing is lacking.
func (f *Finding) IsMet() bool { return !f.Late && len(f.Windows.Gaps) == 0 }

// Check holds expectations against a catalog at the time now. The findings are in their order.
func Check(c *catalog.Catalog, expectations []Expectation, now time.Time) ([]Finding, error) {
	if len(expectations) == 0 {
		return nil, nil
	}
	places, groups := map[string]catalog.Place{}, map[[2]string]catalog.Group{}
	var names []string
	for _, e := range expectations {
		names = append(names, e.Place)
	}
	for p, err := range c.Places() {
		if err != nil {
			return nil, err
		}
		places[p.Name] = p
	}
	for g, err := range c.Groups(names...) {
		if err != nil {
			return nil, err
		}
		groups[[2]string{g.Place, g.Name}] = g
	}
	findings := make([]Finding, len(expectations))
	for i, e := range expectations {
		place := places[e.Place]
		place.Name = e.Place
		findings[i] = Finding{Expectation: e}
		if e.Group == "" {
			findings[i].checkPlace(&place, now)
			continue
		}
		windows := groups[[2]string{e.Place, e.Group}]
		windows.Name = e.Group
		if err := findings[i].checkGroup(c, &place, windows, now); err != nil {
			return nil, err
		}
	}
	return findings, nil
}

// checkPlace looks when something landed last. A time that was accepted to be lacking counts
// as if something had landed at its end.
func (f *Finding) checkPlace(place *catalog.Place, now time.Time) {
	f.Last = place.LastLanded
	last := f.Last
	accepted := slices.SortedFunc(slices.Values(place.AcceptedWindows), func(a, b catalog.AcceptedWindow) int { return cmp.Compare(a.From, b.From) })
	for _, a := range accepted {
		if to := time.Unix(a.To, 0); a.Group == "" && to.After(last) && !time.Unix(a.From, 0).After(last.Add(f.Every+f.Grace)) {
			last = to
		}
	}
	f.Late = last.Add(f.Every + f.Grace).Before(now)
}

// checkGroup looks for gaps up to where the windows go, or up to what is due if they end
// before that. What has ended less than the grace ago may be under way.
func (f *Finding) checkGroup(c *catalog.Catalog, place *catalog.Place, windows catalog.Group, now time.Time) (err error) {
	if windows.Windows > 0 {
		f.Last = time.Unix(windows.To, 0).UTC()
	}
	due := now.Add(-f.Grace - f.Every)
	isBehind := f.Last.Before(due)
	within := Span{windows.From, min(windows.To, now.Add(-f.Grace).Unix())}
	if f.Since > 0 {
		from := now.Add(-f.Since).Unix()
		every := max(1, int64(f.Every/time.Second))
		within.From = from + (every-from%every)%every // a window that began before is no gap
	}
	if isBehind {
		within.To = due.Unix()
	}
	if windows.Windows == 0 && f.Since == 0 { // where it ought to begin is not known
		f.Windows, f.Late = Group{Place: f.Place, Name: f.Group}, true
		return nil
	}
	if f.Windows, err = Of(c, place, windows, within); err != nil {
		return err
	}
	gaps := f.Windows.Gaps
	f.Late = isBehind && len(gaps) > 0 && gaps[len(gaps)-1].To == within.To
	return nil
}
