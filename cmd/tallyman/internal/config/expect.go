package config

import (
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"tallyman/fetch"
)

// An Expectation is what the configuration file expects of a place: that something lands in
// it every so often, or that the exports of a log store cover all time.
type Expectation struct {
	Place    string
	LogStore string // "": of the place as a whole
	Query    string // of the log store; "" is all
	Every    time.Duration
	Grace    time.Duration
}

// DefaultGrace is how long what is due may take where nothing else is said.
const DefaultGrace = 2 * time.Hour

// expect reads what is expected of places.
func (r *fileReader) expect(node ast.Node) error {
	e := Expectation{Grace: DefaultGrace}
	settings := map[string]entrySetting{
		"place": {kind: "string", set: func(text string) error {
			place, err := fetch.ParsePlace(text)
			e.Place = place.String()
			if scheme, host, ok := strings.Cut(text, "://"); err != nil && ok && strings.HasSuffix(host, "/") && strings.Count(host, "/") == 1 && fetch.IsScheme(scheme) {
				e.Place, err = text, nil // what is in no place is grouped by its host, its bucket or its region
			}
			return err
		}},
		"every":    durationSetting(&e.Every, minEvery),
		"grace":    durationSetting(&e.Grace, 0),
		"logstore": textSetting(&e.LogStore),
		"query":    textSetting(&e.Query),
	}
	return r.entries(node, "declaration", "{place: sls://REGION/PROJECT/, every: 26h}", settings, func(entry ast.Node) error {
		switch {
		case e.Place == "" || e.Every == 0:
			return r.errorAt(entry, "must have a place and every, like {place: sls://REGION/PROJECT/, every: 26h}")
		case e.Query != "" && e.LogStore == "":
			return r.errorAt(entry, "query goes with logstore")
		case e.LogStore != "" && fetch.CompletenessOf(e.Place) != fetch.ByWindows:
			return r.errorAt(entry, "%s has no log stores", e.Place)
		}
		r.options.Expect = append(r.options.Expect, e)
		e = Expectation{Grace: DefaultGrace}
		return nil
	})
}
