package page

import (
	"cmp"
	"fmt"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"
)

// An Overview is what the page opens on.
type Overview struct {
	Sums   []Sum // of all places
	Places []Place
	Groups []Group
}

// A Place is a place and the sums of its exports.
type Place struct {
	Name                       string
	Schedule                   string     // "on schedule", "late" or "never listed"; "" if it is in none
	Listed, LastLanded, Proven *time.Time // nil: never
	Sums                       []Sum
	Doubted, Bad, Waits        bool            // something landed with open doubts; something failed, is gone or can't be listed; something waits
	Problem, Command           string          // why it can't be listed; and the command that settles that, or what is missing
	Help                       string          // what to do about why it can't be listed, or ""
	Covered                    []CoverageGroup // which time some groups of it cover; of many exports, its own page tells that
}

// A Sum is how many exports are in one state, or when a place is due.
type Sum struct {
	Kind string // "landed", "doubts", "waiting", "failed", "damaged", "accepted", "gap", "late", "missing", "next" or "unknown"
	Text string
	List string // the address of the list of them; "": they are in none
}

// A Group is what is wrong with exports for one cause.
type Group struct {
	Phase, Cause string
	Exports      int64
	First, Last  *time.Time
	Sample       string // the reference of one of them
	Message      string // of that one
	Vain         bool   // another attempt ends the same way
	Help         string // what to do, in words, or ""
	Command      string // that helps all of them, or ""
	List         string // the address of the list of them
}

// overview shows how places stand, what is under way, and what is wrong.
func (v *views) overview(o Overview, r Running) g.Node {
	places := h.P(g.Text("Nothing was asked for yet."))
	if len(o.Places) > 0 {
		places = table([]string{"Place", "Schedule", "Listed", "Landed", "Proven", "Exports"}, g.Map(o.Places, v.place))
	}
	return v.document("Tallyman",
		h.H1(g.Text("Places")), g.If(len(o.Sums) > 0, h.P(h.Class("sums"), h.Span(h.Class("quiet"), g.Text("In all: ")), g.Map(o.Sums, Sum.view))), places,
		running(r),
		h.H1(h.ID("wrong"), g.Text("What is wrong")), g.Map(o.Groups, v.group),
		g.If(len(o.Groups) == 0, h.P(g.Text("Nothing has failed, is damaged or gone."))),
	)
}

func (v *views) place(p Place) g.Node {
	var name, problem, actions g.Node = g.Text("(no place)"), nil, nil
	if p.Problem != "" {
		problem = paragraph("message", "not listed: "+p.Problem)
	}
	if p.Name != "" {
		name, actions = link(CoverageAddress(p.Name, "", nil), g.Text(p.Name)), v.placeActions(p)
	}
	return h.Tr(
		h.Th(h.Scope("row"), name, problem, help(false, p.Help), command(p.Command), g.Map(p.Covered, CoverageGroup.inShort), actions),
		cell("Schedule", g.If(p.Schedule == "late", h.Class("late")), g.If(p.Schedule == "", h.Class("quiet")), g.Text(cmp.Or(p.Schedule, "none"))),
		cell("Listed", when(p.Listed)),
		cell("Landed", when(p.LastLanded)),
		cell("Proven", g.If(p.LastLanded != nil && p.Proven == nil, h.Class("late")), when(p.Proven)),
		cell("Exports", h.Class("sums"), g.Map(p.Sums, Sum.view)),
	)
}

// view is the sum, with a space behind it.
func (s Sum) view() g.Node {
	class, text := h.Class("sum "+s.Kind), g.Text(s.Text)
	if s.List == "" {
		return g.Group{h.Span(class, text), g.Text(" ")}
	}
	return g.Group{link(s.List, class, text), g.Text(" ")}
}

func (v *views) placeActions(p Place) g.Node {
	var links g.Group
	if p.Problem != "" {
		links = append(links, v.act(Action{Verb: Accept, Phase: unlisted, Place: p.Name}, "", "Accept this error…"))
	}
	if p.Doubted {
		links = append(links, v.act(Action{Verb: Accept, Phase: Doubts, Place: p.Name}, "", "Accept doubts…"))
	}
	if p.Waits {
		links = append(links, v.act(Action{Verb: Cancel, Phase: asked, Place: p.Name}, "", "Cancel what waits…"))
	}
	return buttons(links...)
}

func (v *views) group(c Group) g.Node {
	heading := fmt.Sprintf("%d %s", c.Exports, c.Phase)
	if c.Phase != c.Cause {
		heading += " by " + c.Cause
	}
	var actions g.Node
	if c.Phase == failed {
		a := func(verb Verb) Action { return Action{Verb: verb, Phase: c.Phase, Cause: c.Cause} }
		actions = buttons(
			g.If(!c.Vain, v.act(a(Retry), "button", "Retry this group…")),
			v.act(a(Accept), "button", "Accept…"),
			v.act(a(Cancel), "button", "Cancel…"),
		)
	}
	return h.Section(
		h.H2(link(c.List, g.Text(heading))),
		h.P(h.Class("quiet"), g.Text("first "), when(c.First), g.Text(", last "), when(c.Last), g.Text(", such as "), linkToExport(c.Sample)),
		paragraph("message", c.Message),
		help(c.Vain, c.Help),
		command(c.Command),
		actions,
	)
}
