package page

import (
	"cmp"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"
)

// exports show a list, with the form that asks for another; or why that can't be understood.
func (v *views) exports(q Query, list ExportList, problem string) g.Node {
	content := g.Group{h.H1(g.Text("Exports")), filter(q, list)}
	if problem != "" {
		return v.document("Exports", content, alert("problem", problem))
	}
	count := list.count(q)
	if looked := list.looked(q); looked != "" {
		count += ". " + looked
	}
	content = append(content, h.P(h.Role("status"), g.Text(count)))
	if len(list.Exports) > 0 {
		content = append(content, help(list.Vain, list.Help), v.listActions(q, list), table([]string{"Export", "State", "When", "Content", "Records"}, g.Map(list.Exports, Export.row)))
	}
	return v.document("Exports", content, h.Nav(h.Aria("label", "Pages of the list"), buttons(parts(q, list)...)))
}

// filter is the form that asks for a list.
func filter(q Query, list ExportList) g.Node {
	choices := func(id string, values []string) g.Node {
		return h.DataList(h.ID(id), g.Map(values, func(value string) g.Node { return h.Option(h.Value(value)) }))
	}
	size := func(n string) g.Node { return g.Attr("size", n) }
	return h.Form(h.Method("get"), h.Action("/exports"), h.Role("search"), h.Class("filter"),
		h.Label(g.Text("Reference has "), h.Input(h.Type("search"), h.Name("text"), h.Value(q.Text), size("28"))),
		h.Label(g.Text("Place "), h.Input(h.Name("place"), h.Value(q.Place), h.List("places"), size("28"))), choices("places", list.Places),
		h.Label(g.Text("State "), h.Select(h.Name("state"), h.Option(h.Value(""), g.Text("any")), g.Map(States, func(state string) g.Node {
			return h.Option(h.Value(state), g.If(state == q.State, h.Selected()), g.Text(cmp.Or(stateNames[state], state)))
		}))),
		h.Label(g.Text("Cause "), h.Input(h.Name("cause"), h.Value(q.Cause), h.List("causes"), size("14"))), choices("causes", list.Causes),
		h.Label(g.Text("Since "), h.Input(h.Name("since"), h.Value(q.Since), h.Placeholder("7d, fri, 2026-11-01"), size("16"))),
		h.Label(h.Input(h.Type("checkbox"), h.Name("open"), h.Value("1"), g.If(q.Open, h.Checked())), g.Text(" not accepted")),
		h.Button(g.Text("Show")), g.Text(" "), link("/exports", g.Text("All")),
	)
}

// listActions are for all exports of the list that nobody has accepted.
func (v *views) listActions(q Query, list ExportList) g.Node {
	which := " all…"
	if q.Text != "" || q.Since != "" {
		which = " what was found…"
	}
	button := func(verb Verb, phase string) g.Node {
		action := Action{Verb: verb, Phase: phase, Cause: q.Cause, Place: q.Place, Text: q.Text, Since: list.Since}
		return v.act(action, "button", retryText(list.Vain && verb == Retry, verb.Title()+which))
	}
	switch {
	case q.State == failed && list.Vain:
		return buttons(button(Accept, failed), button(Cancel, failed), button(Retry, failed))
	case q.State == failed:
		return buttons(button(Retry, failed), button(Accept, failed), button(Cancel, failed))
	case q.State == "waiting" && q.Cause == "":
		return buttons(button(Cancel, asked))
	case q.State == Doubts && q.Cause == "":
		return buttons(button(Accept, Doubts))
	}
	return nil
}

// row is the export as a line of the list.
func (e Export) row() g.Node {
	state, records := e.State, "unknown"
	if e.Cause != "" && e.Cause != e.State {
		state += ": " + e.Cause
	}
	if len(e.Doubts) > 0 {
		state += ", with doubts"
	}
	if e.Records != nil {
		records = grouped(*e.Records)
	}
	return h.Tr(g.If(e.Failed, h.Class("bad")), g.If(e.Doubted && !e.Failed, h.Class("doubted")),
		h.Th(h.Scope("row"), linkToExport(e.Ref), paragraph("", e.Message),
			g.Map(e.Doubts, func(doubt string) g.Node { return paragraph("doubt", doubt) }),
			g.If(e.Accepted != "", paragraph("accepted", "accepted: "+e.Accepted)),
		),
		cell("State", g.Text(state)),
		cell("When", when(e.When)),
		cell("Content", g.Text(cmp.Or(e.Bytes, "unknown"))),
		cell("Records", g.Text(records)),
	)
}

// parts lead to the other parts of the list.
func parts(q Query, list ExportList) (links []g.Node) {
	onwards := func(address, rel, text string, further bool) {
		if further && list.Looked > 0 {
			text = "Look further"
		}
		links = append(links, link(address, h.Class("button"), g.If(rel != "", h.Rel(rel)), g.Text(text)))
	}
	if q.Older != "" || q.Newer != "" {
		onwards(q.from("", ""), "", "Newest", false)
	}
	if list.Newer != "" {
		onwards(q.from("", list.Newer), "prev", "Newer", q.Newer != "")
	}
	if list.Older != "" {
		onwards(q.from(list.Older, ""), "next", "Older", q.Newer == "")
	}
	return links
}
