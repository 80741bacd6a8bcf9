package fetch

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"tallyman/fetch/redact"
	"tallyman/verify"
)

// ParsePlace reads a place, where a Lister finds jobs: a reference without its
// last part, as sls://REGION/PROJECT/, dbs://REGION/INSTANCE/ and
// dis://REGION/TASK_ID/. The slash at its end may be left out; String gives it
// back with one. A place names no export: ParseRef refuses it, and so must a
// Provider.
func ParsePlace(s string) (Ref, error) {
	place, err := parsePlace(s)
	if err != nil {
		return Ref{}, fmt.Errorf("place %q: %w", redact.URL(s), err)
	}
	return place, nil
}

func parsePlace(s string) (Ref, error) {
	scheme, path, ok := strings.Cut(s, "://")
	form, known := forms[scheme]
	if !ok || !known {
		return Ref{}, fmt.Errorf("want SCHEME://…/, with sls, dbs or dis for SCHEME")
	}
	if form.placeless != "" {
		return Ref{}, errors.New(form.placeless)
	}
	if err := checkText(path); err != nil {
		return Ref{}, err
	}
	place := Ref{scheme: scheme, want: verify.NoPromise(), count: verify.Unknown}
	path, err := place.takeOptions(path)
	if err != nil {
		return Ref{}, err
	}
	names := slices.Clone(form.parts)
	names[len(names)-1] = ""
	return place, place.divide(strings.TrimSuffix(path, "/")+"/", names, false)
}

// IsPlace reports whether r is a place, whose last part is "".
func (r Ref) IsPlace() bool {
	return len(r.parts) > 0 && r.parts[len(r.parts)-1] == "" && forms[r.scheme].placeless == ""
}

// Job is the reference to the job of that name in the place r. A name that no
// reference can hold is an error.
func (r Ref) Job(name string) (Ref, error) {
	if !r.IsPlace() {
		return Ref{}, fmt.Errorf("%s is not a place", r)
	}
	return ParseRef(r.String() + name)
}

// place is the place that the export r names is in, unless there is none.
func (r Ref) place() (Ref, bool) {
	if len(r.parts) == 0 || forms[r.scheme].placeless != "" || r.IsPlace() {
		return Ref{}, false
	}
	parts := slices.Clone(r.parts)
	parts[len(parts)-1] = ""
	return Ref{scheme: r.scheme, parts: parts, want: verify.NoPromise(), count: verify.Unknown}, true
}

// name is what r is called in its place.
func (r Ref) name() string { return r.parts[len(r.parts)-1] }
