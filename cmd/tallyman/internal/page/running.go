package page

import (
	"cmp"
	"strconv"
	"time"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"
)

// Running is what is under way, by the queue of all workers.
type Running struct {
	Unknown string // why it is not known, or ""

	Exports []RunningExport
	More    int // that run too, and are not among them

	Retries     []NextTry // the first that are due
	MoreRetries int       // that wait too

	Places  []WaitingPlace // whose jobs are waited for
	Waiting int64          // exports that wait for their jobs
}

// A RunningExport is an export at which a worker makes an attempt. Texts are "" where nothing
// is known.
type RunningExport struct {
	Ref      string
	Asks     bool   // only whether its job has ended
	Received string // bytes that are here, and of how many
	Percent  *int   // nil: not known
	Rate     string // at which bytes come
	Left     string // how long it still takes at that rate
}

// A NextTry is an export that waits for its next attempt.
type NextTry struct {
	Ref, Why string
	Due      string
}

// A WaitingPlace is a place whose jobs are waited for.
type WaitingPlace struct {
	Name, List string // the address of the list of the exports
	Exports    int64
	Listed     *time.Time // nil: it was not yet
}

// running shows what is under way, and has it kept up to date where scripts run.
func running(r Running) g.Node {
	return g.Group{
		h.H1(h.ID("under-way"), g.Text("Under way")),
		h.Div(h.ID("live"), h.Aria("labelledby", "under-way"), h.Role("region"), r.view()),
		h.P(h.Class("live-state"), g.Attr("hidden"), h.Span(h.Role("status")), g.Text(" "), h.Button(h.Type("button"), g.Text("Pause"))),
		h.Script(h.Src("/live.js"), h.Defer()),
	}
}

// view shows what is under way, as it is sent again and again.
func (r Running) view() g.Node {
	if r.Unknown != "" {
		return paragraph("", "What runs is not known: "+r.Unknown)
	}
	shown := g.Group{paragraph("", "Nothing runs now.")}
	if len(r.Exports) > 0 {
		shown = g.Group{table([]string{"Running", "Received", "Rate", "Left"}, g.Map(r.Exports, RunningExport.row)), more(r.More)}
	}
	if len(r.Retries) > 0 {
		shown = append(shown, table([]string{"To be tried again", "Next try", "Because"}, g.Map(r.Retries, NextTry.row)), more(r.MoreRetries))
	}
	if len(r.Places) > 0 {
		shown = append(shown, table([]string{"Waiting for jobs of", "Exports", "Listed"}, g.Map(r.Places, WaitingPlace.row)))
	}
	return shown
}

// more says how many are not shown, if any.
func more(n int) g.Node {
	if n == 0 {
		return nil
	}
	return paragraph("", "and "+strconv.Itoa(n)+" more")
}

func (e RunningExport) row() g.Node {
	received, rate, left := g.Text("its job is asked whether it is ready"), "", ""
	if !e.Asks {
		received, rate, left = g.Text(cmp.Or(e.Received, "unknown")), cmp.Or(e.Rate, "unknown"), cmp.Or(e.Left, "unknown")
	}
	var progress g.Node
	if e.Percent != nil && !e.Asks {
		percent := strconv.Itoa(*e.Percent)
		progress = g.Group{g.Text(" "), h.Progress(h.Max("100"), h.Value(percent), h.Aria("label", "Received"), g.Text(percent+" %")), g.Text(" " + percent + " %")}
	}
	return h.Tr(
		h.Th(h.Scope("row"), linkToExport(e.Ref)),
		cell("Received", received, progress),
		cell("Rate", g.Text(rate)),
		cell("Left", g.Text(left)),
	)
}

func (n NextTry) row() g.Node {
	return h.Tr(
		h.Th(h.Scope("row"), linkToExport(n.Ref)),
		cell("Next try", g.Text(n.Due)),
		cell("Because", g.Text(n.Why)),
	)
}

func (p WaitingPlace) row() g.Node {
	name, listed := g.Text(p.Name), h.Span(h.Class("quiet"), g.Text("not yet"))
	if p.List != "" {
		name = link(p.List, name)
	}
	if p.Listed != nil {
		listed = when(p.Listed)
	}
	return h.Tr(h.Th(h.Scope("row"), name), cell("Exports", g.Text(grouped(p.Exports))), cell("Listed", listed))
}
