package fetch

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"

	"tallyman/verify"
	"tallyman/verify/archive"
)

// objects are those of the export, each with its place in the bag.
func (a *attempt) objects(export *Export) iter.Seq2[named, error] {
	if !export.Snapshot {
		return nameAll(a.ref, export.Objects)
	}
	return func(yield func(named, error) bool) {
		pins, err := a.pins(export)
		if err != nil {
			yield(named{}, err)
			return
		}
		places := newPlaces(a.ref, pins)
		for object, err := range export.Objects {
			want, pinned := pins[object.Name]
			if err == nil && !pinned {
				continue // came after the snapshot was taken
			}
			delete(pins, object.Name)
			if err == nil {
				err = a.unchanged(&object, want)
			}
			if !yield(places.of(object), err) {
				return
			}
		}
		a.missing(pins, yield)
	}
}

// pins are the objects that the first attempt saw.
func (a *attempt) pins(export *Export) (map[string]verify.Want, error) {
	pins, err := a.in.Pins()
	if !errors.Is(err, fs.ErrNotExist) {
		return pins, err
	}
	if err := a.in.Pin(asPinned(export.Objects)); err != nil {
		return nil, err
	}
	return a.in.Pins()
}

func asPinned(objects iter.Seq2[Object, error]) iter.Seq2[archive.Pinned, error] {
	return func(yield func(archive.Pinned, error) bool) {
		for object, err := range objects {
			if !yield(archive.Pinned{Name: object.Name, Want: object.Want}, err) {
				return
			}
		}
	}
}

// unchanged holds an object to what it was when it was pinned. One that has
// changed ends the snapshot: the next attempt takes a new one.
func (a *attempt) unchanged(object *Object, want verify.Want) error {
	merged, err := want.Merge(object.Name, object.Want)
	if err != nil {
		return errors.Join(fmt.Errorf("%w: %w", ErrChanged, err), a.in.Unpin())
	}
	object.Want = merged
	return nil
}

// missing yields an error for the first pinned object that is gone, unless an
// earlier attempt has it.
func (a *attempt) missing(pins map[string]verify.Want, yield func(named, error) bool) {
	for name, want := range pins {
		if !a.in.Done(name, want) {
			yield(named{}, errors.Join(fmt.Errorf("%s: %w: it was there at the first attempt", name, ErrNotFound), a.in.Unpin()))
			return
		}
	}
}

// places gives the objects of a snapshot their places in the bag.
type places struct {
	ref  Ref
	only bool
	uses map[string]int // of each content name
}

func newPlaces(ref Ref, pins map[string]verify.Want) *places {
	n := &places{ref: ref, only: len(pins) == 1, uses: map[string]int{}}
	for name := range pins {
		n.uses[named{Object: Object{Name: name}, base: name}.file()]++
	}
	return n
}

// of keeps the suffix of the codec where two objects would have one name.
func (n *places) of(object Object) named {
	if n.only {
		return named{Object: object, base: lastSegment(n.ref), only: true}
	}
	o := named{Object: object, base: object.Name}
	o.suffixed = n.uses[o.file()] > 1
	return o
}
