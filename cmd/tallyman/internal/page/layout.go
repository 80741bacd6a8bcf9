package page

import (
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"
)

// views are the pages as HTML. What comes from outside gets into them as a text, as the value
// of an attribute, or as an address by href: each of these is escaped.
type views struct {
	logsIn bool  // whoever sees them has logged in, and can log out
	by     Actor // nil: nothing can be done
}

const loginTitle = "Log in"

// document is a page.
func (v *views) document(title string, content ...g.Node) g.Node {
	return h.Doctype(h.HTML(h.Lang("en"),
		h.Head(
			h.Meta(h.Charset("utf-8")),
			h.Meta(h.Name("viewport"), h.Content("width=device-width, initial-scale=1")),
			h.TitleEl(g.Text(title)),
			h.Link(h.Rel("stylesheet"), h.Href(stylePath)),
		),
		h.Body(
			h.Header(
				link("/", g.Text("Tallyman")), g.Text(" "),
				link("/exports", g.Text("Exports")), g.Text(" "),
				link("/notifications", g.Text("Notifications")),
				g.If(v.logsIn && title != loginTitle, link("/logout", h.Class("right"), g.Text("Log out"))),
			),
			h.Main(content...),
		),
	))
}

// message is a page that says why something is not shown, or was not done.
func (v *views) message(heading, class, text string, more ...g.Node) g.Node {
	return v.document("Tallyman",
		h.H1(g.Text(heading)),
		alert(class, text),
		g.Group(more),
	)
}

// refuse writes that something is not shown, and why.
func (v *views) refuse(w http.ResponseWriter, code int, why string) {
	show(w, code, v.message("Not to be shown", "", why))
}

// fail writes the error that there is in place of a page.
func (v *views) fail(w http.ResponseWriter, err error) {
	if errors.Is(err, fs.ErrNotExist) {
		v.refuse(w, http.StatusNotFound, "Nothing is known of this export.")
		return
	}
	v.refuse(w, http.StatusServiceUnavailable, err.Error())
}

// show writes a page with a status.
func show(w http.ResponseWriter, code int, page g.Node) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	_ = page.Render(w) // to one who may be gone
}

// can reports whether a verb can be used here.
func (v *views) can(verb Verb) bool { return v.by != nil && v.by.Offers(verb) }

// act is a link to the page that asks whether an action is wanted, if its verb can be used
// here.
func (v *views) act(a Action, class, text string) g.Node {
	if !v.can(a.Verb) {
		return nil
	}
	return link("/act?"+a.Query(), g.If(class != "", h.Class(class)), g.Text(text))
}

// href is the address of a link: a path of this site, whatever the text says.
func href(address string) g.Node { return h.Href(localPath(address)) }

func link(address string, children ...g.Node) g.Node { return h.A(href(address), g.Group(children)) }

// linkToExport leads to what happened to an export.
func linkToExport(ref string) g.Node {
	return link(exportAddress(ref), g.Text(ref))
}

func exportAddress(ref string) string { return "/export?" + url.Values{"ref": {ref}}.Encode() }

// buttons are links, or buttons, beside each other. Those that are nil are left out.
func buttons(children ...g.Node) g.Node {
	if !slices.ContainsFunc(children, func(n g.Node) bool { return n != nil }) {
		return nil
	}
	return h.P(h.Class("buttons"), g.Group(children))
}

// alert is a paragraph that screen readers read out at once, and nil without a text.
func alert(class, text string) g.Node {
	if text == "" {
		return nil
	}
	return h.P(h.Role("alert"), g.If(class != "", h.Class(class)), g.Text(text))
}

// paragraph is a paragraph of a text, and nil without one.
func paragraph(class, text string) g.Node {
	if text == "" {
		return nil
	}
	return h.P(g.If(class != "", h.Class(class)), g.Text(text))
}

// retryText is what a button to retry says: not that it helps, where that is vain.
func retryText(isVain bool, text string) string {
	if isVain {
		return "Retry anyway…"
	}
	return text
}

// help says what to do about what has failed, and nothing where nothing is known.
func help(isVain bool, text string) g.Node {
	if text == "" && !isVain {
		return nil
	}
	lead := "What helps:"
	if isVain {
		lead = "A retry ends the same way:"
	}
	return h.P(h.Class("help"), h.Strong(g.Text(lead)), g.Text(" "+text))
}

// command is a command line in a paragraph, and nil without one.
func command(text string) g.Node {
	if text == "" {
		return nil
	}
	return h.P(h.Code(g.Text(text)))
}

// table has columns and rows.
func table(columns []string, rows g.Group) g.Node {
	return h.Table(
		h.THead(h.Tr(g.Map(columns, func(name string) g.Node { return h.Th(h.Scope("col"), g.Text(name)) }))),
		h.TBody(rows),
	)
}

// cell is of a column, whose name it tells where there is no room for columns.
func cell(column string, children ...g.Node) g.Node {
	return h.Td(h.Data("name", column), g.Group(children))
}

// when tells how long ago a time was; "never" if it is nil.
func when(at *time.Time) g.Node {
	if at == nil {
		return h.Span(h.Class("never"), g.Text("never"))
	}
	return h.Time(h.DateTime(stamp(at)), g.Text(ago(at)))
}
