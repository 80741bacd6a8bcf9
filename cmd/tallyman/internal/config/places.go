package config

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"tallyman/cmd/tallyman/internal/flagvalue"
	"tallyman/fetch"
	"tallyman/worker"
)

// Place has what is special about the references that Match matches, as [worker.Match]
// has it. What is not set is as elsewhere.
type Place struct {
	Match     string
	Profile   string            // of credentials, in the vendor's own file
	Endpoints map[string]string // by the name of the provider
	DBSBucket flagvalue.Bucket
	Witness   string // "true": the source is asked for its own count of what landed; "false": it is not
}

// Place returns what is special about a reference or a place. Of each setting, the
// longest match that has it counts. The Place has no Match.
func (o *Options) Place(ref fetch.Ref) Place {
	var here Place
	byLength := func(a, b Place) int { return len(a.Match) - len(b.Match) }
	for _, p := range slices.SortedStableFunc(slices.Values(o.Places), byLength) {
		if !worker.Match(p.Match, ref.String()) {
			continue
		}
		here.Profile, here.DBSBucket = cmp.Or(p.Profile, here.Profile), cmp.Or(p.DBSBucket, here.DBSBucket)
		here.Witness = cmp.Or(p.Witness, here.Witness)
		if here.Endpoints == nil {
			here.Endpoints = map[string]string{}
		}
		maps.Copy(here.Endpoints, p.Endpoints)
	}
	return here
}

// AsksWitnesses reports whether there is a place whose source is to be asked for its own
// count of what landed.
func (o *Options) AsksWitnesses() bool {
	return slices.ContainsFunc(o.Places, func(p Place) bool { return p.Witness == "true" })
}

// Account is what tells the accounts of references apart: whose calls are made alike.
func (o *Options) Account(ref fetch.Ref) string {
	here := o.Place(ref)
	here.Witness = ""
	return fmt.Sprint(here)
}

// places reads what is special about places. An endpoint or a bucket that a flag or the
// environment has given counts everywhere.
func (r *fileReader) places(node ast.Node) error {
	var p Place
	addEndpoint := func(provider, address string) error {
		endpoints := flagvalue.NewEndpoints(r.options.providers)
		if err := endpoints.Set(provider + "=" + address); err != nil {
			return err
		}
		if p.Endpoints == nil {
			p.Endpoints = map[string]string{}
		}
		if r.given[provider] == "" {
			p.Endpoints[provider] = endpoints.Value[provider]
		}
		return nil
	}
	var own string // an endpoint of the provider of the match
	isSet := false // something besides the match
	settings := map[string]entrySetting{
		"match":   {kind: "string", set: func(text string) error { p.Match = text; return nil }},
		"profile": {kind: "string", set: func(text string) error { p.Profile, isSet = text, isSet || text != ""; return nil }},
		"endpoint": {kind: "string", set: func(text string) error { own, isSet = text, true; return nil },
			setEach: func(provider, address string) error { isSet = true; return addEndpoint(provider, address) }},
		"dbs-bucket": {kind: "string", set: func(text string) error {
			bucket, err := flagvalue.ParseBucket(text)
			if isSet = true; !r.flags.Changed("dbs-bucket") {
				p.DBSBucket = bucket
			}
			return err
		}},
		"witness": {kind: "bool", set: func(text string) error { p.Witness, isSet = strings.ToLower(text), true; return nil }},
	}
	return r.entries(node, "place", "{match: sls://REGION/PROJECT/, profile: NAME}", settings, func(entry ast.Node) error {
		scheme, _, ok := strings.Cut(p.Match, "://")
		if own != "" && ok {
			if err := addEndpoint(scheme, own); err != nil {
				return r.errorAt(entry, "endpoint: %w", err)
			}
		}
		_, badGlob := path.Match(p.Match, "")
		switch {
		case !ok || !slices.Contains(r.options.providers, scheme) || !isSet:
			return r.errorAt(entry, "must have a match like sls://REGION/PROJECT/, and the profile, the endpoint, the dbs-bucket or witness for the references that it matches")
		case badGlob != nil:
			return r.errorAt(entry, "match: %w", badGlob)
		case p.Witness == "true" && fetch.CompletenessOf(p.Match) != fetch.ByWindows:
			return r.errorAt(entry, "witness: %s has no count of its own", scheme)
		case slices.ContainsFunc(r.options.Places, func(q Place) bool { return q.Match == p.Match }):
			return r.errorAt(entry, "%s has a profile already", p.Match)
		}
		r.warn(entry, p.Match)
		r.options.Places = append(r.options.Places, p)
		p, own, isSet = Place{}, "", false
		return nil
	})
}

