package main

import (
	"strings"

	"tallyman/fetch"
)

// A place is where the references begin that one account may see. Its profile
// is one of the vendor's own credentials file.
type place struct{ Match, Profile string }

// profile is the named profile of credentials for a reference, or a place: that
// of the longest match, or "" for the default ones.
func (o *options) profile(ref fetch.Ref) string {
	var best place
	for _, p := range o.places {
		if strings.HasPrefix(ref.String(), p.Match) && len(p.Match) > len(best.Match) {
			best = p
		}
	}
	return best.Profile
}
