package fetch

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"

	"tallyman/fetch/internal/decode"
	"tallyman/verify/archive"
)

// A target is an object with the names of its content files in the bag.
type target struct {
	Object
	names decode.Names
}

// newTarget names an object's content after the object or, if that is the only one
// of its export, after the last part of the reference, without the directories of
// a path and the query of a URL.
func newTarget(ref Ref, object Object, only bool) target {
	base := object.Name
	if only {
		last, _, _ := strings.Cut(ref.name(), "?")
		if ref.scheme.URL {
			if unescaped, err := url.PathUnescape(last); err == nil {
				last = unescaped
			}
		}
		base = path.Base("/" + strings.TrimRight(last, "/"))
		if base == "/" {
			base = ref.parts[0]
		}
	}
	return target{object, decode.Names{Object: object.Name, Content: object.Content, Base: base, Only: only}}
}

// pinned names those objects of a snapshot that the first attempt saw, as they are
// listed now. An error without the name of an object is the last: so is that of an
// object that has changed since, unless mayChange is set.
func (a *attempt) pinned(export *Export, mayChange bool) iter.Seq2[target, error] {
	return func(yield func(target, error) bool) {
		pins, err := a.pins(export)
		if err != nil {
			yield(target{}, err)
			return
		}
		names := newSnapshotNames(a.ref, pins)
		for object, err := range export.Objects {
			pin, pinned := pins[object.Name]
			switch {
			case err != nil:
			case !pinned:
				continue // came after the snapshot was taken
			case !mayChange && !archive.SameVersion(pin.Want, object.Want):
				yield(target{}, fmt.Errorf("%s: %w since the first attempt", object.Name, ErrChanged))
				return
			}
			delete(pins, object.Name)
			if !yield(names.target(object), err) {
				return
			}
		}
		for _, name := range slices.Sorted(maps.Keys(pins)) {
			if a.in.Done(name, pins[name].Want) { // an earlier attempt has it
				continue
			}
			gone := fmt.Errorf("%s: %w: it was there at the first attempt", name, ErrNotFound)
			if !yield(target{Object: Object{Name: name}}, gone) {
				return
			}
		}
	}
}

// nameAll names each object of an export: a single one after the reference, each
// of several after itself.
func nameAll(ref Ref, objects iter.Seq2[Object, error]) iter.Seq2[target, error] {
	return func(yield func(target, error) bool) {
		next, stop := iter.Pull2(objects)
		defer stop()
		object, err, ok := next()
		second, secondErr, more := next()
		if ok && !more {
			yield(newTarget(ref, object, true), err)
			return
		}
		for ok {
			if !yield(newTarget(ref, object, false), err) {
				return
			}
			object, err, ok = second, secondErr, more
			second, secondErr, more = next()
		}
	}
}

// pins returns the objects that the first attempt saw. The first attempt pins
// what is there, and fails if nothing is: what is written later would never be
// seen. Objects that other bags of the prefix have are not pinned if only new ones
// are wanted, nor are those that came after what a repair replaces.
func (a *attempt) pins(export *Export) (map[string]archive.Pinned, error) {
	pins, err := a.in.Pins()
	if !errors.Is(err, fs.ErrNotExist) {
		return pins, err
	}
	landed := landedVersions{}
	if a.ref.NewOnly() {
		if landed, err = a.landedVersions(a.ref); err != nil {
			return nil, err
		}
	}
	err = a.in.Pin(func(yield func(archive.Pinned, error) bool) {
		none := true
		for object, err := range export.Objects {
			if err == nil && (landed.has(object) || !a.in.Had(object.Name)) {
				continue
			}
			none = false
			if err != nil && object.Name != "" && a.ref.IsPrefix() {
				continue // it is left out
			}
			if !yield(archive.Pinned{Name: object.Name, Content: object.Content, Want: object.Want}, err) {
				return
			}
		}
		if none {
			yield(archive.Pinned{}, fmt.Errorf("%w: there are no objects", ErrNotFound))
		}
	})
	if err != nil {
		return nil, err
	}
	return a.in.Pins()
}

// snapshotNames names the objects of a snapshot in the bag, each differently.
type snapshotNames struct {
	ref         Ref
	only        bool
	claims      map[string]claim // by name
	directories map[string]bool  // of the objects' own names
}

// A claim is an object's claim to a name.
type claim struct {
	object string
	rank   claimRank
	shared bool // another object has a claim of the same rank, so nobody gets the name
}

// A claimRank orders claims: the lowest one counts.
type claimRank int

const (
	exactName   claimRank = iota // it is the object's name
	escapedName                  // it is the object's name once that is escaped
	contentName                  // it would be a name of the object's content
)

func newSnapshotNames(ref Ref, pins map[string]archive.Pinned) *snapshotNames {
	n := &snapshotNames{ref: ref, only: len(pins) == 1 && !ref.NewOnly(), claims: map[string]claim{}, directories: map[string]bool{}}
	if n.only {
		return n
	}
	for _, pin := range pins {
		names := newTarget(ref, Object{Name: pin.Name, Content: pin.Content}, false).names
		own, rank := names.Own(), escapedName
		if own == pin.Name {
			rank = exactName
		}
		n.claim(own, pin.Name, rank)
		n.claim(names.Decoded(), pin.Name, contentName)
		for directory := path.Dir(own); directory != "." && !n.directories[directory]; directory = path.Dir(directory) {
			n.directories[directory] = true
		}
	}
	return n
}

func (n *snapshotNames) claim(name, object string, rank claimRank) {
	switch first, ok := n.claims[name]; {
	case !ok || rank < first.rank:
		n.claims[name] = claim{object: object, rank: rank}
	case rank == first.rank && object != first.object:
		first.shared = true
		n.claims[name] = first
	}
}

// target names an object. Where a name is that of another object, or of a
// directory, it gets a different one.
func (n *snapshotNames) target(object Object) target {
	t := newTarget(n.ref, object, n.only)
	t.names.Taken = func(name string) bool {
		claim, ok := n.claims[name]
		return ok && (claim.shared || claim.object != object.Name) || n.directories[name]
	}
	return t
}
