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

	// Complete says what tells whether exports are all that there is.
	Complete Completeness

	// Window returns the window of an export by what the provider answered when it
	// landed, as JSON, or nil. Receipts of earlier versions keep the answer alone. Where
	// it is nil, no answer tells.
	Window func(ref Ref, answer []byte) *Window
}

// A Completeness says what tells whether the exports of a place are all that there is.
type Completeness string

// What can tell.
const (
	Untold    Completeness = ""        // nothing: what is exported is up to a person
	ByWindows Completeness = "windows" // an export spans a time, and the times follow each other
	ByListing Completeness = "listing" // the service lists all that it has delivered
	ByPoints  Completeness = "points"  // an export is the state at one time: it counts how far they are apart
)

// IsScheme reports whether references of that scheme are known.
func IsScheme(name string) bool {
	schemesMu.RLock()
	defer schemesMu.RUnlock()
	return schemes[name] != nil
}

// CompletenessOf is the Completeness of the scheme of a place or of an export.
func CompletenessOf(reference string) Completeness {
	name, _, _ := strings.Cut(reference, "://")
	schemesMu.RLock()
	defer schemesMu.RUnlock()
	if s := schemes[name]; s != nil {
		return s.Complete
	}
	return Untold
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

// label is what may stand in a host name between two dots, if it is no longer than
// maxLabel.
var label = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`) })

const maxLabel = 128

// check reports what is wrong with the value of a segment or an option.
func (k Kind) check(name, value string) error {
	switch {
	case k == Label && (len(value) > maxLabel || !label().MatchString(value)):
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

// form is how a path with these segments is written: "sls://REGION/PROJECT/JOB".
func (s *Scheme) form(segments []Segment) string {
	form := s.Name + ":/"
	for _, segment := range segments {
		form += "/" + segment.Name
	}
	return form
}

var (
	schemesMu sync.RWMutex
	schemes   = map[string]*Scheme{}
)

// RegisterScheme makes ParseRef and ParsePlace read the references of a
// scheme, and returns its name. It panics if the scheme is not well-formed, or if
// there is another of that name.
func RegisterScheme(s Scheme) (name string) {
	schemesMu.Lock()
	defer schemesMu.Unlock()
	notInName := func(c rune) bool { return (c < 'a' || c > 'z') && (c < '0' || c > '9') }
	isRest := func(p Segment) bool { return p.Kind == Rest }
	switch {
	case s.Name == "", s.Name[0] <= '9', strings.ContainsFunc(s.Name, notInName), len(s.Segments) < 2, slices.ContainsFunc(s.Segments[:len(s.Segments)-1], isRest):
		panic(fmt.Sprintf("fetch: the scheme %+v is not well-formed", s))
	case schemes[s.Name] != nil:
		panic(fmt.Sprintf("fetch: the scheme %s is registered twice", s.Name))
	}
	schemes[s.Name] = &s
	return s.Name
}

// unknownScheme says which schemes there are, or which of them have places, for a
// text that begins with none of them.
func unknownScheme(text string, places bool) error {
	schemesMu.RLock()
	defer schemesMu.RUnlock()
	var names []string
	for _, name := range slices.Sorted(maps.Keys(schemes)) {
		if !places || schemes[name].NoPlaces == "" {
			names = append(names, name)
		}
	}
	form, list := "SCHEME://…", strings.Join(names, ", ")
	if places {
		form += "/"
	}
	if last := len(names) - 1; last > 0 {
		list = strings.Join(names[:last], ", ") + " or " + names[last]
	}
	name, _, isCut := strings.Cut(text, ":")
	if nearest := Nearest(name, names); isCut && nearest != "" {
		return fmt.Errorf("want %s, with %s for SCHEME: did you mean %s://?", form, list, nearest)
	}
	return fmt.Errorf("want %s, with %s for SCHEME", form, list)
}

// Nearest returns the word of known that word is most likely a misspelling of, or ""
// if it is like none of them. Case counts for nothing, nor does a line that is high
// or low; two letters in the wrong order are one mistake, of which a longer word may
// have more. The beginning of a word counts as one mistake, too.
func Nearest(word string, known []string) string {
	plain := func(s string) string { return strings.ReplaceAll(strings.ToLower(s), "_", "-") }
	nearest, least, word := "", max(1, len(word)/3)+1, plain(word)
	for _, k := range known {
		n := mistakes(word, plain(k))
		if len(word) > 2 && strings.HasPrefix(plain(k), word) {
			n = min(n, 1)
		}
		if n < least {
			nearest, least = k, n
		}
	}
	return nearest
}

// mistakes is how many letters are to be added, left out, replaced or swapped with the
// next one to make b of a (the optimal string alignment distance).
func mistakes(a, b string) int {
	var beforeLast, last []int // of the rows for the letters of a
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		beforeLast, last, row = last, row, make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			differ := 1
			if a[i] == b[j] {
				differ = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+differ)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], beforeLast[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
