package page

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	g "maragu.dev/gomponents"
	h "maragu.dev/gomponents/html"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/fetch/redact"
)

// A Verb is what a person can have done to exports.
type Verb string

// The verbs.
const (
	Retry  Verb = "retry"
	Cancel Verb = "cancel"
	Accept Verb = "accept"
)

// Title is the verb as the first word of a heading.
func (v Verb) Title() string { return strings.ToUpper(string(v[:1])) + string(v[1:]) }

// Past is what exports are when it is done.
func (v Verb) Past() string {
	switch v {
	case Retry:
		return "queued again"
	case Cancel:
		return "cancelled"
	}
	return "accepted"
}

// An Action is a Verb and what it is for: one export, or a group of them.
type Action struct {
	Verb Verb
	Ref  string // of one export; "": it is for the group

	// A group is of the exports of a place, or of all places if that is "", that are in a
	// phase: "failed", by a cause if there is one, "asked", or "doubts" for those that landed
	// with doubts. What a person has accepted is not among them. In place of a group, the
	// phase "unlisted" is of the error by which the place can't be listed, and "gap" of what
	// the Window of a group of the place lacks.
	Phase, Cause, Place string

	Window *Window
	Group  string // that the Window is of

	// Of a list that was searched, the group has only what the search found: exports whose
	// reference has the text, since a time as --since takes it.
	Text, Since string

	Reason string // why, of Accept
	By     string // the name of who wants it, for the ledger
}

// A Plan is what an Action would touch.
type Plan struct {
	Exports int64
	Set     string   // tells apart which exports these are, of a list that was searched; else ""
	Sample  []string // the references of some of them
	Detail  []string // what else is to be known before, such as the doubts of the one export
	Command string   // that does the same, or ""
}

// digest tells apart what a person is to know before.
func (p Plan) digest() string {
	if p.Set != "" {
		return p.Set
	}
	sum := sha256.Sum256([]byte(strings.Join(p.Detail, "\n")))
	return hex.EncodeToString(sum[:8])
}

// A Result is what came of an Action for one export.
type Result struct {
	Ref  string
	Said string // how it stands now; "" if that failed
	Err  string // why it failed, and what helps, or ""
	Hint string
}

// An Actor does what a person wants. Its methods may be called by many goroutines at once.
type Actor interface {
	// Offers reports whether a verb can be used here.
	Offers(v Verb) bool
	// Plan looks up what an action would touch, and changes nothing. It fails with
	// fs.ErrNotExist if nothing is known of the export, and with a *RefusedError if the
	// action is not for that.
	Plan(ctx context.Context, a Action) (Plan, error)
	// Begin fixes what an action touches: so many exports. do has it done, and reports each
	// export by a call, many at once. Begin fails as Plan does, and with a *ChangedError if
	// that is not what a person has agreed to.
	Begin(ctx context.Context, a Action, agreed Agreement) (do func(report func(Result)), exports int64, err error)
}

// An Agreement is what a person has agreed to by a Plan.
type Agreement struct {
	Exports int64  // not more than so many
	Set     string // and, of a list that was searched, exactly these: the Set of the Plan
}

// Check returns a *ChangedError if a plan has what was not agreed to.
func (a Agreement) Check(p Plan) error {
	if p.Exports > a.Exports || p.Set != "" && p.Set != a.Set {
		return &ChangedError{Exports: p.Exports}
	}
	return nil
}

// A RefusedError says why an action is not for what it was wanted for.
type RefusedError struct{ Why string }

// Error is the reason.
func (e *RefusedError) Error() string { return e.Why }

// A ChangedError is of an action that would touch other exports than a person has agreed to.
type ChangedError struct{ Exports int64 }

// Error says how many there are.
func (e *ChangedError) Error() string {
	return "there are " + strconv.FormatInt(e.Exports, 10) + " exports by now"
}

// Query is the action as the query of the page that asks whether it is wanted.
func (a Action) Query() string {
	q := url.Values{}
	for _, field := range a.fields() {
		if field.Value != "" {
			q.Set(field.Name, field.Value)
		}
	}
	return q.Encode()
}

// A field is a hidden one of the form.
type field struct{ Name, Value string }

func (a Action) fields() []field {
	fields := []field{
		{"verb", string(a.Verb)}, {"ref", a.Ref}, {"phase", a.Phase}, {"cause", a.Cause}, {"place", a.Place}, {"text", a.Text}, {"since", a.Since},
	}
	if a.Window != nil {
		from, to := a.Window.texts()
		fields = append(fields, field{"group", a.Group}, field{"from", from}, field{"to", to})
	}
	return fields
}

// actionOf reads an action from a query or a form.
func actionOf(values url.Values) Action {
	window, _ := windowOf(values)
	return Action{
		Verb: Verb(values.Get("verb")), Ref: values.Get("ref"), Phase: values.Get("phase"), Cause: values.Get("cause"), Place: values.Get("place"),
		Text: values.Get("text"), Since: values.Get("since"), Window: window, Group: values.Get("group"),
		Reason: redact.Text(strings.TrimSpace(values.Get("reason"))), // it is kept for ever
	}
}