// warn keeps a warning for the user if no reference can match a pattern.
func (r *fileReader) warn(node ast.Node, pattern string) {
	if err := fetch.CheckPattern(pattern); err != nil {
		r.options.Warnings = append(r.options.Warnings, r.errorAt(node, "match: nothing can match this: %w", err).Error())
	}
}

// minEvery is the shortest time between two listings of a place, since each
// listing takes calls.
const minEvery = time.Minute

// schedule reads the places that a worker lists by itself.
func (r *fileReader) schedule(node ast.Node) error {
	var e worker.ScheduleEntry
	settings := map[string]entrySetting{
		"place": {kind: "string", set: func(text string) (err error) { e.Place, err = fetch.ParsePlace(text); return err }},
		"cron":  {kind: "string", set: func(text string) error { e.Cron = text; return worker.CheckCron(text) }},
		"since": {kind: "string", set: func(text string) error {
			e.Since = text
			_, err := flagvalue.ParseTime(text)
			return err
		}},
		"match": {kind: "string", set: func(text string) error {
			e.Match = text
			_, err := path.Match(text, "")
			return err
		}},
		"wait": {kind: "DURATION", set: func(text string) (err error) { e.Wait, err = flagvalue.ParseDuration(text); return err }},
		"every": {kind: "DURATION", set: func(text string) (err error) {
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
		if e.Match != "" {
			r.warn(entry, e.Place.String()+e.Match)
		}
		r.options.Schedule = append(r.options.Schedule, e)
		e = worker.ScheduleEntry{}
		return nil
	})
}

// hold reads what forget must not delete: patterns of references, as the matches of
// places are.
func (r *fileReader) hold(node ast.Node) error {
	if r.describe != nil {
		r.describe("", nil)
		return nil
	}
	list, ok := node.(*ast.SequenceNode)
	if !ok {
		return r.errorAt(node, "must be a list of places, like [sls://REGION/PROJECT/]")
	}
	for _, entry := range list.Values {
		text, err := r.text(entry, "string")
		if err != nil {
			return err
		}
		scheme, rest, ok := strings.Cut(text, "://")
		isURL := scheme == "http" || scheme == "https"
		if _, badGlob := path.Match(text, ""); badGlob != nil || !ok || !isURL && !slices.Contains(r.options.providers, scheme) {
			return r.errorAt(entry, "%s: must be a place like sls://REGION/PROJECT/, or a glob of places", text)
		}
		r.warn(entry, text)
		if isURL { // references have their hosts so
			host, _, _ := strings.Cut(rest, "/")
			text = scheme + "://" + strings.ToLower(host) + rest[len(host):]
		}
		r.options.Hold = append(r.options.Hold, text)
	}
	return nil
}

// HeldBy returns what keeps the export of a reference from deletion, or "". The promises and
// the options of the reference change nothing of that.
func (o *Options) HeldBy(ref fetch.Ref) string {
	whole := ref.String()
	unpromised, _, _ := strings.Cut(whole, "#")
	plain, _, _ := strings.Cut(unpromised, "?")
	for _, pattern := range o.Hold {
		if worker.Match(pattern, whole) || worker.Match(pattern, unpromised) || worker.Match(pattern, plain) {
			return pattern
		}
	}
	return ""
}
