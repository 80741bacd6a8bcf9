package main

import (
	"hash/maphash"

	"tallyman/fetch"
)

// recent remembers the references that were last seen: window of them at
// least, and no more than twice as many, so that an endless list takes up no
// more than some megabytes.
type recent struct {
	names, older map[string]uint64 // by the hash of the key, that of how it was named
	window       int
}

const recentReferences = 1 << 16

func newRecent() *recent { return &recent{names: map[string]uint64{}, window: recentReferences} }

var nameSeed = maphash.MakeSeed()

// see reports whether an export was seen before, and if so whether it was
// named alike: with the same promises, and the same query if that is a secret.
func (r *recent) see(ref fetch.Ref) (before, alike bool) {
	key, name := ref.Hash(), maphash.String(nameSeed, ref.String()+"\n"+ref.URL())
	first, before := r.names[key]
	if !before {
		first, before = r.older[key]
	}
	if !before {
		first = name
	}
	if len(r.names) == r.window {
		r.names, r.older = map[string]uint64{}, r.names
	}
	r.names[key] = first
	return before, first == name
}
