package page

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tallyman/cmd/tallyman/internal/cli"
	"tallyman/fetch/redact"
)

// A Query says which exports a list has, as its address does.
type Query struct {
	Text  string // that is in the reference
	Place string
	State string // one of States, or "": all but those that were removed
	Cause string
	Since string // a time, as --since takes it
	Open  bool   // what is wrong is not accepted

	Older, Newer string // the list goes on from this export, in one of the directions; "": from the newest
}

// States are the states of exports that a list can be of: Doubts, or phases with commas
// between them.
var States = []string{"landed", Doubts, "waiting", failed, "cancelled", "damaged,absent", "removed"}

// stateNames are what some of the States are called.
var stateNames = map[string]string{Doubts: "landed with doubts", "damaged,absent": "damaged or gone"}

// Doubts is the state of exports that landed with doubts that nobody has accepted.
const Doubts = "doubts"

// A QueryError says what a query has that can't be understood.
type QueryError struct{ Err error }

// Error is the message of Err.
func (e *QueryError) Error() string { return e.Err.Error() }

// An ExportList is a part of a list, the newest first.
type ExportList struct {
	Exports []Export
	Total   *int64 // of the whole list; nil: not known
	Looked  int    // how many exports were looked at, if no more were; 0: as many as it took
	Older   string // where the list goes on; "": it ends
	Newer   string // the same of those that are newer
	Vain    bool   // of what failed, another attempt ends the same way; Help says what to do, or is ""
	Help    string
	Since   string // the time since which it is, whenever that is asked; "": since ever

	Places, Causes []string // that there are, to choose from
}

// An Export is a line of a list.
type Export struct {
	Ref, State      string
	When            *time.Time // it landed, or changed
	Bytes           string     // of content; "": not known
	Records         *int64     // nil: not known, or not countable
	Cause, Message  string
	Doubts          []string
	Accepted        string // the reason
	Doubted, Failed bool   // something about it is wrong that nobody has accepted
}

// queryOf reads the query of a request.
func queryOf(r *http.Request) Query {
	get := func(name string) string { return strings.TrimSpace(r.FormValue(name)) }
	return Query{get("text"), get("place"), get("state"), get("cause"), get("since"), get("open") != "", get("older"), get("newer")}
}

// Address is where the list is of the query.
func (q Query) Address() string {
	values := url.Values{}
	for name, value := range map[string]string{"text": q.Text, "place": q.Place, "state": q.State, "cause": q.Cause, "since": q.Since, "older": q.Older, "newer": q.Newer} {
		if value != "" {
			values.Set(name, value)
		}
	}
	if q.Open {
		values.Set("open", "1")
	}
	if len(values) == 0 {
		return "/exports"
	}
	return "/exports?" + values.Encode()
}

// from is the query of another part of the list.
func (q Query) from(older, newer string) string {
	q.Older, q.Newer = older, newer
	return q.Address()
}

// serveExports serves the lists of exports.
func serveExports(mux *http.ServeMux, v *views, s Source) {
	mux.HandleFunc("GET /exports", func(w http.ResponseWriter, r *http.Request) {
		q := queryOf(r)
		list, err := s.Exports(r.Context(), q)
		code, problem := http.StatusOK, ""
		if wrong, ok := errors.AsType[*QueryError](err); ok {
			code, problem, err = http.StatusBadRequest, redact.Text(wrong.Error()), nil
		}
		if err != nil {
			v.fail(w, err)
			return
		}
		q.Text = redact.URL(q.Text) // which may have been pasted
		show(w, code, v.exports(q, list, problem))
	})
}

// count says how many exports the list has, as far as that is known: never too few as all.
func (l *ExportList) count(q Query) string {
	isPart := l.Older != "" || q.Older != "" || q.Newer != ""
	switch n := int64(len(l.Exports)); {
	case l.Total != nil:
		return grouped(*l.Total) + plural(*l.Total)
	case !isPart:
		return grouped(n) + plural(n)
	case l.Looked > 0 && n == 0:
		return "none found so far"
	case l.Looked > 0:
		return grouped(n) + " found so far"
	case l.Older != "" && q.Older == "" && q.Newer == "":
		return fmt.Sprintf("more than %d exports", n)
	default:
		return grouped(n) + plural(n) + " on this page"
	}
}

func plural(n int64) string {
	return strings.TrimPrefix(cli.Plural(n, "export"), strconv.FormatInt(n, 10))
}

// looked says what was not looked at; "" if that is nothing.
func (l *ExportList) looked(q Query) string {
	switch {
	case l.Looked == 0:
		return ""
	case q.Newer != "":
		return fmt.Sprintf("%s exports were looked at. Newer ones were not.", grouped(int64(l.Looked)))
	}
	which, of := "newest", ""
	if q.Older != "" {
		which = "next"
	}
	if q.Place != "" {
		of = " of the place"
	}
	return fmt.Sprintf("The %s %s exports%s were looked at. Older ones were not.", which, grouped(int64(l.Looked)), of)
}

// grouped writes a number with a comma before each three digits.
func grouped(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
