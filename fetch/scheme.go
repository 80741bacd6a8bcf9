package fetch

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// A Scheme says how the references of a provider are written:
//
//	NAME://SEGMENT/…/SEGMENT[?OPTION=VALUE]
//
// A provider's package registers its scheme with [RegisterScheme] when it is
// initialized, so that every program with the provider reads its references.
type Scheme struct {
	Name     string    // small letters and digits: "sls"
	Segments []Segment // of the path, in order; at least two
	Options  []Option  // a reference may end in one of them

	// NoPlaces says why there are no places of the scheme, for the error of
	// ParsePlace. If it is "", a place is a reference whose last segment is
	// empty, and the provider is a Lister.
	NoPlaces string

	// Prefix is set if an export is the objects under a prefix, which no job
	// promised together. It may grow after it has landed, and an object that can't
	// land is left out.
	Prefix bool

	// URL is set for references that are URLs: HOST/PATH. A query that holds a
	// secret stays in memory, and the fragment is what the reference promises.
	URL bool
}

// A Segment is one part of the path of a reference.
type Segment struct {
	Name string // in messages: "PROJECT"
	Kind Kind
}

// An Option is what may follow a reference behind a question mark.
type Option struct {
	Name string // "region"
	Kind Kind   // Label or Number

	// Identifies is set if references that differ in the option name
	// different exports. It is then part of the reference's key.
	Identifies bool
}

// A Kind says what a segment or an option may hold.
type Kind int

// The kinds of segments and options.
const (
	Text   Kind = iota // anything without a slash but "", "." and ".."
	Label              // letters, digits, dashes and dots: it becomes part of a host name
	Number             // decimal digits
	Rest               // anything, slashes included, or nothing: the last segment alone
	empty              // nothing: the last segment of a place
)

// label is what may stand in a host name between two dots.
var label = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$`)

// check reports what is wrong with the value of a segment or an option.
func (k Kind) check(name, value string) error {
	switch {
	case k == Label && !label.MatchString(value):
		return fmt.Errorf("%s is %q, want letters, digits, dashes and dots", name, value)
	case k == Text && (value == "" || value == "." || value == ".."):
		return fmt.Errorf("%s is %q", name, value)
	case k == Number:
		if _, err := strconv.ParseUint(value, 10, 63); err != nil {
			return fmt.Errorf("%s is %q, want a number", name, value)
		}
	}
	return nil
}

var (
	schemesMu  sync.RWMutex
	schemes    = map[string]*Scheme{}
	schemeName = regexp.MustCompile(`^[a-z][a-z0-9]*$`)
)

// RegisterScheme makes ParseRef and ParsePlace read the references of a
// scheme. It panics if the scheme is not well-formed, or if there is another of
// that name.
func RegisterScheme(s Scheme) {
	schemesMu.Lock()
	defer schemesMu.Unlock()
	isRest := func(p Segment) bool { return p.Kind == Rest }
	switch {
	case !schemeName.MatchString(s.Name), len(s.Segments) < 2, slices.ContainsFunc(s.Segments[:len(s.Segments)-1], isRest):
		panic(fmt.Sprintf("fetch: the scheme %+v is not well-formed", s))
	case schemes[s.Name] != nil:
		panic(fmt.Sprintf("fetch: the scheme %s is registered twice", s.Name))
	}
	schemes[s.Name] = &s
}

// schemeNames lists the schemes that are registered, or only those that have
// places: "dbs, dis or sls".
func schemeNames(places bool) string {
	schemesMu.RLock()
	defer schemesMu.RUnlock()
	var names []string
	for _, name := range slices.Sorted(maps.Keys(schemes)) {
		if !places || schemes[name].NoPlaces == "" {
			names = append(names, name)
		}
	}
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}
