package page

import (
	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"
)

// A login is what the form to log in shows.
type login struct{ Form, Next, Problem string }

// login is the form that asks for the token.
func (v *views) login(l login) g.Node {
	return v.document(loginTitle,
		h.H1(g.Text(loginTitle)), alert("problem", l.Problem),
		h.Form(h.Method("post"), h.Action("/login"),
			hidden("form", l.Form), hidden("next", l.Next),
			h.P(
				h.Label(h.For("token"), g.Text("Token")),
				h.Input(h.ID("token"), h.Name("token"), h.Type("password"), h.AutoComplete("current-password"), h.Required(), h.AutoFocus()),
				h.Small(g.Text("It is in the file that --page-token-file names.")),
			),
			h.P(
				h.Label(h.For("name"), g.Text("Your name, if you like")),
				h.Input(h.ID("name"), h.Name("name"), h.AutoComplete("name"), h.MaxLength("60")),
				h.Small(g.Text("The ledger keeps it with what you retry, cancel or accept.")),
			),
			buttons(h.Button(g.Text("Log in")), link(l.Next, g.Text("I am logged in already"))),
		),
	)
}

// logout asks whether a browser is to be logged out.
func (v *views) logout(form string) g.Node {
	return v.document(loginTitle,
		h.H1(g.Text("Log out")),
		h.Form(h.Method("post"), h.Action("/logout"),
			hidden("form", form),
			h.P(g.Text("This browser will need the token again.")),
			buttons(h.Button(g.Text("Log out")), link("/", g.Text("Stay"))),
		),
	)
}
