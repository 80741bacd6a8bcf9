package config

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/fetch"
	"tallyman/worker"
)

// Place says that references which begin with Match are asked for with the
// credentials of Profile, a profile of the vendor's own credentials file.
type Place struct{ Match, Profile string }

// Profile returns the profile of credentials for a reference or a place: that
// of the longest match, or "" for the default credentials.
func (o *Options) Profile(ref fetch.Ref) string {
	var longest Place
	for _, p := range o.Places {
		if strings.HasPrefix(ref.String(), p.Match) && len(p.Match) > len(longest.Match) {
			longest = p
		}
	}
	return longest.Profile
}

// places reads the profiles of credentials by place.
func (r *fileReader) places(node ast.Node) error {
	var p Place
	settings := map[string]entrySetting{
		"match":   {"string", func(text string) error { p.Match = text; return nil }},
		"profile": {"string", func(text string) error { p.Profile = text; return nil }},
	}
	return r.entries(node, "place", "{match: sls://REGION/PROJECT/, profile: NAME}", settings, func(entry ast.Node) error {
		scheme, _, ok := strings.Cut(p.Match, "://")
		switch {
		case !ok || !slices.Contains(r.options.providers, scheme) || p.Profile == "":
			return r.errorAt(entry, "must have a match like sls://REGION/PROJECT/, and the profile for references that begin with it")
		case slices.ContainsFunc(r.options.Places, func(q Place) bool { return q.Match == p.Match }):
			return r.errorAt(entry, "%s has a profile already", p.Match)
		}
		r.options.Places = append(r.options.Places, p)
		p = Place{}
		return nil
	})
}

// minEvery is the shortest time between two listings of a place, since each
// listing takes calls.
const minEvery = time.Minute

// schedule reads the places that a worker lists by itself.
func (r *fileReader) schedule(node ast.Node) error {
	var e worker.ScheduleEntry
	settings := map[string]entrySetting{
		"place": {"string", func(text string) (err error) { e.Place, err = fetch.ParsePlace(text); return err }},
		"cron":  {"string", func(text string) error { e.Cron = text; return worker.CheckCron(text) }},
		"since": {"string", func(text string) error {
			e.Since = text
			_, err := flagvalue.ParseTime(text)
			return err
		}},
		"match": {"string", func(text string) error {
			e.Match = text
			_, err := path.Match(text, "")
			return err
		}},
		"wait": {"DURATION", func(text string) (err error) { e.Wait, err = flagvalue.ParseDuration(text); return err }},
		"every": {"DURATION", func(text string) (err error) {
			if e.Every, err = flagvalue.ParseDuration(text); err == nil && e.Every < minEvery {
				err = fmt.Errorf("must be at least %v", minEvery)
			}
			return err
		}},
	}
	return r.entries(node, "schedule", "{place: sls://REGION/PROJECT/, every: 1h}", settings, func(entry ast.Node) error {
		switch {
		case !e.Place.IsPlace():
			return r.errorAt(entry, "must have a place like sls://REGION/PROJECT/")
		case (e.Every == 0) == (e.Cron == ""):
			return r.errorAt(entry, "must have one of every and cron, like every: 1h")
		}
		r.options.Schedule = append(r.options.Schedule, e)
		e = worker.ScheduleEntry{}
		return nil
	})
}
