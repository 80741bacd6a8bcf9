package page

import (
	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"
)

// A Story is what happened to an export, and what can be done to it as it stands now.
type Story struct {
	Text  string
	Verbs []Verb // in the order in which they help
	Vain  bool   // another attempt ends the same way
}

// story tells what happened to an export.
func (v *views) story(ref string, s Story) g.Node {
	button := func(verb Verb) g.Node {
		return v.act(Action{Verb: verb, Ref: ref}, "button", retryText(s.Vain && verb == Retry, verb.Title()+"…"))
	}
	return v.document(ref,
		h.H1(g.Text(ref)),
		buttons(g.Map(s.Verbs, button)...),
		h.Pre(h.TabIndex("0"), g.Text(s.Text)),
	)
}
