package page

import (
	"net/http"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"tallyman/cmd/tallyman/internal/cli"
)

// Notifications are whom workers tell of what happens in the archive.
type Notifications struct {
	Known   bool // how they were told last; it is being read else
	Targets []Notified
}

// A Notified is one whom workers tell.
type Notified struct {
	Name, By string
	When     string     // it is told of what
	IsPing   bool       // when one was sent is not written down
	Sent     *time.Time // a message; nil: never
	Failed   *time.Time // one could not be sent, and none was since; nil: that is not so
	Tries    int        // that failed since
}

// serveNotifications serves whom workers tell.
func serveNotifications(mux *http.ServeMux, v *views, s Source) {
	mux.HandleFunc("GET /notifications", func(w http.ResponseWriter, r *http.Request) {
		n, err := s.Notifications(r.Context())
		if err != nil {
			v.fail(w, err)
			return
		}
		show(w, http.StatusOK, v.notifications(n))
	})
}

func (v *views) notifications(n Notifications) g.Node {
	if len(n.Targets) == 0 {
		return v.document("Notifications", h.H1(g.Text("Notifications")),
			h.P(g.Text("Nobody is told of what happens here: notify: in the configuration file says whom to tell, and how.")), command("tallyman notify --help"))
	}
	return v.document("Notifications", h.H1(g.Text("Notifications")),
		table([]string{"Target", "By", "Told of", "Last sent", "State"}, g.Map(n.Targets, func(t Notified) g.Node { return t.row(n.Known) })),
		h.P(h.Class("aside"), g.Text("To try whether messages arrive: "), h.Code(g.Text("tallyman notify test"))),
	)
}

func (t Notified) row(isKnown bool) g.Node {
	quiet := func(text string) g.Node { return h.Span(h.Class("quiet"), g.Text(text)) }
	sent, state := quiet("being read: load the page again"), quiet("unknown")
	switch {
	case t.IsPing:
		sent, state = quiet("not written down"), quiet("see at its service")
	case !isKnown:
	case t.Failed != nil:
		sent = when(t.Sent)
		state = g.Group{g.Text("not told: " + cli.Plural(int64(t.Tries), "attempt") + " failed, the last "), when(t.Failed), paragraph("", "The log of the worker says why.")}
	case t.Sent == nil:
		sent, state = when(nil), quiet("nothing was to be told")
	default:
		sent, state = when(t.Sent), g.Text("told")
	}
	return h.Tr(g.If(t.Failed != nil, h.Class("bad")),
		h.Th(h.Scope("row"), g.Text(t.Name)),
		cell("By", g.Text(t.By)),
		h.Td(h.Data("name", "Told of"), h.Class("sums"), g.Text(t.When)),
		cell("Last sent", sent),
		h.Td(h.Data("name", "State"), h.Class("sums"), state),
	)
}