// phasesOf are the phases of groups that a verb is for.
var phasesOf = map[Verb][]string{Retry: {failed}, Cancel: {failed, asked}, Accept: {failed, Doubts, unlisted, gap}}

// The phases of groups, beside Doubts.
const (
	failed   = "failed"
	asked    = "asked"
	unlisted = "unlisted"
	gap      = "gap"
)

// IsOne reports whether the action is for one export, place or gap, and for no group.
func (a Action) IsOne() bool { return a.Ref != "" || a.Phase == unlisted || a.Phase == gap }

// Count is a number of what the action is for.
func (a Action) Count(n int64) string {
	switch a.Phase {
	case unlisted:
		return cli.Plural(n, "place")
	case gap:
		return cli.Plural(n, "gap")
	}
	return cli.Plural(n, "export")
}

// check returns a *RefusedError if nobody could want the action here.
func (a Action) check(by Actor) error {
	switch phases, known := phasesOf[a.Verb]; {
	case !known:
		return &RefusedError{"There is no such action."}
	case !by.Offers(a.Verb):
		return &RefusedError{"Here nobody can " + string(a.Verb) + " exports."}
	case a.Phase == gap && a.Window == nil:
		return &RefusedError{"A gap has a beginning and an end behind it, such as 2026-11-01T00:00:00Z."}
	case a.Ref == "" && !slices.Contains(phases, a.Phase):
		return &RefusedError{"To " + string(a.Verb) + " exports, name one, or a group of " + strings.Join(phases, " or ") + "."}
	}
	return nil
}

const maxReason = 2000

// actions are the pages that ask whether an action is wanted, have it done, and tell what
// came of it.
type actions struct {
	guard *Guard
	views *views
	by    Actor
	runs  runs
}

func (a *actions) serve(mux *http.ServeMux) {
	mux.HandleFunc("GET /act", func(w http.ResponseWriter, r *http.Request) {
		a.ask(w, r, http.StatusOK, question{Action: actionOf(r.URL.Query())})
	})
	mux.HandleFunc("POST /act", a.begin)
	mux.HandleFunc("GET /done", func(w http.ResponseWriter, r *http.Request) {
		told, ok := a.runs.wait(r.Context(), r.FormValue("run"))
		if !ok {
			a.say(w, http.StatusNotFound, "This is told no more: the ledger keeps what was done.")
			return
		}
		show(w, http.StatusOK, a.views.done(told))
	})
}

// ask writes the page that says what an action does, and asks whether it is wanted.
func (a *actions) ask(w http.ResponseWriter, r *http.Request, code int, q question) {
	err := q.Action.check(a.by)
	if err == nil {
		q.Plan, err = a.by.Plan(r.Context(), q.Action)
	}
	if err != nil {
		a.refuse(w, err)
		return
	}
	q.Form = a.guard.formToken(sessionOf(r))
	q.Fields = append(q.Action.fields(), field{"exports", strconv.FormatInt(q.Plan.Exports, 10)}, field{"seen", q.Plan.digest()})
	show(w, code, a.views.question(q))
}

// begin has an action done that a person has agreed to, and leads to what comes of it.
func (a *actions) begin(w http.ResponseWriter, r *http.Request) {
	if !a.guard.readForm(w, r) {
		return
	}
	action := actionOf(r.PostForm)
	action.By = whoAsks(r)
	agreed, err := strconv.ParseInt(r.PostForm.Get("exports"), 10, 64)
	if err != nil {
		a.refuse(w, &RefusedError{"The form does not say to how many exports you have agreed."})
		return
	}
	if action.Verb == Accept && (action.Reason == "" || len(action.Reason) > maxReason) {
		a.ask(w, r, http.StatusUnprocessableEntity, question{Action: action, Lacks: true})
		return
	}
	err = action.check(a.by)
	if err == nil && action.Verb == Accept && action.IsOne() {
		var plan Plan
		if plan, err = a.by.Plan(r.Context(), action); err == nil && plan.digest() != r.PostForm.Get("seen") {
			a.ask(w, r, http.StatusConflict, question{Action: action, Other: true})
			return
		}
	}
	var do func(func(Result))
	var exports int64
	if err == nil {
		do, exports, err = a.by.Begin(r.Context(), action, Agreement{Exports: agreed, Set: r.PostForm.Get("seen")})
	}
	_, changed := errors.AsType[*ChangedError](err)
	switch {
	case changed:
		a.ask(w, r, http.StatusConflict, question{Action: action, Was: agreed})
	case err != nil:
		a.refuse(w, err)
	default:
		http.Redirect(w, r, "/done?run="+a.runs.begin(action, exports, do), http.StatusSeeOther)
	}
}

// refuse writes why nothing was done.
func (a *actions) refuse(w http.ResponseWriter, err error) {
	if _, refused := errors.AsType[*RefusedError](err); refused {
		a.say(w, http.StatusBadRequest, err.Error())
		return
	}
	a.views.fail(w, err)
}

// say writes that nothing was done, and why.
func (a *actions) say(w http.ResponseWriter, code int, why string) {
	show(w, code, a.views.message("Nothing was done", "problem", why, h.P(link("/", g.Text("Back to all places")))))
}
