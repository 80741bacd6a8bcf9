package dis

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"tallyman/fetch"
	"tallyman/fetch/internal/api"
)

// A search looks for the one object that a row is about.
type search struct {
	*Provider
	region string
	task   *task
	row    *row
}

// A match is an object that has the file's name.
type match struct {
	object   fetch.Object
	key      string
	extended bool // its name has an extension that the row's does not have
}

// maxSearched is how many objects under a prefix are looked at.
const maxSearched = 100_000

// find lists where the file should be, and then all that is under the task's
// prefix, until a name is the file's. Names are unique, so the first prefix that
// has it is enough.
func (s *search) find(ctx context.Context) (*match, error) {
	all := ""
	if s.task.prefix != "" {
		all = s.task.prefix + "/"
	}
	for _, prefix := range append(s.likelyPrefixes(), all) {
		found, err := s.under(ctx, prefix)
		if found != nil || err != nil {
			return found, err
		}
	}
	return nil, s.failed(fetch.ErrNotFound, "no object under %s has the name of the file", s.address(all))
}

// under returns the one object under a prefix that has the file's name or, if
// there is none, the one that has it with an extension. If there are several,
// it fails, since nothing says which one it is.
func (s *search) under(ctx context.Context, prefix string) (*match, error) {
	var exact, extended []*match
	looked := 0
	for object, err := range s.Objects(ctx, s.region, s.task.bucket, prefix) {
		if call, ok := errors.AsType[*fetch.CallError](err); ok && call.Status == 0 && errors.Is(err, fetch.ErrNotFound) {
			break // there are no objects; the error of a bucket that isn't there has an HTTP status
		}
		if err != nil {
			return nil, err
		}
		if looked++; looked > maxSearched {
			return nil, s.failed(fetch.ErrRefused, "%s has more than %d objects: too many to look for the file among them", s.address(prefix), maxSearched)
		}
		switch m := s.match(prefix, object); {
		case m == nil:
		case m.extended:
			extended = append(extended, m)
		default:
			exact = append(exact, m)
		}
	}
	found := exact
	if len(exact) == 0 {
		found = extended
	}
	switch len(found) {
	case 0:
		return nil, nil
	case 1:
		return found[0], nil
	}
	return nil, s.failed(fetch.ErrRefused, "%d objects have the name of the file, among them %s and %s",
		len(found), s.address(found[0].key), s.address(found[1].key))
}

// match returns an object if its name is that of the file, alone or with an
// extension. The match has that name, whatever directory it is in.
func (s *search) match(prefix string, object fetch.Object) *match {
	base := path.Base(object.Name)
	rest, ok := strings.CutPrefix(base, string(s.row.File))
	if first, _ := utf8.DecodeRuneInString(rest); !ok || rest != "" && (unicode.IsLetter(first) || unicode.IsDigit(first)) {
		return nil
	}
	m := &match{object: object, key: prefix[:strings.LastIndexByte(prefix, '/')+1] + object.Name, extended: rest != ""}
	m.object.Name = base
	return m
}

func (s *search) failed(kind error, format string, args ...any) error {
	return &fetch.CallError{Call: "find " + api.OneLine(string(s.row.File)), Message: fmt.Sprintf(format, args...), Kind: kind}
}

func (s *search) address(key string) string {
	return api.OneLine("obs://" + s.task.bucket + "/" + key)
}

// timeUnits are the units of a partition_format, as Java and as Go writes them,
// and the shortest time that one lasts.
var timeUnits = []struct {
	java, layout string
	length       time.Duration
}{
	{"yyyy", "2006", 365 * 24 * time.Hour},
	{"MM", "01", 28 * 24 * time.Hour},
	{"dd", "02", 24 * time.Hour},
	{"HH", "15", time.Hour},
}

// zones are the time zones that the directories may be in: the vendor does not
// say which.
var zones = []*time.Location{time.FixedZone("", 8*60*60), time.UTC}

// maxUnits is how many time units a delivery may last for their directories to be
// looked at one by one.
const maxUnits = 48

// likelyPrefixes returns the prefixes that hold the file if it is where it should
// be: in the directory of a time of its delivery, or one just before or after.
func (s *search) likelyPrefixes() (prefixes []string) {
	// Directories of minutes are many: their hour's is listed.
	layout, minutes := strings.CutSuffix(s.task.partition, "/mm")
	if layout == "" {
		return []string{joinPath(s.task.prefix, string(s.row.File))}
	}
	var unit time.Duration
	for _, u := range timeUnits {
		if strings.Contains(layout, u.java) {
			layout, unit = strings.Replace(layout, u.java, u.layout, 1), u.length
		}
	}
	from, to := s.row.created(), s.row.EndTime.Milliseconds()
	if unit == 0 || from.IsZero() || to.Before(from) || to.Sub(from) > maxUnits*unit {
		return nil
	}
	var times []time.Time // of the delivery, a unit apart
	for at := from; at.Before(to); at = at.Add(unit) {
		times = append(times, at)
	}
	for _, at := range append(times, to, from.Add(-unit), to.Add(unit)) {
		for _, zone := range zones {
			prefix := joinPath(s.task.prefix, at.In(zone).Format(layout)) + "/"
			if !minutes {
				prefix += string(s.row.File)
			}
			if !slices.Contains(prefixes, prefix) {
				prefixes = append(prefixes, prefix)
			}
		}
	}
	return prefixes
}
