package fetch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"tallyman/verify"
	"tallyman/verify/archive"
)

// Changes says how the objects under a prefix differ from those of it that have
// landed, in all its bags.
type Changes struct {
	New     int      // objects that no bag has
	LeftOut int      // objects that no bag has, since they could not land with one
	Changed int      // objects that bags have in other versions only
	Gone    int      // objects that a bag has, and the source has not
	Names   []string // of the first that are new or changed, as they are listed
	Size    int64    // of those that are new, changed or left out, in bytes as transferred, or verify.Unknown
}

// maxNames is how many objects Changes names.
const maxNames = 10

// Changes lists the objects under a prefix of which something has landed, and
// compares them with what has. It reads no content.
func (f *Fetcher) Changes(ctx context.Context, ref Ref) (c Changes, err error) {
	landed, err := f.landedVersions(ref)
	if err != nil {
		return c, err
	}
	leftOut := f.leftOut(ref)
	export, err := f.ask(ctx, f.Providers[ref.Scheme()], ref)
	if err != nil {
		return c, err
	}
	listed := map[string]bool{}
	for object, err := range export.Objects {
		switch {
		case err != nil && object.Name != "": // it would be left out
			continue
		case errors.Is(err, ErrNotFound): // nothing is there any more
			continue
		case err != nil:
			return Changes{}, err
		case listed[object.Name] || landed.has(object):
			listed[object.Name] = true
			continue
		}
		listed[object.Name] = true
		switch {
		case len(landed[object.Name]) > 0:
			c.Changed++
		case leftOut[object.Name]:
			c.LeftOut++
		default:
			c.New++
		}
		if len(c.Names) < maxNames && c.New+c.Changed > len(c.Names) {
			c.Names = append(c.Names, object.Name)
		}
		if object.Want.Size == verify.Unknown || c.Size == verify.Unknown {
			c.Size = verify.Unknown
		} else {
			c.Size += object.Want.Size
		}
	}
	for name := range landed {
		if !listed[name] {
			c.Gone++
		}
	}
	return c, nil
}

// landedVersions has what the listing promised of each object that has landed, by
// its name: one promise for each bag that has the object.
type landedVersions map[string][]verify.Want

// landedVersions reads all bags of an export. A revision that is damaged counts as
// absent.
func (f *Fetcher) landedVersions(ref Ref) (landedVersions, error) {
	key := ref.unrevised().Key()
	revisions, err := f.Archive.Revisions(key)
	if err != nil {
		return nil, err
	}
	landed := landedVersions{}
	for i, bag := range slices.Concat([]string{key}, revisions) {
		for object, err := range f.Archive.Listed(bag) {
			if err != nil && i > 0 && errors.Is(err, archive.ErrDamaged) {
				break
			}
			if err != nil {
				return nil, fmt.Errorf("compare %s with what has landed: %w", ref, err)
			}
			landed[object.Name] = append(landed[object.Name], object.Want)
		}
	}
	return landed, nil
}

// leftOut returns the names of the objects that doubts of the bags of a prefix name as
// left out.
func (f *Fetcher) leftOut(ref Ref) map[string]bool {
	key, names := ref.unrevised().Key(), map[string]bool{}
	revisions, _ := f.Archive.Revisions(key)
	for _, bag := range slices.Concat([]string{key}, revisions) {
		receipt, err := f.Archive.Receipt(bag)
		if err != nil { // a damaged one names none
			continue
		}
		for _, doubt := range receipt.Doubts {
			rest, found := strings.CutPrefix(doubt, "incomplete: ")
			if quoted, err := strconv.QuotedPrefix(rest); found && err == nil {
				name, _ := strconv.Unquote(quoted)
				names[name] = true
			}
		}
	}
	return names
}

// has reports whether a bag has the object as it is listed now.
func (l landedVersions) has(object Object) bool {
	return slices.ContainsFunc(l[object.Name], func(want verify.Want) bool { return archive.SameVersion(want, object.Want) })
}
