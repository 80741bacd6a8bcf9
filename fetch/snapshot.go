package fetch

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"path"
	"slices"

	"tallyman/verify/archive"
)

// objects are those of the export, each with its place in the bag.
func (a *attempt) objects(export *Export) iter.Seq2[target, error] {
	if !export.Snapshot {
		return targets(a.ref, export.Objects)
	}
	return func(yield func(target, error) bool) {
		pins, err := a.pins(export)
		if err != nil {
			yield(target{}, err)
			return
		}
		places, err := newPlacement(a.ref, pins)
		if err != nil {
			yield(target{}, err)
			return
		}
		for object, err := range export.Objects {
			pin, pinned := pins[object.Name]
			switch {
			case err != nil:
			case !pinned:
				continue // came after the snapshot was taken
			case !archive.SameVersion(pin.Want, object.Want):
				err = fmt.Errorf("%s: %w since the first attempt", object.Name, ErrChanged)
			}
			delete(pins, object.Name)
			if !yield(places.of(object), err) {
				return
			}
		}
		if err := a.gone(pins); err != nil {
			yield(target{}, err)
		}
	}
}

// pins are the objects that the first attempt saw.
func (a *attempt) pins(export *Export) (map[string]archive.Pinned, error) {
	pins, err := a.in.Pins()
	if !errors.Is(err, fs.ErrNotExist) {
		return pins, err
	}
	if err := a.in.Pin(asPinned(export.Objects)); err != nil {
		return nil, err
	}
	return a.in.Pins()
}

// asPinned fails where there is nothing to pin: what is written to an empty
// place later would never be seen.
func asPinned(objects iter.Seq2[Object, error]) iter.Seq2[archive.Pinned, error] {
	return func(yield func(archive.Pinned, error) bool) {
		none := true
		for object, err := range objects {
			none = false
			if !yield(archive.Pinned{Name: object.Name, Content: object.Content, Want: object.Want}, err) {
				return
			}
		}
		if none {
			yield(archive.Pinned{}, fmt.Errorf("%w: there are no objects", ErrNotFound))
		}
	}
}

// gone is an error for the first of the pinned objects that was not listed,
// unless an earlier attempt has it.
func (a *attempt) gone(pins map[string]archive.Pinned) error {
	for _, name := range slices.Sorted(maps.Keys(pins)) {
		if !a.in.Done(name, pins[name].Want) {
			return fmt.Errorf("%s: %w: it was there at the first attempt", name, ErrNotFound)
		}
	}
	return nil
}

// snapshotChanged reports whether an error says that what was pinned is no longer
// what is there.
func snapshotChanged(err error) bool {
	return errors.Is(err, ErrChanged) || errors.Is(err, ErrNotFound)
}

// placement gives the objects of a snapshot their places in the bag.
type placement struct {
	ref  Ref
	only bool
	uses map[string]int // of each name without the suffix of a codec
}

// newPlacement fails if two objects would have one place, or one a place below
// another's.
func newPlacement(ref Ref, pins map[string]archive.Pinned) (*placement, error) {
	p := &placement{ref: ref, only: len(pins) == 1, uses: map[string]int{}}
	for _, pin := range pins {
		p.uses[newTarget(pinned(pin), pin.Name).names.File()]++
	}
	taken := make(map[string]string, len(pins)) // by whom
	for _, name := range slices.Sorted(maps.Keys(pins)) {
		file := p.of(pinned(pins[name])).names.File()
		if other, ok := taken[file]; ok {
			return nil, fmt.Errorf("%w: %q and %q would both be %s", ErrUnsafeName, other, name, file)
		}
		taken[file] = name
	}
	for file, name := range taken {
		for dir := path.Dir(file); dir != "."; dir = path.Dir(dir) {
			if other, ok := taken[dir]; ok {
				return nil, fmt.Errorf("%w: %q would be a directory of %q", ErrUnsafeName, other, name)
			}
		}
	}
	return p, nil
}

func pinned(p archive.Pinned) Object { return Object{Name: p.Name, Content: p.Content} }

// of keeps the suffix of the codec where two objects would have one name.
func (p *placement) of(object Object) target {
	if p.only {
		return onlyTarget(p.ref, object)
	}
	t := newTarget(object, object.Name)
	t.names.KeepSuffix = p.uses[t.names.File()] > 1
	return t
}
