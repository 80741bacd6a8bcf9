package page

import (
	"strconv"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"tallyman/cmd/tallyman/internal/cli"
)

// coverage shows which time the exports of a place cover.
func (v *views) coverage(c Coverage) g.Node {
	other := g.Group{link(Query{Place: c.Place}.Address(), g.Text("Its exports")), g.Text(" "), link(Query{Place: c.Place, State: failed}.Address(), g.Text("What has failed"))}
	if c.Window != nil {
		other = append(g.Group{link(CoverageAddress(c.Place, "", nil), g.Text("All of the place")), g.Text(" ")}, other...)
	}
	return v.document("Coverage",
		h.H1(g.Text("Coverage of "+c.Place)), h.P(h.Class("links"), other),
		g.Map(c.Groups, func(group CoverageGroup) g.Node { return v.coverageGroup(&c, group) }),
		g.If(len(c.Groups) == 0, h.P(g.Text("Nothing is known that covers any time."))),
	)
}

func (v *views) coverageGroup(of *Coverage, c CoverageGroup) g.Node {
	var within g.Group
	var accept g.Node
	if of.Window != nil && len(c.Gaps) > 0 {
		accept = v.act(Action{Verb: Accept, Phase: gap, Place: of.Place, Group: c.Name, Window: c.Window}, "button", "Accept this gap…")
	}
	if c.Window != nil {
		within = g.Group{g.Text(", from "), minute(c.Window.From), g.Text(" to "), minute(c.Window.To)}
	}
	return h.Section(g.If(len(c.Gaps) == 0 && c.Late == "", h.Class("whole")),
		g.If(c.Name != "", h.H2(h.Class("group"), g.Text(c.Name))),
		h.P(g.Text(c.Text), within),
		paragraph("late", c.Late),
		g.If(len(c.Cells) > 0, strip(c.Cells)),
		windows("Not covered", c.Gaps),
		g.If(c.MoreGaps > 0, h.P(g.Text("and "+strconv.Itoa(c.MoreGaps)+" more: the command coverage lists all"))),
		windows("Of this, covered once by exports that are damaged or gone", c.Lost),
		windows("Covered twice", c.Twice),
		g.Map(c.Commands, func(c Command) g.Node { return g.Group{h.P(g.Text(c.For)), command(c.Text)} }),
		buttons(accept),
	)
}

// inShort tells of the group, and what is lacking first.
func (c CoverageGroup) inShort() g.Node {
	var lacks g.Node
	if n := len(c.Gaps) - 1 + c.MoreGaps; n >= 0 {
		first := c.Gaps[0]
		lacks = h.P(g.Text("Lacks "), link(first.Address, minute(first.From), g.Text(", "+first.Length)), g.If(n > 0, g.Text(" and "+cli.Plural(int64(n), "more gap"))))
	}
	return h.Div(h.Class("covers"), h.P(h.Class("quiet"), g.Text(c.Name+": "+c.Text)), bar(c.Cells), lacks)
}

// bar is cells beside each other.
func bar(cells []Cell) g.Node {
	return h.Div(h.Class("strip"), h.Aria("hidden", "true"), g.Map(cells, func(c Cell) g.Node {
		if c.Address == "" {
			return h.Span(h.Class(c.Kind), h.Title(c.Text))
		}
		return h.A(h.Class(c.Kind), href(c.Address), h.Title(c.Text), h.TabIndex("-1"))
	}))
}

// strip shows cells beside each other, and what their colours stand for.
func strip(cells []Cell) g.Node {
	sample := func(kind, text string) g.Node {
		return g.Group{h.Span(h.Class(kind)), g.Text(" " + text + " ")}
	}
	return g.Group{
		bar(cells),
		h.P(h.Class("quiet legend"), sample("covered", "covered"), sample("partly", "lacks in part"), sample("lacking", "lacking"), sample("settled", "accepted or forgotten")),
	}
}

// windows are a list of times with a heading, and nil if there are none.
func windows(heading string, all []Window) g.Node {
	if len(all) == 0 {
		return nil
	}
	return g.Group{h.H3(g.Text(heading)), h.Ul(g.Map(all, func(w Window) g.Node {
		told := g.Group{minute(w.From), g.Text(" to "), minute(w.To), g.Text(", " + w.Length)}
		if w.Address == "" {
			return h.Li(told)
		}
		return h.Li(link(w.Address, told))
	}))}
}

// minute is a time as people read it, to the minute.
func minute(at time.Time) g.Node {
	at = at.UTC()
	return h.Time(h.DateTime(at.Format(time.RFC3339)), g.Text(at.Format("2006-01-02 15:04 MST")))
}
