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

	"tallyman/fetch"
	"tallyman/fetch/internal/api"
)

// A search is for the one object that a row tells of.
type search struct {
	*Provider
	region string
	task   *task
	row    *row
}

// A match is an object that has the file's name.
type match struct {
	object fetch.Object
	key    string
	longer bool // by an extension
}

// mostSearched is how many objects under a task's prefix are looked at.
const mostSearched = 100_000

// find lists where the file should be, and then all that is under the task's
// prefix, until a name is the file's. Names are unique, so that one place which
// has it is enough.
func (s *search) find(ctx context.Context) (*match, error) {
	all := ""
	if s.task.prefix != "" {
		all = s.task.prefix + "/"
	}
	for _, prefix := range append(s.likely(), all) {
		found, err := s.under(ctx, prefix)
		if found != nil || err != nil {
			return found, err
		}
	}
	return nil, s.failed(fetch.ErrNotFound, "no object under "+s.place(all)+" has the name of the file")
}

// under is the one object under a prefix that has the file's name, or else the
// one that has it with an extension. Where there are several it can't be told
// which is meant.
func (s *search) under(ctx context.Context, prefix string) (*match, error) {
	var exact, longer []*match
	looked := 0
	for object, err := range s.Objects(ctx, s.region, s.task.bucket, prefix) {
		if nothing(err) {
			break
		}
		if err != nil {
			return nil, err
		}
		if looked++; looked > mostSearched {
			return nil, s.failed(fetch.ErrRefused, fmt.Sprintf("%s has more than %d objects: too many to look for the file among them", s.place(prefix), mostSearched))
		}
		switch m := s.match(prefix, object); {
		case m == nil:
		case m.longer:
			longer = append(longer, m)
		default:
			exact = append(exact, m)
		}
	}
	for _, found := range [][]*match{exact, longer} {
		if len(found) > 0 {
			return s.only(found)
		}
	}
	return nil, nil
}

// nothing reports whether an error is that of a listing without objects. That
// of a bucket that isn't there has an HTTP status.
func nothing(err error) bool {
	call, ok := errors.AsType[*fetch.CallError](err)
	return ok && call.Status == 0 && errors.Is(err, fetch.ErrNotFound)
}

// match is an object that has the file's name, alone or with an extension. It
// is given that name, whatever directory it is in.
func (s *search) match(prefix string, object fetch.Object) *match {
	base := path.Base(object.Name)
	rest, ok := strings.CutPrefix(base, string(s.row.File))
	if !ok || rest != "" && inWord([]rune(rest)[0]) {
		return nil
	}
	m := &match{object: object, key: prefix[:strings.LastIndexByte(prefix, '/')+1] + object.Name, longer: rest != ""}
	m.object.Name = base
	return m
}

func inWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

func (s *search) only(found []*match) (*match, error) {
	if len(found) == 1 {
		return found[0], nil
	}
	return nil, s.failed(fetch.ErrRefused, fmt.Sprintf("%d objects have the name of the file, among them %s and %s",
		len(found), s.place(found[0].key), s.place(found[1].key)))
}

func (s *search) failed(kind error, message string) error {
	return &fetch.CallError{Call: "find " + api.OneLine(string(s.row.File)), Message: message, Kind: kind}
}

func (s *search) place(key string) string {
	return api.OneLine("obs://" + s.task.bucket + "/" + key)
}

// units are those of a partition format: how Go writes them, and a time that is
// no longer than one.
var units = []struct {
	java, ours string
	length     time.Duration
}{
	{"yyyy", "2006", 365 * 24 * time.Hour},
	{"MM", "01", 28 * 24 * time.Hour},
	{"dd", "02", 24 * time.Hour},
	{"HH", "15", time.Hour},
}

// zones are those that the directories of time may be in: the vendor does not
// say.
var zones = []*time.Location{time.FixedZone("", 8*60*60), time.UTC}

// mostTimes is how many times a delivery may span for their directories to be
// looked at one by one.
const mostTimes = 48

// likely are prefixes that hold the file if it is where it should be: in the
// directory of a time of its delivery, or of one just before or after that.
func (s *search) likely() (prefixes []string) {
	layout, unit, minutes := s.layout()
	if layout == "" {
		return []string{joined(s.task.prefix, string(s.row.File))}
	}
	for _, at := range s.times(unit) {
		for _, zone := range zones {
			prefix := joined(s.task.prefix, at.In(zone).Format(layout)) + "/"
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

// layout is how Go writes the directories of time, and how long the smallest
// of them spans. Those of minutes are many: they are left to their hour's.
func (s *search) layout() (layout string, unit time.Duration, minutes bool) {
	layout, minutes = strings.CutSuffix(s.task.partition, "/mm")
	for _, u := range units {
		if strings.Contains(layout, u.java) {
			layout, unit = strings.Replace(layout, u.java, u.ours, 1), u.length
		}
	}
	return layout, unit, minutes
}

// times are those of the delivery, a unit apart, and then one on either side.
func (s *search) times(unit time.Duration) (times []time.Time) {
	from, to := s.row.created(), s.row.EndTime.Milliseconds()
	if unit == 0 || from.IsZero() || to.Before(from) || to.Sub(from) > mostTimes*unit {
		return nil
	}
	for at := from; at.Before(to); at = at.Add(unit) {
		times = append(times, at)
	}
	return append(times, to, from.Add(-unit), to.Add(unit))
}
