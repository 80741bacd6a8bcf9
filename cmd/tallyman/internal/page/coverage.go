package page

import (
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"time"
)

// Coverage is which time the exports of a place cover.
type Coverage struct {
	Place  string
	Groups []CoverageGroup
	Window *Window // that alone is told of, of one group; nil: all
}

// A Window is a time. To is not in it.
type Window struct {
	From, To time.Time
	Length   string
	Address  string // where it is told of; "" if that is here
}

// A CoverageGroup is what exports of a place cover that can be compared.
type CoverageGroup struct {
	Name     string
	Text     string // what is known in a few words
	Late     string // what is late; "" if nothing is
	Window   *Window
	Cells    []Cell
	Gaps     []Window // the first of them
	MoreGaps int
	Lost     []Window // of the gaps, what is damaged or gone
	Twice    []Window // what is there twice
	Commands []Command
}

// A Cell is a part of the strip of a group.
type Cell struct {
	Kind    string // covered, partly, lacking or settled
	Text    string
	Address string // where what lacks in it is told of, or ""
}

// A Command is what helps, and what for.
type Command struct{ Text, For string }

// CoverageAddress is where the coverage of a place is told of, or a window of a group of it.
func CoverageAddress(place, group string, window *Window) string {
	values := url.Values{"place": {place}}
	if window != nil {
		from, to := window.texts()
		values["group"], values["from"], values["to"] = []string{group}, []string{from}, []string{to}
	}
	return "/coverage?" + values.Encode()
}

// texts are the ends of the window in an address.
func (w *Window) texts() (from, to string) {
	return w.From.UTC().Format(time.RFC3339), w.To.UTC().Format(time.RFC3339)
}

// windowOf reads the window of an address. It is nil if there is none, and of what is no
// window valid is false.
func windowOf(values url.Values) (w *Window, valid bool) {
	if values.Get("from")+values.Get("to") == "" {
		return nil, true
	}
	from, err := time.Parse(time.RFC3339, values.Get("from"))
	to, err2 := time.Parse(time.RFC3339, values.Get("to"))
	if err != nil || err2 != nil || !from.Before(to) {
		return nil, false
	}
	return &Window{From: from, To: to}, true
}

// serveCoverage serves the coverage of places.
func serveCoverage(mux *http.ServeMux, v *views, s Source) {
	mux.HandleFunc("GET /coverage", func(w http.ResponseWriter, r *http.Request) {
		window, valid := windowOf(r.URL.Query())
		if !valid {
			v.refuse(w, http.StatusBadRequest, "A window has a beginning and an end behind it, such as 2026-11-01T00:00:00Z.")
			return
		}
		c, err := s.Coverage(r.Context(), r.FormValue("place"), r.FormValue("group"), window)
		if errors.Is(err, fs.ErrNotExist) {
			v.refuse(w, http.StatusNotFound, "Nothing is known of this place, or of what it covers.")
			return
		}
		if err != nil {
			v.fail(w, err)
			return
		}
		show(w, http.StatusOK, v.coverage(c))
	})
}
