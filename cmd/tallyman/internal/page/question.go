package page

import (
	"strconv"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"tallyman/fetch/redact"
)

// A question is what a person is asked before something is done.
type question struct {
	Action Action
	Plan   Plan
	Form   string // token
	Was    int64  // how many exports the person had agreed to, if these are others by now
	Lacks  bool   // a reason was not given
	Other  bool   // it is another thing by now than the person has seen
	Fields []field
}

// question asks whether an action is wanted.
func (v *views) question(q question) g.Node {
	a, n := q.Action, q.Plan.Exports
	problem := ""
	switch {
	case q.Was > 0 && q.Was == n:
		problem = "You agreed to " + a.Count(n) + ". These are others by now, and nothing was done: look again."
	case q.Was > 0:
		problem = "You agreed to " + a.Count(q.Was) + ". There are " + strconv.FormatInt(n, 10) + " by now, and nothing was done: look again."
	case q.Other:
		problem = "It has changed since you looked, and nothing was done: look again."
	case q.Lacks:
		problem = "Say why, in a few words: nothing was done yet."
	}
	content := g.Group{h.H1(g.Text(a.Verb.Title() + " " + q.subject() + "?")), alert("problem", problem)}
	if n == 0 {
		return v.document("Tallyman", content, h.P(g.Text("There is nothing left to "+string(a.Verb)+".")), h.P(link("/", g.Text("Back"))))
	}
	content = append(content, a.Verb.effect(n), g.Map(q.Plan.Detail, func(text string) g.Node { return h.P(h.Class("message detail"), g.Text(text)) }), q.sample(), q.form())
	if q.Plan.Command != "" {
		content = append(content, h.P(h.Class("aside"), g.Text("By command line: "), h.Code(g.Text(q.Plan.Command))))
	}
	return v.document("Tallyman", content)
}

// subject is what the action is for.
func (q *question) subject() string {
	a, subject := q.Action, q.Action.Count(q.Plan.Exports)
	if a.Ref != "" {
		return subject
	}
	switch a.Phase {
	case unlisted:
		return subject + " that can't be listed"
	case gap:
		return "that " + a.Place + " lacks a time"
	case failed:
		subject += " that failed"
		if a.Cause != "" {
			subject += " by " + a.Cause
		}
	case Doubts:
		subject += " that landed with doubts"
	default:
		subject += " that wait"
		if q.Plan.Exports == 1 {
			subject += "s"
		}
	}
	if a.Place != "" {
		subject += " in " + a.Place
	}
	if a.Since != "" {
		subject += " since " + a.Since
	}
	if a.Text != "" {
		subject += " with “" + redact.URL(a.Text) + "” in the reference"
	}
	return subject
}

// effect says what a verb does to so many exports.
func (v Verb) effect(n int64) g.Node {
	one := func(it, each string) string {
		if n == 1 {
			return it
		}
		return each
	}
	switch v {
	case Retry:
		return h.P(g.Text(one("It gets", "Each gets") + " a new budget of attempts and goes to the end of the queue. What was received of it is not fetched twice."))
	case Cancel:
		return h.P(g.Text(one("It", "Each")+" is taken out of the queue, and what was received of it is "), h.Strong(g.Text("removed")), g.Text(". It stays cancelled, however often it is enqueued, until somebody retries it. What has landed stays."))
	}
	return h.P(g.Text("The ledger keeps that you have seen what is wrong and take it as it is. It is still shown, counted apart, and is red no longer. This holds for what is wrong now, and never for what comes later."))
}

// sample shows some of the exports that the action is for.
func (q *question) sample() g.Node {
	n, shown := q.Plan.Exports, len(q.Plan.Sample)
	switch {
	case n > 1:
		heading := "These"
		if int64(shown) < n {
			heading = strconv.Itoa(shown) + " of them"
		}
		return h.Details(g.If(shown <= 5, g.Attr("open")),
			h.Summary(g.Text(heading)),
			h.Ul(h.Class("refs"), g.Map(q.Plan.Sample, func(ref string) g.Node { return h.Li(linkToExport(ref)) })),
		)
	case q.Action.Phase == unlisted:
		return h.P(g.Text(q.Action.Place))
	case q.Action.Phase == gap:
		return nil
	case shown == 0:
		return nil
	}
	return h.P(linkToExport(q.Plan.Sample[0]))
}

// form has the action done.
func (q *question) form() g.Node {
	a, n := q.Action, q.Plan.Exports
	var reason g.Node
	if a.Verb == Accept {
		reason = h.P(
			h.Label(h.For("reason"), g.Text("Why")),
			h.Textarea(h.ID("reason"), h.Name("reason"), h.Rows("3"), h.MaxLength(strconv.Itoa(maxReason)), h.Required(), g.If(q.Lacks, h.Aria("invalid", "true")), g.Text(a.Reason)),
		)
	}
	back := "Back"
	if a.Verb == Cancel {
		if back = "Leave them be"; n == 1 {
			back = "Leave it be"
		}
	}
	return h.Form(h.Method("post"), h.Action("/act"),
		hidden("form", q.Form),
		g.Map(q.Fields, func(f field) g.Node { return hidden(f.Name, f.Value) }),
		reason,
		buttons(h.Button(h.Class(string(a.Verb)), g.Text(a.Verb.Title()+" "+a.Count(n))), link(a.from(), g.Text(back))),
	)
}

// from is where a person comes from who wants the action.
func (a Action) from() string {
	switch {
	case a.Ref != "":
		return exportAddress(a.Ref)
	case a.Phase == gap:
		return CoverageAddress(a.Place, a.Group, a.Window)
	case a.Text != "" || a.Since != "":
		state := a.Phase
		if state == asked {
			state = "waiting"
		}
		return Query{Text: a.Text, Place: a.Place, State: state, Cause: a.Cause, Since: a.Since}.Address()
	}
	return "/"
}

// hidden is a field of a form that a person does not see.
func hidden(name, value string) g.Node {
	return h.Input(h.Type("hidden"), h.Name(name), h.Value(value))
}
