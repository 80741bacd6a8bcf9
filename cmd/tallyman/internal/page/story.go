package page

import (
	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"
)

// A Story is what happened to an export, and what can be done to it as it stands now.
type Story struct {
	Text  string
	Verbs []Verb
}

// story tells what happened to an export.
func (v *views) story(ref string, s Story) g.Node {
	return v.document(ref,
		h.H1(g.Text(ref)),
		buttons(g.Map(s.Verbs, func(verb Verb) g.Node { return v.act(Action{Verb: verb, Ref: ref}, "button", verb.Title()+"…") })...),
		h.Pre(h.TabIndex("0"), g.Text(s.Text)),
	)
}
